//! Answers by question, each good for some time; pure, given the time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How many answers are kept: the users of a node's server are few, and one that asks as many cannot push the
/// daemon out of memory.
const CAPACITY: usize = 4096;

/// A bounded map whose entries expire.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: HashMap<K, (V, Duration)>,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// The answer, unless it is too old. `now` is a time since any fixed origin.
    pub fn get(&self, key: &K, now: Duration) -> Option<V> {
        self.entries
            .get(key)
            .filter(|(_, until)| now < *until)
            .map(|(answer, _)| answer.clone())
    }

    /// Keeps the answer for `ttl`. A full cache drops what has expired, and if that is nothing, all of it.
    pub fn put(&mut self, key: K, answer: V, ttl: Duration, now: Duration) {
        if ttl.is_zero() {
            return;
        }
        if self.entries.len() >= CAPACITY {
            self.entries.retain(|_, (_, until)| now < *until);
        }
        if self.entries.len() >= CAPACITY {
            self.entries.clear();
        }
        self.entries.insert(key, (answer, now + ttl));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn answers_expire() {
        let mut cache = Cache::default();
        cache.put("q", 1, s(10), s(0));
        assert_eq!(cache.get(&"q", s(9)), Some(1));
        assert_eq!(cache.get(&"q", s(10)), None);
        cache.put("never", 1, s(0), s(0));
        assert_eq!(cache.get(&"never", s(0)), None);
    }

    #[test]
    fn the_number_of_answers_is_bounded() {
        let mut cache = Cache::default();
        for i in 0..3 * CAPACITY {
            cache.put(i, (), s(10), s(0));
            assert!(cache.entries.len() <= CAPACITY);
        }
        for i in 0..CAPACITY {
            cache.put(i, (), s(10), s(20));
        }
        assert_eq!(
            cache.get(&0, s(21)),
            Some(()),
            "what is fresh stays when the old makes room"
        );
    }
}
