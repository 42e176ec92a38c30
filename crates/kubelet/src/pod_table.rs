//! The pods that the sources have, for whoever needs to know them.

use crate::pod;
use api::core::v1::Pod;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Clone)]
struct Row {
    spec: Arc<Pod>,
    /// The node didn't take it.
    rejected: bool,
}

#[derive(Debug, Default)]
pub struct PodTable {
    rows: Mutex<HashMap<String, Row>>,
}

impl PodTable {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the pod is new.
    pub fn set(&self, spec: Arc<Pod>) -> bool {
        let mut rows = self.lock();
        match rows.get_mut(&spec.metadata.uid) {
            Some(row) => {
                row.spec = spec;
                false
            }
            None => {
                rows.insert(
                    spec.metadata.uid.clone(),
                    Row {
                        spec,
                        rejected: false,
                    },
                );
                true
            }
        }
    }

    pub fn reject(&self, uid: &str) {
        if let Some(row) = self.lock().get_mut(uid) {
            row.rejected = true;
        }
    }

    pub fn is_rejected(&self, uid: &str) -> bool {
        self.lock().get(uid).is_some_and(|row| row.rejected)
    }

    pub fn remove(&self, uid: &str) -> Option<Arc<Pod>> {
        self.lock().remove(uid).map(|row| row.spec)
    }

    pub fn contains(&self, uid: &str) -> bool {
        self.lock().contains_key(uid)
    }

    pub fn get(&self, uid: &str) -> Option<Arc<Pod>> {
        self.lock().get(uid).map(|row| row.spec.clone())
    }

    /// The pod of this name; of a static pod and its mirror, the one that runs.
    pub fn named(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let rows = self.lock();
        let is_named = |spec: &&Arc<Pod>| {
            let meta = &spec.metadata;
            meta.name == name && meta.namespace == namespace && !pod::is_mirror(spec)
        };
        rows.values().map(|row| &row.spec).find(is_named).cloned()
    }

    pub fn has_static(&self, full_name: &str) -> bool {
        self.lock()
            .values()
            .any(|row| pod::is_static(&row.spec) && pod::full_name(&row.spec) == full_name)
    }

    pub fn all(&self) -> Vec<Arc<Pod>> {
        self.lock().values().map(|row| row.spec.clone()).collect()
    }
}
