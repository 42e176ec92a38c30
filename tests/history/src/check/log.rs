//! All changes in the order of their revisions, as watches must tell them.

use super::timeline::{Ending, Timelines};
use crate::record::{Change, Item, Key, Revision, Selection, Value};

/// What stood there before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Value(Value),
    /// A version that nobody saw.
    Unseen,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Entry {
    pub revision: Revision,
    pub key: Key,
    before: Before,
    /// `None`: deleted.
    after: Option<Value>,
    uid: String,
}

/// What a watcher with a selection must be told of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Nothing,
    /// This event.
    Event(Change, Item),
    /// Either nothing or an event: what was before is not known.
    Unknown,
}

/// In the order of revisions.
pub fn build(timelines: &Timelines) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (key, timeline) in timelines {
        for lifetime in &timeline.lifetimes {
            let mut before = if lifetime.begins_with_creation {
                Before::Nothing
            } else {
                Before::Unseen
            };
            for item in &lifetime.versions {
                if lifetime.after_unseen.contains(&item.revision) {
                    before = Before::Unseen;
                }
                entries.push(Entry {
                    revision: item.revision,
                    key: *key,
                    before,
                    after: Some(item.value),
                    uid: lifetime.uid.clone(),
                });
                before = Before::Value(item.value);
            }
            if let (Ending::At(revision), Some(last)) = (lifetime.end, lifetime.last) {
                entries.push(Entry {
                    revision,
                    key: *key,
                    before: Before::Value(last),
                    after: None,
                    uid: lifetime.uid.clone(),
                });
            }
        }
    }
    entries.sort_by_key(|entry| entry.revision);
    entries
}

impl Entry {
    /// A change that brings an object into the selection adds it, one that takes it out deletes it.
    pub fn expected(&self, selection: Selection) -> Expected {
        let matches = |value: Value| selection.matches(self.key, value);
        let item = |value: Value| Item {
            key: self.key,
            revision: self.revision,
            uid: self.uid.clone(),
            value,
        };
        let is_half = matches!(selection, Selection::Half(_));
        match (self.before, self.after) {
            (Before::Unseen, _) if is_half => Expected::Unknown,
            (Before::Nothing, Some(after)) if matches(after) => Expected::Event(Change::Added, item(after)),
            (Before::Unseen, Some(after)) if matches(after) => Expected::Event(Change::Modified, item(after)),
            (Before::Value(before), Some(after)) => match (matches(before), matches(after)) {
                (true, true) => Expected::Event(Change::Modified, item(after)),
                (false, true) => Expected::Event(Change::Added, item(after)),
                (true, false) => Expected::Event(Change::Deleted, item(before)),
                (false, false) => Expected::Nothing,
            },
            (Before::Value(before), None) if matches(before) => {
                Expected::Event(Change::Deleted, item(before))
            }
            _ => Expected::Nothing,
        }
    }
}
