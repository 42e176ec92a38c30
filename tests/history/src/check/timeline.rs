//! The versions of each object in the order of their revisions.
//!
//! Reading order: here what a timeline is, `sights` (everything that anyone saw), `walk` (makes timelines of it).

use std::collections::{BTreeMap, BTreeSet};

use super::violation::Violation;
use crate::record::{History, Item, Key, Revision, Value};

mod sights;
mod walk;

use walk::Walk;

/// No revision is as large.
pub const NEVER: Revision = Revision::MAX;

/// How the life of an object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did not.
    Alive,
    /// By the deletion with this revision.
    At(Revision),
    /// Nobody saw the deletion. If there was one, its revision is greater than `after` and at most `before`.
    Between { after: Revision, before: Revision },
}

/// An object between its creation and its deletion. Other lives of the same name have other uids.
#[derive(Clone, Debug)]
pub struct Lifetime {
    pub uid: String,
    /// Never empty.
    pub versions: Vec<Item>,
    /// Whether the first version is that of the creation: else one before it was seen by nobody.
    pub begins_with_creation: bool,
    /// Versions before which another was that nobody saw.
    pub after_unseen: BTreeSet<Revision>,
    /// What stood there when it was deleted, where that was seen.
    pub last: Option<Value>,
    pub end: Ending,
}

impl Lifetime {
    pub fn first(&self) -> Revision {
        self.versions.first().map_or(NEVER, |item| item.revision)
    }

    /// Positions in which the object may exist end before this one.
    pub fn present_before(&self) -> Revision {
        match self.end {
            Ending::Alive => NEVER,
            Ending::At(revision) => revision,
            Ending::Between { before, .. } => before,
        }
    }

    /// From this position on it may be gone.
    pub fn absent_from(&self) -> Revision {
        match self.end {
            Ending::Alive => NEVER,
            Ending::At(revision) => revision,
            Ending::Between { after, .. } => after + 1,
        }
    }

    /// Positions in which this version may be the object: from its revision to (not including) the result.
    pub fn version_before(&self, revision: Revision) -> Revision {
        let next = self.versions.partition_point(|item| item.revision <= revision);
        let next = self.versions.get(next).map_or(NEVER, |item| item.revision);
        next.min(self.present_before())
    }
}

/// All lives of one name.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pub lifetimes: Vec<Lifetime>,
    /// Writes without an answer, whose effect nobody saw: they may have stood there for a while.
    pub has_unseen_writes: bool,
}

/// What stands at a name as of one position.
pub enum Standing<'a> {
    Absent,
    Present(&'a Item),
    /// Nobody saw when it was deleted.
    Either(&'a Item),
}

impl Timeline {
    /// The lifetime that a position falls into, or that ended before it.
    pub fn lifetime_at(&self, position: Revision) -> Option<usize> {
        self.lifetimes
            .partition_point(|lifetime| lifetime.first() <= position)
            .checked_sub(1)
    }

    pub fn at(&self, position: Revision) -> Standing<'_> {
        let Some(lifetime) = self.lifetime_at(position).map(|index| &self.lifetimes[index]) else {
            return Standing::Absent;
        };
        let next = lifetime
            .versions
            .partition_point(|item| item.revision <= position);
        let item = &lifetime.versions[next - 1];
        if position < lifetime.absent_from() {
            Standing::Present(item)
        } else if position >= lifetime.present_before() {
            Standing::Absent
        } else {
            Standing::Either(item)
        }
    }

    pub fn with_uid(&self, uid: &str) -> Option<&Lifetime> {
        self.lifetimes.iter().find(|lifetime| lifetime.uid == uid)
    }
}

pub type Timelines = BTreeMap<Key, Timeline>;

/// Builds the timelines of all objects.
pub fn build(history: &History, violations: &mut Vec<Violation>) -> Timelines {
    let writes = history.writes();
    let sights = sights::collect(history, violations);
    let seen = sights::effects(&sights, &writes, violations);
    let mut walks: BTreeMap<Key, Walk<'_>> = BTreeMap::new();
    for operation in writes.values() {
        let walk = walks
            .entry(operation.key)
            .or_insert_with(|| Walk::new(operation.key, &writes));
        walk.note(operation, seen.contains(&operation.id));
    }
    for (key, sights) in sights.by_key {
        let walk = walks.entry(key).or_insert_with(|| Walk::new(key, &writes));
        for sight in sights.into_values() {
            walk.step(sight, violations);
        }
    }
    walks
        .into_iter()
        .map(|(key, walk)| (key, walk.finish(violations)))
        .collect()
}
