//! Keys with a time to live, by time. Pure: `now` is told.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use super::plan::Planned;
use crate::Key;

/// When which key is to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expiries {
    by_key: HashMap<Key, SystemTime>,
    by_time: BTreeSet<(SystemTime, Key)>,
}

impl Expiries {
    /// Sets, moves or clears the time of a key.
    pub fn set(&mut self, key: &Key, expires: Option<SystemTime>) {
        if let Some(before) = self.by_key.remove(key) {
            self.by_time.remove(&(before, key.clone()));
        }
        if let Some(at) = expires {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }

    /// Follows a committed change: each write of a key decides anew about its time.
    pub fn follow(&mut self, change: &Planned) {
        self.set(change.event.key(), change.expires);
    }

    /// When the next key expires.
    pub fn next(&self) -> Option<SystemTime> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Keys whose time has come, earliest first, at most `limit`.
    pub fn due(&self, now: SystemTime, limit: usize) -> Vec<Key> {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        due.take(limit).map(|(_, key)| key.clone()).collect()
    }

    pub fn get(&self, key: &[u8]) -> Option<SystemTime> {
        self.by_key.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn due_in_order_of_time_and_movable() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut expiries = Expiries::default();
        for (key, seconds) in [("c", 3), ("a", 9), ("b", 5)] {
            expiries.set(&Key::from(key), Some(at(seconds)));
        }
        expiries.set(&Key::from("a"), Some(at(1)));
        expiries.set(&Key::from("c"), None);
        assert_eq!(expiries.next(), Some(at(1)));
        assert_eq!(expiries.due(at(4), 10), [Key::from("a")]);
        assert_eq!(expiries.due(at(5), 10), [Key::from("a"), Key::from("b")]);
        assert_eq!(expiries.due(at(5), 1), [Key::from("a")]);
        assert_eq!(expiries.get(b"c"), None);
    }
}
