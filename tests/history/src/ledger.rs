//! What a watcher must see of objects that count: pure, and in memory that does not grow with the events.
//!
//! Each object's owner raises its count by one with every create and update, and deletes it at times: the next
//! create goes on from there. So each event has exactly one predecessor, and a ledger of the last counts shows at
//! once what is lost, repeated or out of order.

use std::collections::HashMap;

use crate::record::{Change, Revision};

/// What is wrong with an event or a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("{name}: {change:?} with count {count} at {revision} after {before:?}")]
    Count {
        name: String,
        change: Change,
        count: u64,
        revision: Revision,
        before: Option<Known>,
    },
    #[error("{name}: revision {revision} came after {position}")]
    Order {
        name: String,
        revision: Revision,
        position: Revision,
    },
    #[error("{name}: a list at {revision} shows {shown:?}, which is older than {known:?}")]
    OldList {
        name: String,
        revision: Revision,
        shown: Option<u64>,
        known: Known,
    },
}

/// The last that was seen of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub count: u64,
    pub exists: bool,
}

/// One watcher's view.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    known: HashMap<String, Known>,
    pub position: Revision,
    pub events: u64,
}

impl Ledger {
    /// A list takes the place of what was known; it must not be older.
    pub fn list(&mut self, revision: Revision, items: HashMap<String, u64>) -> Result<(), Wrong> {
        if revision < self.position {
            return Err(Wrong::Order {
                name: "a list".to_owned(),
                revision,
                position: self.position,
            });
        }
        for (name, known) in &mut self.known {
            let shown = items.get(name).copied();
            let is_older = match shown {
                Some(count) => count < known.count || (count == known.count && !known.exists),
                // It may have been deleted since, at whatever count.
                None => false,
            };
            if is_older {
                return Err(Wrong::OldList {
                    name: name.clone(),
                    revision,
                    shown,
                    known: *known,
                });
            }
        }
        // What a list does not show went at a count that nobody has told.
        self.known.clear();
        let items = items.into_iter();
        self.known
            .extend(items.map(|(name, count)| (name, Known { count, exists: true })));
        self.position = revision;
        Ok(())
    }

    pub fn event(&mut self, change: Change, name: &str, count: u64, revision: Revision) -> Result<(), Wrong> {
        if revision <= self.position {
            return Err(Wrong::Order {
                name: name.to_owned(),
                revision,
                position: self.position,
            });
        }
        let before = self.known.get(name).copied();
        let fits = match (change, before) {
            (Change::Added, Some(before)) => !before.exists && count == before.count + 1,
            // Not in the list that the watcher began with: its count is not known.
            (Change::Added, None) => true,
            (Change::Modified, Some(before)) => before.exists && count == before.count + 1,
            (Change::Deleted, Some(before)) => before.exists && count == before.count,
            (_, None) => false,
        };
        if !fits {
            return Err(Wrong::Count {
                name: name.to_owned(),
                change,
                count,
                revision,
                before,
            });
        }
        let exists = change != Change::Deleted;
        match self.known.get_mut(name) {
            Some(known) => *known = Known { count, exists },
            None => drop(self.known.insert(name.to_owned(), Known { count, exists })),
        }
        self.position = revision;
        self.events += 1;
        Ok(())
    }

    pub fn bookmark(&mut self, revision: Revision) -> Result<(), Wrong> {
        if revision < self.position {
            return Err(Wrong::Order {
                name: "a bookmark".to_owned(),
                revision,
                position: self.position,
            });
        }
        self.position = revision;
        Ok(())
    }

    /// The objects that exist, with their counts.
    pub fn objects(&self) -> HashMap<String, u64> {
        let existing = self.known.iter().filter(|(_, known)| known.exists);
        existing
            .map(|(name, known)| (name.clone(), known.count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Added, Deleted, Modified};

    /// Begins with `a` at 5 in a list at revision 10; true if the events fit.
    fn check(events: &[(Change, &str, u64, Revision)]) -> bool {
        let mut ledger = Ledger::default();
        ledger
            .list(10, HashMap::from([("a".to_owned(), 5)]))
            .expect("a first list");
        events
            .iter()
            .all(|(change, name, count, revision)| ledger.event(*change, name, *count, *revision).is_ok())
    }

    #[test]
    fn what_counts_up_is_right() {
        assert!(check(&[
            (Modified, "a", 6, 11),
            (Added, "b", 1, 13),
            (Deleted, "a", 6, 14),
            (Added, "a", 7, 15)
        ]));
    }

    #[test]
    fn what_is_lost_repeated_or_out_of_order_is_found() {
        assert!(!check(&[(Modified, "a", 7, 12)]), "lost");
        assert!(
            !check(&[(Modified, "a", 6, 11), (Modified, "a", 6, 11)]),
            "repeated"
        );
        assert!(
            !check(&[(Modified, "a", 6, 11), (Modified, "a", 6, 12)]),
            "repeated anew"
        );
        assert!(
            !check(&[(Modified, "a", 6, 12), (Added, "b", 1, 11)]),
            "out of order"
        );
        assert!(!check(&[(Modified, "a", 6, 9)]), "before the list");
        assert!(!check(&[(Added, "a", 6, 11)]), "a deletion is lost");
        assert!(
            !check(&[(Deleted, "a", 5, 11), (Modified, "a", 6, 12)]),
            "a creation is lost"
        );
        assert!(!check(&[(Deleted, "b", 1, 11)]), "a creation is lost");
        assert!(
            !check(&[(Deleted, "a", 6, 11)]),
            "a change is lost before a deletion"
        );
    }

    #[test]
    fn lists_and_bookmarks_do_not_go_back() {
        let mut ledger = Ledger::default();
        let list = |count| HashMap::from([("a".to_owned(), count)]);
        ledger.list(10, list(5)).expect("a first list");
        assert!(ledger.list(12, list(4)).is_err(), "an older count");
        assert!(ledger.list(9, list(6)).is_err(), "an older revision");
        ledger.list(12, list(7)).expect("a newer list");
        assert!(ledger.bookmark(11).is_err());
        ledger.bookmark(20).expect("a bookmark ahead");
        assert!(
            ledger.event(Modified, "a", 8, 19).is_err(),
            "an event behind a bookmark"
        );
        ledger.event(Modified, "a", 8, 21).expect("the next");
        assert_eq!(ledger.objects(), list(8));
    }
}
