//! Which keys an event concerns.

use std::sync::Arc;

use api::Kind;
use api::batch::v1::Job;
use api::core::v1::Pod;
use api::meta::v1::ObjectMeta;
use controller_runtime::expectations::Expectations;
use controller_runtime::ownership::controller_of;
use controller_runtime::{Event, Informer, ObjectKey, Store, WorkQueue};

use super::plan::is_finished;
use super::pods::is_tracked;
use super::{LetGo, selector_of};
use crate::pods::{CONTROLLER_INDEX, identity};

pub(super) struct Queues {
    pub jobs: WorkQueue<ObjectKey>,
    /// Pods that bear the finalizer and have no job that counts them.
    pub orphans: WorkQueue<ObjectKey>,
}

pub(super) fn register(
    jobs: &Informer<Job>,
    pods: &Informer<Pod>,
    queues: Queues,
    expectations: &Arc<Expectations>,
    let_go: &Arc<LetGo>,
) {
    let Queues { jobs: queue, orphans } = queues;
    let (own, forgetting) = (queue.clone(), expectations.clone());
    let (orphaned, store) = (orphans.clone(), pods.store());
    jobs.add_handler(move |event| {
        let metadata = &event.object().metadata;
        let key = ObjectKey::of(metadata);
        if event.is_deleted() {
            forgetting.forget(&key);
            for pod in store.by_index(CONTROLLER_INDEX, &metadata.uid) {
                orphaned.add(ObjectKey::of(&pod.metadata));
            }
        }
        own.add(key);
    });
    let handler = PodHandler {
        jobs: jobs.store(),
        queue,
        orphans,
        expectations: expectations.clone(),
        let_go: let_go.clone(),
    };
    pods.add_handler(move |event| handler.handle(event));
}

struct PodHandler {
    jobs: Store<Job>,
    queue: WorkQueue<ObjectKey>,
    orphans: WorkQueue<ObjectKey>,
    expectations: Arc<Expectations>,
    let_go: Arc<LetGo>,
}

impl PodHandler {
    fn handle(&self, event: &Event<Pod>) {
        let pod = event.object();
        if event.is_deleted() || !is_tracked(pod) {
            self.let_go.seen(&pod.metadata.uid);
        }
        match event {
            Event::Added(pod) if pod.metadata.deletion_timestamp.is_none() => {
                if let Some(key) = self.owner(&pod.metadata) {
                    self.expectations.creation_observed(&key);
                }
                self.enqueue(pod);
            }
            Event::Added(pod) | Event::Deleted(pod) => self.gone(pod, event.is_deleted()),
            Event::Updated { old, new } => {
                if new.metadata.deletion_timestamp.is_some() {
                    self.gone(new, false);
                }
                if controller_of(&old.metadata) != controller_of(&new.metadata)
                    && let Some(key) = self.owner(&old.metadata)
                {
                    self.queue.add(key);
                }
                self.enqueue(new);
            }
        }
    }

    fn gone(&self, pod: &Pod, is_deleted: bool) {
        if let Some(key) = self.owner(&pod.metadata) {
            self.expectations.deletion_observed(&key, &identity(pod));
            self.queue.add(key);
        }
        if !is_deleted {
            self.enqueue(pod);
        }
    }

    fn enqueue(&self, pod: &Pod) {
        let owner = self.owner(&pod.metadata);
        let counts = owner
            .as_ref()
            .and_then(|key| self.jobs.get(key))
            .is_some_and(|job| !is_finished(&job));
        if is_tracked(pod) && !counts {
            self.orphans.add(ObjectKey::of(&pod.metadata));
        }
        match owner {
            Some(key) => self.queue.add(key),
            None if controller_of(&pod.metadata).is_none() => self.enqueue_selecting(pod),
            None => {}
        }
    }

    fn owner(&self, metadata: &ObjectMeta) -> Option<ObjectKey> {
        let reference = controller_of(metadata).filter(|reference| reference.kind == Job::KIND)?;
        let key = ObjectKey::new(&metadata.namespace, &reference.name);
        let job = self.jobs.get(&key)?;
        (job.metadata.uid == reference.uid).then_some(key)
    }

    /// An orphan: whoever selects it may adopt it.
    fn enqueue_selecting(&self, pod: &Pod) {
        for job in self.jobs.namespace(&pod.metadata.namespace) {
            if selector_of(&job).matches(&pod.metadata.labels) {
                self.queue.add(ObjectKey::of(&job.metadata));
            }
        }
    }
}
