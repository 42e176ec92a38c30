//! The checker accepts what a right store does, and finds what a wrong one does.

use super::check;
use super::model::{Plant, simulate};

const SEEDS: u64 = 100;
const STEPS: u64 = 600;

#[test]
fn a_right_store_is_accepted() {
    for seed in 0..SEEDS {
        let (history, _) = simulate(seed, STEPS, Plant::Nothing);
        let violations = check(&history);
        assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    }
}

/// The plant is found, and told as one of the `names`, in all histories that have it but for one in fifty: what
/// nobody could have noticed (an event of which there is no other trace, a delete that another one makes good).
fn check_found(plant: Plant, names: &[&str]) {
    let (mut planted, mut missed) = (0, Vec::new());
    for seed in 0..SEEDS {
        let (history, is_planted) = simulate(seed, STEPS, plant);
        if !is_planted {
            continue;
        }
        planted += 1;
        let violations = check(&history);
        let is_named = violations.iter().any(|violation| {
            let text = format!("{violation:?}");
            names.iter().any(|name| text.starts_with(name))
        });
        if !is_named {
            missed.push((seed, violations));
        }
    }
    assert!(planted > SEEDS / 4, "{plant:?}: only {planted} histories have it");
    assert!(
        missed.len() as u64 <= planted / 50,
        "{plant:?}, of {planted}: {missed:?}"
    );
}

#[test]
fn lost_updates_are_found() {
    check_found(Plant::LostUpdate, &["LostUpdate", "WroteToNothing"]);
    check_found(Plant::LostPatch, &["LostUpdate", "Unwritten"]);
}

#[test]
fn stale_reads_are_found() {
    check_found(Plant::StaleGet, &["NotLinearizable"]);
    check_found(Plant::StaleList, &["NotLinearizable"]);
    check_found(Plant::TornList, &["NotInState", "MissingFromState"]);
    check_found(
        Plant::ShortList,
        &[
            "MissingFromState",
            "NotLinearizable",
            "Vanished",
            "StatesDisagree",
            "ReadAfterDelete",
        ],
    );
}

#[test]
fn lost_writes_are_found() {
    check_found(
        Plant::LostWrite,
        &[
            "RevisionReused",
            "NotLinearizable",
            "Vanished",
            "LostUpdate",
            "WrongEvent",
            "MissingFromState",
            "NotInState",
            "LostEvent",
            "OutOfOrder",
            "StatesDisagree",
        ],
    );
    check_found(
        Plant::LostDelete,
        &[
            "ReadAfterDelete",
            "NotLinearizable",
            "DeletedTwice",
            "NotInState",
            "StatesDisagree",
            "PreconditionIgnored",
        ],
    );
    check_found(Plant::AppliedRefusal, &["RefusedButApplied"]);
    check_found(
        Plant::TimeTravel,
        &[
            "RevisionReused",
            "NotLinearizable",
            "LostUpdate",
            "Vanished",
            "NotInState",
            "OutOfOrder",
            "WroteToNothing",
        ],
    );
}

#[test]
fn what_watches_get_wrong_is_found() {
    check_found(Plant::LostEvent, &["LostEvent"]);
    check_found(Plant::RepeatedEvent, &["Duplicate"]);
    check_found(Plant::SwappedEvents, &["OutOfOrder", "LostEvent"]);
    check_found(Plant::EarlyBookmark, &["LostEvent"]);
    check_found(Plant::Expired, &["Expired"]);
    check_found(Plant::Silence, &["Stalled"]);
}
