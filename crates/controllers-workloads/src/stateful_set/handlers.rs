//! Which keys an event concerns.

use api::Kind;
use api::apps::v1::StatefulSet;
use api::core::v1::Pod;
use api::meta::v1::ObjectMeta;
use controller_runtime::ownership::controller_of;
use controller_runtime::{Event, Informer, ObjectKey, Store, WorkQueue};

use super::selector_of;

pub(super) fn register(sets: &Informer<StatefulSet>, pods: &Informer<Pod>, queue: &WorkQueue<ObjectKey>) {
    let own = queue.clone();
    sets.add_handler(move |event| own.add(ObjectKey::of(&event.object().metadata)));
    let (store, queue) = (sets.store(), queue.clone());
    pods.add_handler(move |event| {
        for key in concerned(&store, event) {
            queue.add(key);
        }
    });
}

fn concerned(sets: &Store<StatefulSet>, event: &Event<Pod>) -> Vec<ObjectKey> {
    match event {
        Event::Added(pod) | Event::Deleted(pod) => {
            let may_be_adopted = !event.is_deleted() && pod.metadata.deletion_timestamp.is_none();
            let owner = owner(sets, &pod.metadata);
            match owner {
                Some(owner) => vec![owner],
                None if may_be_adopted => selecting(sets, pod),
                None => Vec::new(),
            }
        }
        Event::Updated { old, new } => {
            let owners = [owner(sets, &old.metadata), owner(sets, &new.metadata)];
            let mut keys: Vec<ObjectKey> = owners.into_iter().flatten().collect();
            let changed = old.metadata.labels != new.metadata.labels
                || controller_of(&old.metadata) != controller_of(&new.metadata);
            if controller_of(&new.metadata).is_none() && changed {
                keys.extend(selecting(sets, new));
            }
            keys
        }
    }
}

fn owner(sets: &Store<StatefulSet>, metadata: &ObjectMeta) -> Option<ObjectKey> {
    let reference = controller_of(metadata).filter(|reference| reference.kind == StatefulSet::KIND)?;
    let key = ObjectKey::new(&metadata.namespace, &reference.name);
    let set = sets.get(&key)?;
    (set.metadata.uid == reference.uid).then_some(key)
}

/// An orphan: whoever selects it may adopt it.
fn selecting(sets: &Store<StatefulSet>, pod: &Pod) -> Vec<ObjectKey> {
    if controller_of(&pod.metadata).is_some() {
        return Vec::new();
    }
    let sets = sets.namespace(&pod.metadata.namespace);
    sets.iter()
        .filter(|set| selector_of(set).matches(&pod.metadata.labels))
        .map(|set| ObjectKey::of(&set.metadata))
        .collect()
}
