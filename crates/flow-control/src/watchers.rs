//! How many watchers the event of a change goes to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

/// What is watched, or changed. Empty: all of them.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub api_group: &'a str,
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Scope<'_> {
    /// Two scopes of one hash are counted together: this is for an estimate.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.api_group, self.resource, self.namespace, self.name).hash(&mut hasher);
        hasher.finish()
    }
}

/// Watches that are open. Bounded by their number.
#[derive(Clone, Debug, Default)]
pub struct Watchers {
    counts: Arc<Mutex<HashMap<u64, u64>>>,
}

impl Watchers {
    /// A watch began; it ends when the result is dropped.
    pub fn register(&self, scope: Scope<'_>) -> Registered {
        let key = scope.key();
        *self.counts.lock().entry(key).or_default() += 1;
        Registered {
            key,
            watchers: self.clone(),
        }
    }

    /// Watchers of the resource, of it in this namespace, and of this very object.
    pub fn interested(&self, changed: Scope<'_>) -> u64 {
        let counts = self.counts.lock();
        if counts.is_empty() {
            return 0;
        }
        let of = |scope: Scope<'_>| counts.get(&scope.key()).copied().unwrap_or(0);
        let everywhere = Scope {
            namespace: "",
            name: "",
            ..changed
        };
        let mut count = of(everywhere);
        if !changed.namespace.is_empty() {
            count += of(Scope { name: "", ..changed });
        }
        if !changed.name.is_empty() {
            count += of(changed);
        }
        count
    }
}

/// A watch that is counted.
#[derive(Debug)]
pub struct Registered {
    key: u64,
    watchers: Watchers,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.watchers.counts.lock().entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods<'a>(namespace: &'a str, name: &'a str) -> Scope<'a> {
        Scope {
            api_group: "",
            resource: "pods",
            namespace,
            name,
        }
    }

    #[test]
    fn watchers_count_for_what_they_see() {
        let watchers = Watchers::default();
        let all = watchers.register(pods("", ""));
        let _namespace = watchers.register(pods("a", ""));
        let _one = watchers.register(pods("a", "p"));
        assert_eq!(watchers.interested(pods("a", "p")), 3);
        assert_eq!(watchers.interested(pods("a", "")), 2);
        assert_eq!(watchers.interested(pods("b", "p")), 1);
        let other = Scope {
            resource: "nodes",
            ..pods("", "")
        };
        assert_eq!(watchers.interested(other), 0);
        drop(all);
        assert_eq!(watchers.interested(pods("b", "p")), 0);
        assert_eq!(watchers.counts.lock().len(), 2);
    }
}
