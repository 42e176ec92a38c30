use api::Message;
use serde_json::json;

use super::*;
use crate::conditions::set;

fn definition(plural: &str, singular: &str, short: &[&str], kind: &str) -> CustomResourceDefinition {
    let document = json!({
        "metadata": {"name": format!("{plural}.x.io")},
        "spec": {"group": "x.io", "names": {
            "plural": plural, "singular": singular, "shortNames": short, "kind": kind, "listKind": format!("{kind}List"),
        }},
    });
    CustomResourceDefinition::from_json(document.to_string().as_bytes()).expect("a definition")
}

fn apply(definition: &mut CustomResourceDefinition, decision: &Decision) {
    definition.status.accepted_names = decision.accepted.clone();
    for condition in [&decision.names, &decision.established] {
        set(definition, condition.clone(), jiff::Timestamp::UNIX_EPOCH);
    }
}

/// Decides until nothing changes; what each definition then says.
#[track_caller]
fn check(mut definitions: Vec<CustomResourceDefinition>, expected: &[&str]) -> Vec<CustomResourceDefinition> {
    for _ in 0..2 {
        let decisions = decide(&definitions.iter().collect::<Vec<_>>());
        for (definition, decision) in definitions.iter_mut().zip(decisions) {
            decision.iter().for_each(|decision| apply(definition, decision));
        }
    }
    let said: Vec<String> = definitions
        .iter()
        .map(|definition| {
            let says = |kind: &str| {
                let found = find(definition, kind).expect("decided");
                format!("{} {}", found.status, found.reason)
            };
            let why = &find(definition, NAMES_ACCEPTED).expect("decided").message;
            format!("{}; {}; {why}", says(NAMES_ACCEPTED), says(ESTABLISHED))
        })
        .collect();
    assert_eq!(said, expected);
    let again = decide(&definitions.iter().collect::<Vec<_>>());
    assert!(again.iter().all(Option::is_none), "nothing is left to decide");
    definitions
}

const FINE: &str = "True NoConflicts; True InitialNamesAccepted; no conflicts found";

#[test]
fn who_comes_first_has_the_name() {
    check(vec![definition("as", "a", &["x"], "A")], &[FINE]);
    check(
        vec![
            definition("as", "a", &["x"], "A"),
            definition("bs", "b", &["y", "x", "a"], "B"),
        ],
        &[
            FINE,
            "False ShortNamesConflict; False NotAccepted; [\"x\" is already in use, \"a\" is already in use]",
        ],
    );
    check(
        vec![definition("as", "a", &[], "A"), definition("bs", "a", &[], "A")],
        &[
            FINE,
            "False ListKindConflict; False NotAccepted; \"AList\" is already in use",
        ],
    );
}

#[test]
fn who_is_established_stays_so() {
    let mut definitions = check(
        vec![definition("as", "a", &[], "A"), definition("bs", "b", &[], "B")],
        &[FINE, FINE],
    );
    definitions[1].spec.names.singular = "a".to_owned();
    let definitions = check(
        definitions,
        &[
            FINE,
            "False SingularConflict; True InitialNamesAccepted; \"a\" is already in use",
        ],
    );
    assert_eq!(definitions[1].status.accepted_names.singular, "b");
    // The name becomes free.
    check(vec![definitions[1].clone()], &[FINE]);
}
