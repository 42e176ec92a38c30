use expect_test::{Expect, expect};

use crate::rules::Routing;
use crate::scenario::Scenario;

/// One service port; prints the endpoint sets and the two decisions.
fn check(text: &str, expected: Expect) {
    let scenario = Scenario::parse(text);
    let input = scenario.input();
    let (name, port) = scenario.service_ports.first_key_value().unwrap();
    let routing = Routing::new(name, port, &input);
    let list = |set: &[&crate::model::Endpoint]| {
        let ips: Vec<_> = set.iter().map(|e| e.address.ip().to_string()).collect();
        ips.join(" ")
    };
    let sets = &routing.endpoints;
    let text = format!(
        "cluster [{}] local [{}] reachable [{}] internal {:?} external {:?}",
        list(&sets.cluster),
        list(&sets.local),
        list(&sets.reachable),
        routing.internal,
        routing.external
    );
    expected.assert_eq(&text);
}

const PLAIN: &str = "service ns/svc tcp 10.96.0.1:80";
const LOCAL: &str = "service ns/svc tcp 10.96.0.1:80 nodeport=30000 external=Local";

#[test]
fn ready_endpoints_serve() {
    check(
        &format!(
            "{PLAIN}\n endpoint 10.0.0.1:80\n endpoint 10.0.0.2:80 not-ready\n endpoint 10.0.0.3:80 terminating"
        ),
        expect![
            "cluster [10.0.0.1] local [] reachable [10.0.0.1] internal Serve(Cluster) external Serve(Cluster)"
        ],
    );
}

#[test]
fn terminating_endpoints_serve_when_nothing_else_does() {
    check(
        &format!("{PLAIN}\n endpoint 10.0.0.2:80 not-ready\n endpoint 10.0.0.3:80 terminating"),
        expect![
            "cluster [10.0.0.3] local [] reachable [10.0.0.3] internal Serve(Cluster) external Serve(Cluster)"
        ],
    );
    check(
        &format!("{LOCAL}\n endpoint 10.0.0.1:80\n endpoint 10.0.0.3:80 local terminating"),
        expect![
            "cluster [10.0.0.1] local [10.0.0.3] reachable [10.0.0.1 10.0.0.3] internal Serve(Cluster) external Serve(Local)"
        ],
    );
}

#[test]
fn without_endpoints_traffic_is_rejected() {
    check(
        PLAIN,
        expect!["cluster [] local [] reachable [] internal Reject external Reject"],
    );
    check(
        &format!("{PLAIN}\n endpoint 10.0.0.2:80 not-ready"),
        expect!["cluster [] local [] reachable [] internal Reject external Reject"],
    );
}

#[test]
fn a_local_policy_without_local_endpoints_drops() {
    check(
        &format!("{LOCAL}\n endpoint 10.0.0.1:80"),
        expect!["cluster [10.0.0.1] local [] reachable [10.0.0.1] internal Serve(Cluster) external Drop"],
    );
    check(
        "service ns/svc tcp 10.96.0.1:80 internal=Local\n endpoint 10.0.0.1:80",
        expect!["cluster [] local [] reachable [] internal Drop external Serve(Cluster)"],
    );
}

#[test]
fn hints_narrow_the_choice_when_they_cover_every_endpoint() {
    let zoned = "endpoint 10.0.0.1:80 zones=z1\n endpoint 10.0.0.2:80 zones=z2";
    check(
        &format!("node zone=z1\n {PLAIN}\n {zoned}"),
        expect![
            "cluster [10.0.0.1] local [] reachable [10.0.0.1] internal Serve(Cluster) external Serve(Cluster)"
        ],
    );
    check(
        &format!("node zone=z1\n {PLAIN}\n {zoned}\n endpoint 10.0.0.3:80"),
        expect![
            "cluster [10.0.0.1 10.0.0.2 10.0.0.3] local [] reachable [10.0.0.1 10.0.0.2 10.0.0.3] internal Serve(Cluster) external Serve(Cluster)"
        ],
    );
    check(
        &format!("node zone=z3\n {PLAIN}\n {zoned}"),
        expect![
            "cluster [10.0.0.1 10.0.0.2] local [] reachable [10.0.0.1 10.0.0.2] internal Serve(Cluster) external Serve(Cluster)"
        ],
    );
    check(
        &format!(
            "node zone=z1\n {PLAIN}\n endpoint 10.0.0.1:80 zones=z1 nodes=node-2\n endpoint 10.0.0.2:80 zones=z2 nodes=node-1"
        ),
        expect![
            "cluster [10.0.0.2] local [] reachable [10.0.0.2] internal Serve(Cluster) external Serve(Cluster)"
        ],
    );
}
