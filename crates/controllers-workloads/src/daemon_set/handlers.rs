//! Which keys an event concerns.

use std::sync::Arc;

use api::Kind;
use api::apps::v1::DaemonSet;
use api::core::v1::{Node, Pod};
use api::meta::v1::ObjectMeta;
use controller_runtime::expectations::Expectations;
use controller_runtime::ownership::controller_of;
use controller_runtime::{Event, Informer, ObjectKey, Store, WorkQueue};

use super::placement::relation;
use super::selector_of;
use crate::pods::identity;

pub(super) fn register(
    sets: &Informer<DaemonSet>,
    pods: &Informer<Pod>,
    nodes: &Informer<Node>,
    queue: &WorkQueue<ObjectKey>,
    expectations: &Arc<Expectations>,
) {
    let (own, forgetting) = (queue.clone(), expectations.clone());
    sets.add_handler(move |event| {
        let key = ObjectKey::of(&event.object().metadata);
        if event.is_deleted() {
            forgetting.forget(&key);
        }
        own.add(key);
    });
    let (store, by_node) = (sets.store(), queue.clone());
    nodes.add_handler(move |event| {
        let concerned = |set: &DaemonSet| match event {
            Event::Updated { old, new } => relation(set, old) != relation(set, new),
            Event::Added(_) | Event::Deleted(_) => true,
        };
        for set in store.list().iter().filter(|set| concerned(set)) {
            by_node.add(ObjectKey::of(&set.metadata));
        }
    });
    let handler = PodHandler {
        sets: sets.store(),
        queue: queue.clone(),
        expectations: expectations.clone(),
    };
    pods.add_handler(move |event| handler.handle(event));
}

struct PodHandler {
    sets: Store<DaemonSet>,
    queue: WorkQueue<ObjectKey>,
    expectations: Arc<Expectations>,
}

impl PodHandler {
    fn handle(&self, event: &Event<Pod>) {
        match event {
            Event::Added(pod) if pod.metadata.deletion_timestamp.is_none() => match self.owner(&pod.metadata)
            {
                Some(key) => {
                    self.expectations.creation_observed(&key);
                    self.queue.add(key);
                }
                None => self.enqueue_selecting(pod),
            },
            Event::Added(pod) | Event::Deleted(pod) => self.gone(pod),
            Event::Updated { old, new } => {
                if new.metadata.deletion_timestamp.is_some() {
                    self.gone(new);
                }
                let owners = [self.owner(&old.metadata), self.owner(&new.metadata)];
                if owners.iter().all(Option::is_none) && old.metadata.labels != new.metadata.labels {
                    self.enqueue_selecting(new);
                }
                owners.into_iter().flatten().for_each(|key| self.queue.add(key));
            }
        }
    }

    fn gone(&self, pod: &Pod) {
        if let Some(key) = self.owner(&pod.metadata) {
            self.expectations.deletion_observed(&key, &identity(pod));
            self.queue.add(key);
        }
    }

    fn owner(&self, metadata: &ObjectMeta) -> Option<ObjectKey> {
        let reference = controller_of(metadata).filter(|reference| reference.kind == DaemonSet::KIND)?;
        let key = ObjectKey::new(&metadata.namespace, &reference.name);
        self.sets
            .get(&key)
            .filter(|set| set.metadata.uid == reference.uid)
            .map(|_| key)
    }

    /// An orphan: whoever selects it may adopt it.
    fn enqueue_selecting(&self, pod: &Pod) {
        if controller_of(&pod.metadata).is_some() {
            return;
        }
        for set in self.sets.namespace(&pod.metadata.namespace) {
            if selector_of(&set).matches(&pod.metadata.labels) {
                self.queue.add(ObjectKey::of(&set.metadata));
            }
        }
    }
}
