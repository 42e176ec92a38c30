//! Everything that anyone saw, by key and revision.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::record::{
    Answer, Call, Change, History, Item, Key, OpId, Operation, Revision, Seen, Selection, Value,
};

/// What was seen at one revision.
pub enum Sight {
    Version(Item),
    Deletion(Item),
}

/// Everything that was seen, by key and revision.
#[derive(Default)]
pub struct Sights {
    pub by_key: BTreeMap<Key, BTreeMap<Revision, Sight>>,
    keys: BTreeMap<Revision, Key>,
}

impl Sights {
    fn add(&mut self, item: &Item, is_deletion: bool, violations: &mut Vec<Violation>) {
        let make = if is_deletion {
            Sight::Deletion
        } else {
            Sight::Version
        };
        let mut reused = |one: String| {
            violations.push(Violation::RevisionReused {
                revision: item.revision,
                one,
                other: format!("{item:?}"),
            });
        };
        let key = *self.keys.entry(item.revision).or_insert(item.key);
        if key != item.key {
            return reused(format!("a write of object {key}"));
        }
        match self.by_key.entry(item.key).or_default().entry(item.revision) {
            Entry::Vacant(vacant) => {
                vacant.insert(make(item.clone()));
            }
            Entry::Occupied(occupied) => match occupied.get() {
                Sight::Version(known) if known != item || is_deletion => reused(format!("{known:?}")),
                Sight::Deletion(known) if known != item || !is_deletion => {
                    reused(format!("the deletion of {known:?}"));
                }
                _ => {}
            },
        }
    }
}

pub fn collect(history: &History, violations: &mut Vec<Violation>) -> Sights {
    let mut sights = Sights::default();
    for operation in &history.operations {
        match &operation.answer {
            Answer::Object(item) => sights.add(item, false, violations),
            Answer::Listed { items, .. } => {
                items.iter().for_each(|item| sights.add(item, false, violations));
            }
            _ => {}
        }
    }
    for session in &history.sessions {
        // A selector makes deletions of changes: what ceased to match.
        let tells_deletions = !matches!(session.selection, Selection::Half(_));
        for seen in &session.seen {
            match seen {
                Seen::Event {
                    change: Change::Deleted,
                    item,
                    ..
                } if tells_deletions => sights.add(item, true, violations),
                Seen::Event {
                    change: Change::Added | Change::Modified,
                    item,
                    ..
                } => sights.add(item, false, violations),
                _ => {}
            }
        }
    }
    sights
}

/// The writes whose effect was seen; each may have one effect, and only if it was not refused.
pub fn effects(
    sights: &Sights,
    writes: &BTreeMap<OpId, &Operation>,
    violations: &mut Vec<Violation>,
) -> BTreeSet<OpId> {
    let mut effects: BTreeMap<OpId, Revision> = BTreeMap::new();
    for (key, sight) in sights
        .by_key
        .iter()
        .flat_map(|(key, sights)| sights.values().map(move |sight| (key, sight)))
    {
        let Sight::Version(item) = sight else { continue };
        let id = item.value.last;
        match writes.get(&id) {
            Some(write) if write.key == *key && may_have_written(write, item.value) => {
                if matches!(write.answer, Answer::Refused(_)) {
                    violations.push(Violation::RefusedButApplied {
                        id,
                        revision: item.revision,
                    });
                }
            }
            _ => violations.push(Violation::Unwritten { item: item.clone() }),
        }
        if let Some(first) = effects.insert(id, item.revision) {
            violations.push(Violation::AppliedTwice {
                id,
                first,
                second: item.revision,
            });
        }
    }
    effects.into_keys().collect()
}

fn may_have_written(write: &Operation, value: Value) -> bool {
    match write.call {
        Call::Create | Call::Update { .. } => value == Value::whole(write.id),
        Call::Patch => value.last == write.id && value.base != write.id,
        Call::Delete(_) | Call::Get | Call::List { .. } => false,
    }
}
