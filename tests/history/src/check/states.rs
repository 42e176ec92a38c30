//! Lists, and the beginnings of watches that start with the state: what they show is the state at their revision.

use std::collections::BTreeMap;

use super::timeline::{Ending, NEVER, Standing, Timelines};
use super::violation::Violation;
use crate::record::{Answer, Call, Freshness, History, Item, Key, Revision, Seen, Selection, Session, Start};

/// A state that someone was shown.
struct Shown<'a> {
    revision: Revision,
    selection: Selection,
    items: BTreeMap<Key, &'a Item>,
}

/// Checks all states that were shown; narrows down when objects were deleted whose deletion nobody saw.
pub fn check(history: &History, timelines: &mut Timelines, violations: &mut Vec<Violation>) {
    let mut states = Vec::new();
    for operation in &history.operations {
        let (Call::List { freshness, selection }, Answer::Listed { revision, items }) =
            (&operation.call, &operation.answer)
        else {
            continue;
        };
        if let Some(asked) = misses(*freshness, *revision) {
            violations.push(Violation::WrongRevision {
                id: operation.id,
                revision: *revision,
                asked,
            });
        }
        states.push(shown(*revision, *selection, items, violations));
    }
    for session in &history.sessions {
        if let Some((revision, items)) = initial_state(session) {
            states.push(shown(revision, session.selection, items, violations));
        }
    }
    for state in &states {
        narrow(state, timelines);
    }
    contradictions(timelines, violations);
    for state in &states {
        compare(state, timelines, violations);
    }
}

/// The revision that was asked for, if the list is not of it.
fn misses(freshness: Freshness, revision: Revision) -> Option<Revision> {
    match freshness {
        Freshness::AtLeast(asked) if revision < asked => Some(asked),
        Freshness::Exactly(asked) if revision != asked => Some(asked),
        _ => None,
    }
}

/// The initial events and the bookmark that ends them, if the watch got that far.
pub fn initial_state(session: &Session) -> Option<(Revision, Vec<&Item>)> {
    if !matches!(session.start, Start::State) {
        return None;
    }
    let mut items = Vec::new();
    for seen in &session.seen {
        match seen {
            Seen::Event { item, .. } => items.push(item),
            Seen::Bookmark { revision, .. } => return Some((*revision, items)),
        }
    }
    None
}

fn shown<'a>(
    revision: Revision,
    selection: Selection,
    items: impl IntoIterator<Item = &'a Item>,
    violations: &mut Vec<Violation>,
) -> Shown<'a> {
    let mut by_key = BTreeMap::new();
    let mut last = None;
    for item in items {
        if last.is_some_and(|last| item.key <= last) {
            violations.push(Violation::ListOrder { revision });
        }
        last = Some(item.key);
        by_key.insert(item.key, item);
    }
    Shown {
        revision,
        selection,
        items: by_key,
    }
}

/// Where nobody saw the deletion: the object was there at least as long as a state shows it, and gone by the first
/// that does not.
fn narrow(state: &Shown<'_>, timelines: &mut Timelines) {
    for (key, timeline) in timelines {
        let Some(index) = timeline.lifetime_at(state.revision) else {
            continue;
        };
        let lifetime = &mut timeline.lifetimes[index];
        let Ending::Between { after, before } = lifetime.end else {
            continue;
        };
        let selected = lifetime.versions.last().is_some_and(|item| {
            item.revision <= state.revision && state.selection.matches(item.key, item.value)
        });
        if !selected {
            continue;
        }
        lifetime.end = if state.items.contains_key(key) {
            Ending::Between {
                after: after.max(state.revision),
                before,
            }
        } else {
            Ending::Between {
                after,
                before: before.min(state.revision),
            }
        };
    }
}

fn contradictions(timelines: &mut Timelines, violations: &mut Vec<Violation>) {
    for (key, timeline) in timelines {
        for lifetime in &mut timeline.lifetimes {
            let Ending::Between { after, before } = lifetime.end else {
                continue;
            };
            if after >= before && before != NEVER {
                violations.push(Violation::StatesDisagree {
                    key: *key,
                    present: after,
                    absent: before,
                });
                // Told once; what else depends on it is left open.
                lifetime.end = Ending::Between {
                    after: before.saturating_sub(1),
                    before: after.saturating_add(1),
                };
            }
        }
    }
}

fn compare(state: &Shown<'_>, timelines: &Timelines, violations: &mut Vec<Violation>) {
    for (key, timeline) in timelines {
        let shown = state.items.get(key).copied();
        let wanted = match timeline.at(state.revision) {
            Standing::Absent => None,
            Standing::Present(item) => Some(item),
            Standing::Either(item) => shown.map(|_| item),
        };
        let wanted = wanted.filter(|item| state.selection.matches(item.key, item.value));
        match (wanted, shown) {
            (wanted, Some(shown)) if wanted != Some(shown) => violations.push(Violation::NotInState {
                revision: state.revision,
                shown: shown.clone(),
            }),
            (Some(missing), None) => violations.push(Violation::MissingFromState {
                revision: state.revision,
                missing: missing.clone(),
            }),
            _ => {}
        }
    }
}
