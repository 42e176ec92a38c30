//! Which keys an event concerns.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use api::meta::v1::OwnerReference;
use api::pod_conditions::is_ready;
use controller_runtime::expectations::Expectations;
use controller_runtime::ownership::controller_of;
use controller_runtime::{Event, Informer, ObjectKey, Store, WorkQueue};

use super::kinds::ReplicaOwner;
use crate::pods::identity;

pub(super) fn register<K: ReplicaOwner>(
    owners: &Informer<K>,
    pods: &Informer<Pod>,
    queue: &WorkQueue<ObjectKey>,
    expectations: &Arc<Expectations>,
) {
    let (owner_queue, forgetting) = (queue.clone(), expectations.clone());
    owners.add_handler(move |event| {
        let key = ObjectKey::of(event.object().metadata());
        // A successor of the same name starts afresh.
        if let Event::Updated { old, new } = event
            && old.metadata().uid != new.metadata().uid
        {
            forgetting.forget(&key);
        }
        if event.is_deleted() {
            forgetting.forget(&key);
        }
        owner_queue.add(key);
    });
    let handler = PodHandler {
        owners: owners.store(),
        queue: queue.clone(),
        expectations: expectations.clone(),
    };
    pods.add_handler(move |event| handler.handle(event));
}

struct PodHandler<K> {
    owners: Store<K>,
    queue: WorkQueue<ObjectKey>,
    expectations: Arc<Expectations>,
}

impl<K: ReplicaOwner> PodHandler<K> {
    fn handle(&self, event: &Event<Pod>) {
        match event {
            Event::Added(pod) if pod.metadata.deletion_timestamp.is_some() => self.deleted(pod),
            Event::Added(pod) => self.added(pod),
            Event::Updated { old, new } => self.updated(old, new),
            Event::Deleted(pod) => self.deleted(pod),
        }
    }

    fn added(&self, pod: &Pod) {
        match controller_of(&pod.metadata) {
            Some(reference) => {
                if let Some((key, _)) = self.resolve(&pod.metadata.namespace, reference) {
                    self.expectations.creation_observed(&key);
                    self.queue.add(key);
                }
            }
            None => self.enqueue_selecting(pod),
        }
    }

    fn updated(&self, old: &Pod, new: &Pod) {
        // A successor of the same name between two looks at the server.
        if old.metadata.uid != new.metadata.uid {
            self.deleted(old);
            return self.added(new);
        }
        let relabeled = old.metadata.labels != new.metadata.labels;
        if new.metadata.deletion_timestamp.is_some() {
            // Going counts as gone: waiting for the kubelet would delay the successor.
            self.deleted(new);
            if relabeled {
                self.deleted(old);
            }
            return;
        }
        let namespace = &new.metadata.namespace;
        let (old_owner, new_owner) = (controller_of(&old.metadata), controller_of(&new.metadata));
        let moved = old_owner.map(|owner| &owner.uid) != new_owner.map(|owner| &owner.uid);
        if moved && let Some((key, _)) = old_owner.and_then(|owner| self.resolve(namespace, owner)) {
            self.queue.add(key);
        }
        match new_owner {
            Some(reference) => {
                if let Some((key, owner)) = self.resolve(namespace, reference) {
                    self.queue.add(key.clone());
                    if !is_ready(old) && is_ready(new) && owner.min_ready_seconds() > 0 {
                        let seconds = u64::try_from(owner.min_ready_seconds()).unwrap_or_default();
                        self.queue.add_after(key, Duration::from_secs(seconds));
                    }
                }
            }
            None if relabeled || moved => self.enqueue_selecting(new),
            None => {}
        }
    }

    fn deleted(&self, pod: &Pod) {
        let Some(reference) = controller_of(&pod.metadata) else {
            return;
        };
        if let Some((key, _)) = self.resolve(&pod.metadata.namespace, reference) {
            self.expectations.deletion_observed(&key, &identity(pod));
            self.queue.add(key);
        }
    }

    /// The owner that a reference means, if it is of our kind and still the same object.
    fn resolve(&self, namespace: &str, reference: &OwnerReference) -> Option<(ObjectKey, Arc<K>)> {
        if reference.kind != K::KIND {
            return None;
        }
        let key = ObjectKey::new(namespace, &reference.name);
        let owner = self.owners.get(&key)?;
        (owner.metadata().uid == reference.uid).then_some((key, owner))
    }

    /// An orphan: whoever selects it may adopt it.
    fn enqueue_selecting(&self, pod: &Pod) {
        for owner in self.owners.namespace(&pod.metadata.namespace) {
            if owner
                .selector()
                .is_ok_and(|selector| selector.matches(&pod.metadata.labels))
            {
                self.queue.add(ObjectKey::of(owner.metadata()));
            }
        }
    }
}
