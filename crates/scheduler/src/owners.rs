//! Services and workload owners by namespace: what default spreading groups pods by.

use std::collections::{BTreeMap, HashMap};

use api::core::v1::Pod;
use apimachinery::labels::{Requirement, Selector};

/// An owner that selects pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    ReplicationController,
    ReplicaSet,
    StatefulSet,
}

impl OwnerKind {
    fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("v1", "ReplicationController") => Some(Self::ReplicationController),
            ("apps/v1", "ReplicaSet") => Some(Self::ReplicaSet),
            ("apps/v1", "StatefulSet") => Some(Self::StatefulSet),
            _ => None,
        }
    }
}

/// The selectors that are known, by namespace and name.
#[derive(Clone, Default)]
pub struct Owners {
    services: HashMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    workloads: HashMap<(OwnerKind, String, String), Selector>,
}

impl Owners {
    /// A service without a selector selects no pods.
    pub fn set_service(&mut self, namespace: &str, name: &str, selector: BTreeMap<String, String>) {
        if selector.is_empty() {
            self.remove_service(namespace, name);
        } else {
            self.services
                .entry(namespace.to_owned())
                .or_default()
                .insert(name.to_owned(), selector);
        }
    }

    pub fn remove_service(&mut self, namespace: &str, name: &str) {
        if let Some(services) = self.services.get_mut(namespace) {
            services.remove(name);
            if services.is_empty() {
                self.services.remove(namespace);
            }
        }
    }

    pub fn clear_services(&mut self) {
        self.services.clear();
    }

    pub fn clear_workloads(&mut self, kind: OwnerKind) {
        self.workloads.retain(|(have, _, _), _| *have != kind);
    }

    pub fn set_workload(&mut self, kind: OwnerKind, namespace: &str, name: &str, selector: Selector) {
        self.workloads
            .insert((kind, namespace.to_owned(), name.to_owned()), selector);
    }

    pub fn remove_workload(&mut self, kind: OwnerKind, namespace: &str, name: &str) {
        self.workloads
            .remove(&(kind, namespace.to_owned(), name.to_owned()));
    }

    /// What the services that select the pod and its controller select together; everything if there is none.
    pub fn default_selector(&self, pod: &Pod) -> Selector {
        let namespace = &pod.metadata.namespace;
        let matching = |selector: &&BTreeMap<String, String>| {
            selector
                .iter()
                .all(|(key, value)| pod.metadata.labels.get(key) == Some(value))
        };
        let services = self
            .services
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(matching);
        let labels: BTreeMap<_, _> = services.flatten().collect();
        let mut out = Selector::everything();
        for (key, value) in labels {
            out = out.with(Requirement::equals(key, value));
        }
        let controller = pod
            .metadata
            .owner_references
            .iter()
            .find(|owner| owner.controller == Some(true));
        let workload = controller.and_then(|owner| {
            let kind = OwnerKind::of(&owner.api_version, &owner.kind)?;
            self.workloads.get(&(kind, namespace.clone(), owner.name.clone()))
        });
        for requirement in workload.and_then(Selector::requirements).unwrap_or_default() {
            out = out.with(requirement.clone());
        }
        out
    }
}
