//! How many pods the controllers of some pods are for.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Kind;
use api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use api::catalogue::RESOURCES;
use api::core::v1::{Pod, ReplicationController};
use api::meta::v1::{ObjectMeta, OwnerReference};
use controller_runtime::ownership::controller_of;
use controller_runtime::{Informers, ObjectKey, Store};

pub(super) struct Scales {
    deployments: Store<Deployment>,
    replica_sets: Store<ReplicaSet>,
    stateful_sets: Store<StatefulSet>,
    replication_controllers: Store<ReplicationController>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub replicas: i32,
    /// Some pods have no controller.
    pub has_unmanaged: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0} does not implement the scale subresource")]
    NoScale(String),
    #[error("found no controllers for pod {0:?}")]
    NoController(String),
}

impl Scales {
    pub fn new(informers: &Informers) -> Scales {
        Scales {
            deployments: informers.of().store(),
            replica_sets: informers.of().store(),
            stateful_sets: informers.of().store(),
            replication_controllers: informers.of().store(),
        }
    }

    /// Each controller counts once.
    pub fn sum(&self, pods: &[Arc<Pod>]) -> Result<Sum, Error> {
        let mut by_controller: BTreeMap<String, i32> = BTreeMap::new();
        let mut sum = Sum::default();
        for pod in pods {
            let Some(reference) = controller_of(&pod.metadata) else {
                sum.has_unmanaged = true;
                continue;
            };
            let (uid, replicas) = self.scale(reference, pod)?;
            by_controller.insert(uid, replicas);
        }
        sum.replicas = by_controller.values().sum();
        Ok(sum)
    }

    fn scale(&self, reference: &OwnerReference, pod: &Pod) -> Result<(String, i32), Error> {
        let namespace = &pod.metadata.namespace;
        let key = ObjectKey::new(namespace, &reference.name);
        let is_it = |metadata: &ObjectMeta| metadata.uid == reference.uid;
        let group = reference
            .api_version
            .split_once('/')
            .map_or("", |(group, _)| group);
        let found = match (group, reference.kind.as_str()) {
            ("apps", ReplicaSet::KIND) => {
                let set = self.replica_sets.get(&key).filter(|set| is_it(&set.metadata));
                set.and_then(|set| self.of_replica_set(&set))
            }
            ("apps", StatefulSet::KIND) => {
                let set = self.stateful_sets.get(&key).filter(|set| is_it(&set.metadata));
                set.map(|set| (set.metadata.uid.clone(), set.spec.replicas))
            }
            ("", ReplicationController::KIND) => {
                let controller = self.replication_controllers.get(&key);
                let controller = controller.filter(|controller| is_it(&controller.metadata));
                controller.map(|controller| (controller.metadata.uid.clone(), controller.spec.replicas))
            }
            (group, kind) => return Err(unscaled(group, kind, pod)),
        };
        let (uid, replicas) = found.ok_or_else(|| Error::NoController(pod.metadata.name.clone()))?;
        Ok((uid, replicas.unwrap_or(1)))
    }

    /// Its deployment's, if it has one: during an update there are several sets.
    fn of_replica_set(&self, set: &ReplicaSet) -> Option<(String, Option<i32>)> {
        let reference = controller_of(&set.metadata).filter(|reference| reference.kind == Deployment::KIND);
        let Some(reference) = reference else {
            return Some((set.metadata.uid.clone(), set.spec.replicas));
        };
        let key = ObjectKey::new(&set.metadata.namespace, &reference.name);
        let deployment = self.deployments.get(&key)?;
        let is_it = deployment.metadata.uid == reference.uid;
        is_it.then(|| (deployment.metadata.uid.clone(), deployment.spec.replicas))
    }
}

/// Built-in kinds without a scale are told by their resource, as upstream tells them.
fn unscaled(group: &str, kind: &str, pod: &Pod) -> Error {
    let row = RESOURCES
        .iter()
        .find(|row| row.group == group && row.kind == kind);
    match row {
        Some(row) if group.is_empty() => Error::NoScale(row.plural.to_owned()),
        Some(row) => Error::NoScale(format!("{}.{group}", row.plural)),
        None => Error::NoController(pod.metadata.name.clone()),
    }
}
