//! The cache of a resource: objects by key, and by the indices that controllers asked for.
//!
//! Upstream: client-go/tools/cache/thread_safe_store.go

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use client::HasMetadata;

use crate::key::ObjectKey;

/// Gives the values under which an object is found in an index.
pub type IndexFn<K> = Arc<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// The index that every store has: objects by namespace.
pub const NAMESPACE_INDEX: &str = "namespace";

/// A readable handle to a cache; clones share it. Only an informer writes.
pub struct Store<K>(Arc<RwLock<Inner<K>>>);

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Store(self.0.clone())
    }
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Store(Arc::new(RwLock::new(Inner {
            objects: HashMap::new(),
            indices: BTreeMap::new(),
        })))
    }
}

struct Inner<K> {
    objects: HashMap<ObjectKey, Arc<K>>,
    indices: BTreeMap<&'static str, Index<K>>,
}

struct Index<K> {
    values: IndexFn<K>,
    keys: HashMap<String, BTreeSet<ObjectKey>>,
}

impl<K: HasMetadata> Store<K> {
    /// A store holding these objects, for tests of code that observes stores.
    pub fn of(objects: impl IntoIterator<Item = K>) -> Self {
        let store = Self::default();
        for object in objects {
            store.apply(Arc::new(object));
        }
        store
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.read().objects.get(key).cloned()
    }

    pub fn list(&self) -> Vec<Arc<K>> {
        self.read().objects.values().cloned().collect()
    }

    pub fn keys(&self) -> Vec<ObjectKey> {
        self.read().objects.keys().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects of one namespace, found by an index when there is one for it.
    pub fn namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let inner = self.read();
        if inner.indices.contains_key(NAMESPACE_INDEX) {
            return inner.by_index(NAMESPACE_INDEX, namespace);
        }
        inner
            .objects
            .iter()
            .filter(|(key, _)| &*key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// The objects under a value of an index, in the order of their keys; none when there is no such index.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        self.read().by_index(index, value)
    }

    /// Adds an index, filling it from what is cached. An index of that name that exists stays.
    pub fn add_index(&self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) {
        let mut inner = self.write();
        if inner.indices.contains_key(name) {
            return;
        }
        let mut index = Index {
            values: Arc::new(values),
            keys: HashMap::new(),
        };
        for (key, object) in &inner.objects {
            index.insert(key, object);
        }
        inner.indices.insert(name, index);
    }

    /// Puts an object in and gives what it replaced.
    pub(crate) fn apply(&self, object: Arc<K>) -> Option<Arc<K>> {
        let key = ObjectKey::of(object.object_meta());
        let mut inner = self.write();
        let old = inner.objects.insert(key.clone(), object.clone());
        for index in inner.indices.values_mut() {
            index.replace(&key, old.as_deref(), &object);
        }
        old
    }

    /// Takes an object out.
    pub(crate) fn remove(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let mut inner = self.write();
        let old = inner.objects.remove(key)?;
        for index in inner.indices.values_mut() {
            index.remove(key, &old);
        }
        Some(old)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner<K>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<K>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Inner<K> {
    fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let keys = self.indices.get(index).and_then(|index| index.keys.get(value));
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.objects.get(key))
            .cloned()
            .collect()
    }
}

impl<K> Index<K> {
    fn insert(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }

    /// Most updates don't move an object within an index: then nothing is touched.
    fn replace(&mut self, key: &ObjectKey, old: Option<&K>, new: &K) {
        if let Some(old) = old {
            if (self.values)(old) == (self.values)(new) {
                return;
            }
            self.remove(key, old);
        }
        self.insert(key, new);
    }
}

#[cfg(test)]
mod tests {
    use api::core::v1::Pod;

    use super::*;

    fn pod(name: &str, node: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = "ns".into();
        pod.metadata.name = name.into();
        pod.spec.node_name = node.into();
        pod
    }

    fn on(store: &Store<Pod>, node: &str) -> Vec<String> {
        store
            .by_index("node", node)
            .iter()
            .map(|pod| pod.metadata.name.clone())
            .collect()
    }

    #[test]
    fn indices_follow_updates_and_removals_and_fill_late() {
        let store = Store::of([pod("a", "n1")]);
        store.add_index("node", |pod: &Pod| vec![pod.spec.node_name.clone()]);
        store.apply(Arc::new(pod("b", "n1")));
        assert_eq!(on(&store, "n1"), ["a", "b"]);

        store.apply(Arc::new(pod("a", "n2")));
        assert_eq!(
            (on(&store, "n1"), on(&store, "n2")),
            (vec!["b".to_owned()], vec!["a".to_owned()])
        );

        store.remove(&ObjectKey::new("ns", "b"));
        assert!(on(&store, "n1").is_empty());
        assert_eq!(store.len(), 1);
        assert!(store.by_index("unknown", "x").is_empty());
    }
}
