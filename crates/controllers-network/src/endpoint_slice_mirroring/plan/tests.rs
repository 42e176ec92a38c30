use api::Message;
use expect_test::{Expect, expect};

use super::*;

/// The Endpoints `web` with these subsets, as JSON.
fn endpoints(subsets: &str) -> Endpoints {
    let json = format!(
        r#"{{"metadata":{{"name":"web","namespace":"ns","uid":"1","labels":{{"a":"b"}},
            "annotations":{{"note":"n","endpoints.kubernetes.io/last-change-trigger-time":"now"}}}},
            "subsets":[{subsets}]}}"#
    );
    Endpoints::from_json(json.as_bytes()).expect("well-formed")
}

fn render(slice: &EndpointSlice) -> String {
    let ports: Vec<String> = slice
        .ports
        .iter()
        .filter_map(|port| port.port.map(|port| port.to_string()))
        .collect();
    let endpoint = |endpoint: &Endpoint| {
        let mark = if endpoint.conditions.ready == Some(true) {
            ""
        } else {
            "!"
        };
        format!("{}{mark}", endpoint.addresses[0])
    };
    let endpoints: Vec<String> = slice.endpoints.iter().map(endpoint).collect();
    format!(
        "{} {} :{} [{}]",
        slice.metadata.name,
        slice.address_type,
        ports.join(","),
        endpoints.join(" ")
    )
}

fn check(endpoints: &Endpoints, slices: &[Arc<EndpointSlice>], expected: Expect) -> Vec<EndpointSlice> {
    let plan = plan(endpoints, slices, 3);
    let mut lines = Vec::new();
    let mut written = Vec::new();
    for action in plan.actions {
        match action {
            Action::Create(slice) => {
                lines.push(format!("create{}", render(&slice)));
                written.push(*slice);
            }
            Action::Update(slice) => {
                lines.push(format!("update {}", render(&slice)));
                written.push(*slice);
            }
            Action::Delete(slice) => lines.push(format!("delete {}", slice.metadata.name)),
        }
    }
    if plan.skipped > 0 {
        lines.push(format!("skipped {}, invalid {}", plan.skipped, plan.invalid));
    }
    expected.assert_eq(&lines.join("; "));
    written
}

/// As if the server had stored them under these names.
fn stored(slices: Vec<EndpointSlice>, names: &[&str]) -> Vec<Arc<EndpointSlice>> {
    let named = slices.into_iter().zip(names).map(|(mut slice, name)| {
        slice.metadata.name = (*name).into();
        Arc::new(slice)
    });
    named.collect()
}

const ONE: &str = r#"{"addresses":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}],"notReadyAddresses":[{"ip":"10.0.0.2"}],
    "ports":[{"port":80,"name":"http","protocol":"TCP"}]}"#;

#[test]
fn each_family_gets_a_slice() {
    let source = endpoints(ONE);
    let written = check(
        &source,
        &[],
        expect!["create IPv4 :80 [10.0.0.1 10.0.0.2!]; create IPv6 :80 [fd00::1]"],
    );
    let metadata = &written[0].metadata;
    assert_eq!(metadata.generate_name, "web-");
    assert_eq!(metadata.labels[SERVICE_LABEL], "web");
    assert_eq!(metadata.labels[MANAGED_BY_LABEL], MANAGER);
    assert_eq!(metadata.labels["a"], "b");
    assert_eq!(metadata.annotations.keys().collect::<Vec<_>>(), ["note"]);
    assert_eq!(metadata.owner_references[0].kind, "Endpoints");
    // Once stored there is nothing to do.
    check(&source, &stored(written, &["a", "b"]), expect![""]);
}

#[test]
fn changes_are_updates_and_what_is_not_wanted_goes() {
    let slices = stored(
        check(
            &endpoints(ONE),
            &[],
            expect!["create IPv4 :80 [10.0.0.1 10.0.0.2!]; create IPv6 :80 [fd00::1]"],
        ),
        &["a", "b"],
    );
    let ready = r#"{"addresses":[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}],"ports":[{"port":80,"name":"http","protocol":"TCP"}]}"#;
    check(
        &endpoints(ready),
        &slices,
        expect!["update a IPv4 :80 [10.0.0.1 10.0.0.2]; delete b"],
    );
    // Other ports: the slice that is not needed any more is used again.
    let moved = r#"{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":81,"name":"http","protocol":"TCP"}]}"#;
    check(
        &endpoints(moved),
        &slices,
        expect!["update a IPv4 :81 [10.0.0.1]; delete b"],
    );
    let mut labelled = endpoints(ONE);
    labelled.metadata.labels.insert("c".into(), "d".into());
    check(
        &labelled,
        &slices,
        expect!["update a IPv4 :80 [10.0.0.1 10.0.0.2!]; update b IPv6 :80 [fd00::1]"],
    );
    check(&endpoints(""), &slices, expect!["delete a; delete b"]);
}

#[test]
fn subsets_are_brought_into_one_form() {
    // Twice the same port, once unready, and two ports with the same addresses.
    let scattered = r#"
        {"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":80}]},
        {"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":81}]},
        {"addresses":[{"ip":"10.0.0.2"}],"notReadyAddresses":[{"ip":"10.0.0.1"}],"ports":[{"port":80}]},
        {"addresses":[{"ip":"10.0.0.2"}],"notReadyAddresses":[{"ip":"10.0.0.1"}],"ports":[{"port":81}]}"#;
    check(
        &endpoints(scattered),
        &[],
        expect!["create IPv4 :80,81 [10.0.0.1! 10.0.0.2]"],
    );
    check(
        &endpoints(r#"{"addresses":[{"ip":"10.0.0.1"}]}"#),
        &[],
        expect!["create IPv4 : [10.0.0.1]"],
    );
}

#[test]
fn addresses_beyond_the_limit_and_unreadable_ones_are_left_out() {
    let many = r#"{"addresses":[{"ip":"10.0.0.1"},{"ip":"nonsense"},{"ip":"10.0.0.02"},{"ip":"10.0.0.3"},
        {"ip":"10.0.0.4"}],"ports":[{"port":80}]}"#;
    check(
        &endpoints(many),
        &[],
        expect!["create IPv4 :80 [10.0.0.1 10.0.0.2 10.0.0.3]; skipped 2, invalid 0"],
    );
    let unreadable = r#"{"addresses":[{"ip":"nonsense"}],"ports":[{"port":80}]}"#;
    check(&endpoints(unreadable), &[], expect!["skipped 1, invalid 1"]);
}

#[test]
fn what_is_not_mirrored() {
    assert!(is_mirrored(&endpoints("")));
    let mut skipped = endpoints("");
    skipped.metadata.labels.insert(SKIP_LABEL.into(), "true".into());
    assert!(!is_mirrored(&skipped));
    let mut lock = endpoints("");
    lock.metadata
        .annotations
        .insert(LEADER_ANNOTATION.into(), "{}".into());
    assert!(!is_mirrored(&lock));
}
