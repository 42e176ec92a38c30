//! The secondary index: entries by the value of a designated field, as a persistent ordered set.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};
use imbl::OrdSet;

use super::entry::Entry;

/// The fields that are indexed; an index is named by its position here.
pub(super) type IndexedFields = Arc<[&'static str]>;

/// Entries that have an indexed field, ordered by field, value, key.
#[derive(Clone)]
pub(super) struct FieldIndex {
    fields: IndexedFields,
    slots: OrdSet<Slot>,
}

/// An entry at its place in one index. Values live in the entry, not in the slot.
#[derive(Clone)]
struct Slot {
    field: u8,
    name: &'static str,
    entry: Arc<Entry>,
}

impl Slot {
    fn place(&self) -> Place<'_> {
        let value = self.entry.fields().get(self.name).unwrap_or_default();
        Place {
            field: self.field,
            value,
            key: self.entry.key(),
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    field: u8,
    value: &'a str,
    key: &'a [u8],
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl Equivalent<Slot> for Place<'_> {
    fn equivalent(&self, slot: &Slot) -> bool {
        *self == slot.place()
    }
}

impl Comparable<Slot> for Place<'_> {
    fn compare(&self, slot: &Slot) -> Ordering {
        self.cmp(&slot.place())
    }
}

impl FieldIndex {
    pub fn new(fields: IndexedFields) -> Self {
        Self {
            fields,
            slots: OrdSet::new(),
        }
    }

    /// Follows a change of one key.
    pub fn update(&mut self, previous: Option<&Arc<Entry>>, current: Option<&Arc<Entry>>) {
        for (field, name) in (0u8..).zip(self.fields.clone().iter()) {
            if let Some(entry) = previous {
                self.slots.remove(&Slot {
                    field,
                    name,
                    entry: entry.clone(),
                });
            }
            if let Some(entry) = current.filter(|entry| entry.fields().get(name).is_some()) {
                self.slots.insert(Slot {
                    field,
                    name,
                    entry: entry.clone(),
                });
            }
        }
    }

    /// Entries whose field has the value, after `after`, in key order; `None` when the field is not indexed.
    pub fn range<'a>(
        &'a self,
        name: &str,
        value: &'a str,
        after: Option<&'a [u8]>,
    ) -> Option<impl Iterator<Item = &'a Arc<Entry>>> {
        let field = self.fields.iter().position(|indexed| *indexed == name)? as u8;
        let start = match after {
            Some(key) => Bound::Excluded(Place { field, value, key }),
            None => Bound::Included(Place {
                field,
                value,
                key: b"",
            }),
        };
        let slots = self.slots.range::<_, Place<'a>>((start, Bound::Unbounded));
        Some(
            slots
                .take_while(move |slot| {
                    slot.field == field && slot.entry.fields().get(slot.name) == Some(value)
                })
                .map(|slot| &slot.entry),
        )
    }
}
