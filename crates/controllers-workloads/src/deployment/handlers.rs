//! Which keys an event concerns.

use api::apps::v1::{Deployment, ReplicaSet};
use api::core::v1::Pod;
use api::meta::v1::ObjectMeta;
use api::{Kind, Resource};
use controller_runtime::ownership::controller_of;
use controller_runtime::{Event, Informer, ObjectKey, Store, WorkQueue};

use super::selector_of;

pub(super) fn register(
    deployments: &Informer<Deployment>,
    replica_sets: &Informer<ReplicaSet>,
    pods: &Informer<Pod>,
    queue: &WorkQueue<ObjectKey>,
) {
    let own = queue.clone();
    deployments.add_handler(move |event| own.add(ObjectKey::of(event.object().metadata())));

    let (store, sets_queue) = (deployments.store(), queue.clone());
    replica_sets.add_handler(move |event| replica_set_changed(&store, &sets_queue, event));

    let (sets, store, pods_queue) = (replica_sets.store(), deployments.store(), queue.clone());
    pods.add_handler(move |event| {
        if let Event::Deleted(pod) = event {
            pod_deleted(&sets, &store, &pods_queue, pod);
        }
    });
}

fn replica_set_changed(
    deployments: &Store<Deployment>,
    queue: &WorkQueue<ObjectKey>,
    event: &Event<ReplicaSet>,
) {
    let set = event.object();
    if let Event::Updated { old, .. } = event
        && let Some(former) = owner(deployments, &old.metadata)
    {
        queue.add(former);
    }
    match controller_of(&set.metadata) {
        Some(_) => {
            if let Some(key) = owner(deployments, &set.metadata) {
                queue.add(key);
            }
        }
        // An orphan: whoever selects it may adopt it.
        None if !event.is_deleted() => {
            for deployment in deployments.namespace(&set.metadata.namespace) {
                if selector_of(&deployment).matches(&set.metadata.labels) {
                    queue.add(ObjectKey::of(&deployment.metadata));
                }
            }
        }
        None => {}
    }
}

/// The deployment that controls an object, if it is still the same one.
fn owner(deployments: &Store<Deployment>, metadata: &ObjectMeta) -> Option<ObjectKey> {
    let reference = controller_of(metadata).filter(|reference| reference.kind == Deployment::KIND)?;
    let key = ObjectKey::new(&metadata.namespace, &reference.name);
    deployments
        .get(&key)
        .filter(|found| found.metadata.uid == reference.uid)
        .map(|_| key)
}

/// Recreate waits for the last old pod to be gone, of which no replica set tells.
fn pod_deleted(
    sets: &Store<ReplicaSet>,
    deployments: &Store<Deployment>,
    queue: &WorkQueue<ObjectKey>,
    pod: &Pod,
) {
    let set = controller_of(&pod.metadata)
        .filter(|reference| reference.kind == ReplicaSet::KIND)
        .and_then(|reference| sets.get(&ObjectKey::new(&pod.metadata.namespace, &reference.name)));
    let Some(key) = set.and_then(|set| owner(deployments, &set.metadata)) else {
        return;
    };
    if deployments
        .get(&key)
        .is_some_and(|deployment| deployment.spec.strategy.type_ == "Recreate")
    {
        queue.add(key);
    }
}
