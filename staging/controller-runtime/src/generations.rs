//! A bounded map that forgets what wasn't used for long: two generations, of which the older is dropped when the
//! younger is full. Simpler than a list of uses, and as good at keeping what is in use.

use std::collections::HashMap;
use std::hash::Hash;

/// See the module.
#[derive(Debug)]
pub struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Keeps at least `capacity / 2` and at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Generations {
            young: HashMap::new(),
            old: HashMap::new(),
            capacity,
        }
    }

    /// The entry of a key, made when there is none; it counts as used.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.capacity / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        let aged = self.old.remove(&key);
        self.young.entry(key).or_insert_with(|| aged.unwrap_or_else(make))
    }

    /// Whether the key is kept; it counts as used.
    pub fn contains(&mut self, key: &K) -> bool
    where
        K: Clone,
    {
        if let Some(value) = self.old.remove(key) {
            self.entry(key.clone(), || value);
        }
        self.young.contains_key(key)
    }

    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_entries_survive_and_size_is_bounded() {
        let mut map = Generations::new(8);
        for key in 0..1000 {
            *map.entry(-1, || 0) += 1;
            map.entry(key, || 0);
            assert!(map.young.len() + map.old.len() <= 9);
        }
        assert_eq!(*map.entry(-1, || 0), 1000);
    }
}
