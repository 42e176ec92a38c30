//! Objects in a map: for tests of whatever reads or follows them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::{Object, Resource};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use futures_util::future::BoxFuture;

use super::Objects;

type Key = (String, String, String, String);

/// A small object store.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    objects: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    objects: BTreeMap<Key, Box<dyn Object>>,
}

impl MemoryObjects {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces an object.
    pub fn insert<T: Resource>(&self, object: T) {
        let mut state = self.lock();
        state.revision += 1;
        let mut object: Box<dyn Object> = Box::new(object);
        object.metadata_mut().resource_version = state.revision.to_string();
        let (namespace, name) = (
            object.metadata().namespace.clone(),
            object.metadata().name.clone(),
        );
        state
            .objects
            .insert(key(T::GROUP, T::PLURAL, &namespace, &name), object);
    }

    pub fn remove<T: Resource>(&self, namespace: &str, name: &str) {
        self.lock()
            .objects
            .remove(&key(T::GROUP, T::PLURAL, namespace, name));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(group: &str, resource: &str, namespace: &str, name: &str) -> Key {
    (
        group.to_owned(),
        resource.to_owned(),
        namespace.to_owned(),
        name.to_owned(),
    )
}

impl Objects for MemoryObjects {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Box<dyn Object>> {
        self.lock()
            .objects
            .get(&key(group, resource, namespace, name))
            .map(|object| object.clone_box())
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Box<dyn Object>> {
        let state = self.lock();
        let matching = state
            .objects
            .iter()
            .filter(|((in_group, plural, in_namespace, _), _)| {
                in_group == group && plural == resource && (namespace.is_empty() || in_namespace == namespace)
            });
        matching.map(|(_, object)| object.clone_box()).collect()
    }

    fn get_live<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Object>>, Status>> {
        Box::pin(std::future::ready(Ok(self.get(group, resource, namespace, name))))
    }

    fn update_status<'a>(
        &'a self,
        mut object: Box<dyn Object>,
    ) -> BoxFuture<'a, Result<Box<dyn Object>, Status>> {
        let mut state = self.lock();
        let gvk = object.gvk();
        let metadata = object.metadata();
        let found = state.objects.iter().find(|(_, stored)| {
            stored.gvk() == gvk
                && stored.metadata().namespace == metadata.namespace
                && stored.metadata().name == metadata.name
        });
        let resource = GroupResource {
            group: gvk.group,
            resource: gvk.kind,
        };
        let outcome =
            match found.map(|(key, stored)| (key.clone(), stored.metadata().resource_version.clone())) {
                None => Err(Status::not_found(&resource, &metadata.name)),
                Some((_, version)) if version != metadata.resource_version => Err(Status::conflict(
                    &resource,
                    &metadata.name,
                    "the object has been modified",
                )),
                Some((key, _)) => {
                    state.revision += 1;
                    object.metadata_mut().resource_version = state.revision.to_string();
                    state.objects.insert(key, object.clone_box());
                    Ok(object)
                }
            };
        Box::pin(std::future::ready(outcome))
    }
}
