//! Which store holds which keys: one for all of them, but for resources that have their own
//! (`--etcd-servers-overrides`).
//!
//! Each store counts revisions of its own, so a resource's objects, cache and watches live in one of them.

use std::sync::Arc;

use crate::{Key, Store};

/// See the module.
#[derive(Clone)]
pub struct Stores {
    main: Arc<dyn Store>,
    overrides: Vec<(Key, Arc<dyn Store>)>,
}

impl Stores {
    pub fn new(main: Arc<dyn Store>) -> Self {
        Self {
            main,
            overrides: Vec::new(),
        }
    }

    /// Another store for the keys under a prefix.
    #[must_use]
    pub fn with(mut self, prefix: Key, store: Arc<dyn Store>) -> Self {
        self.overrides.push((prefix, store));
        self
    }

    /// The store of everything that has no other.
    pub fn main(&self) -> &Arc<dyn Store> {
        &self.main
    }

    /// The store of the keys under a prefix.
    pub fn of(&self, prefix: &[u8]) -> &Arc<dyn Store> {
        let own = self
            .overrides
            .iter()
            .find(|(overridden, _)| prefix.starts_with(overridden));
        own.map_or(&self.main, |(_, store)| store)
    }

    /// Each store once, the main one first.
    pub fn all(&self) -> Vec<Arc<dyn Store>> {
        let mut all = vec![self.main.clone()];
        for (_, store) in &self.overrides {
            if !all.iter().any(|known| Arc::ptr_eq(known, store)) {
                all.push(store.clone());
            }
        }
        all
    }
}

impl<S: Store> From<Arc<S>> for Stores {
    fn from(main: Arc<S>) -> Self {
        Self::new(main)
    }
}

impl From<Arc<dyn Store>> for Stores {
    fn from(main: Arc<dyn Store>) -> Self {
        Self::new(main)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    #[test]
    fn a_prefix_has_one_store() {
        let store = || -> Arc<dyn Store> { Arc::new(memory::open(Default::default()).unwrap()) };
        let (main, events) = (store(), store());
        let stores = Stores::new(main.clone())
            .with("/registry/events/".into(), events.clone())
            .with("/registry/leases/".into(), events.clone());
        for (prefix, expected) in [
            ("/registry/events/", &events),
            ("/registry/events/default/", &events),
            ("/registry/leases/", &events),
            ("/registry/eventsx/", &main),
            ("/registry/pods/", &main),
        ] {
            assert!(Arc::ptr_eq(stores.of(prefix.as_bytes()), expected), "{prefix}");
        }
        assert_eq!(stores.all().len(), 2);
    }
}
