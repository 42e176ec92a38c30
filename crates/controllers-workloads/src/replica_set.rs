//! Keeps as many pods as a ReplicaSet (or ReplicationController) asks for.
//!
//! [`kinds`] is what differs between the two; [`plan`] decides; [`handlers`] turn events into keys; this file
//! executes.
//!
//! Upstream: pkg/controller/replicaset

mod handlers;
pub mod kinds;
pub mod plan;

use std::sync::Arc;
use std::time::Instant;

use api::core::v1::Pod;
use api::pod_conditions::{is_active, is_terminating};
use apimachinery::time::Time;
use client::Error;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::expectations::Expectations;
use controller_runtime::ownership::{controller_of, controller_ref, is_controlled_by};
use controller_runtime::{Context, Informer, ObjectKey, Store};
use futures_util::future::{BoxFuture, join_all};

use crate::pods::control::{PodControl, slow_start};
use crate::pods::template::pod_from_template;
use crate::pods::{CONTROLLER_INDEX, claim, identity, index_by_controller, orphans_of};
use kinds::ReplicaOwner;
use plan::{Attempt, Change, Observed};

/// Runs the controller of one kind until shutdown.
pub async fn run<K: ReplicaOwner>(context: Context, workers: usize) {
    let owners: Informer<K> = context.informers.of();
    let pods: Informer<Pod> = context.informers.of();
    let queue = context.queue(K::QUEUE);
    let controller = Arc::new(Controller {
        control: PodControl::new(context.client.clone(), context.recorder.clone()),
        owners: owners.store(),
        pods: index_by_controller(&pods),
        expectations: Arc::new(Expectations::default()),
        context: context.clone(),
    });
    handlers::register(&owners, &pods, &queue, &controller.expectations);
    context.drive(K::QUEUE, queue, workers, controller).await;
}

struct Controller<K> {
    context: Context,
    control: PodControl,
    owners: Store<K>,
    pods: Store<Pod>,
    expectations: Arc<Expectations>,
}

impl<K: ReplicaOwner> Reconcile<ObjectKey> for Controller<K> {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(owner) = self.owners.get(key) else {
                self.expectations.forget(key);
                return Ok(Outcome::Done);
            };
            self.sync(key, &owner).await
        })
    }
}

impl<K: ReplicaOwner> Controller<K> {
    async fn sync(&self, key: &ObjectKey, owner: &K) -> Result<Outcome, driver::Error> {
        let trusted = self.expectations.satisfied(key, Instant::now());
        // An invalid selector can't be stored; should one be, nothing is selected and nothing done.
        let Ok(selector) = owner.selector() else {
            return Ok(Outcome::Done);
        };
        let metadata = owner.metadata();
        let mut candidates = self.pods.by_index(CONTROLLER_INDEX, &metadata.uid);
        candidates.extend(
            self.pods
                .by_index(CONTROLLER_INDEX, &orphans_of(&metadata.namespace)),
        );
        let terminating = candidates
            .iter()
            .filter(|pod| is_terminating(pod) && is_controlled_by(&pod.metadata, &metadata.uid))
            .filter(|pod| selector.matches(&pod.metadata.labels))
            .count();
        candidates.retain(|pod| is_active(pod));

        let client = &self.context.client;
        let owners = client.api::<K>().namespace(&metadata.namespace);
        let pods_api = client.api::<Pod>().namespace(&metadata.namespace);
        let pods = claim::claim_pods(&owners, &pods_api, owner, &selector, candidates).await?;

        let now = Time(self.context.clock.now());
        let attempt = if trusted && metadata.deletion_timestamp.is_none() {
            let related = self.related(owner);
            self.manage(key, owner, plan::change(owner.replicas(), &pods, &related, now))
                .await
        } else {
            Attempt::default()
        };
        let observed = Observed {
            owner,
            pods: &pods,
            terminating,
            attempt: &attempt,
            now,
        };
        self.write_status(owner, &observed).await?;
        match attempt.error {
            Some(error) => Err(error.into()),
            None => Ok(plan::next_check(owner, &pods, now).map_or(Outcome::Done, Outcome::RequeueAfter)),
        }
    }

    /// The active pods of all siblings: owners with the same controller as this one.
    fn related(&self, owner: &K) -> Vec<Arc<Pod>> {
        let metadata = owner.metadata();
        let siblings: Vec<String> = match controller_of(metadata) {
            Some(reference) => self
                .owners
                .namespace(&metadata.namespace)
                .iter()
                .filter(|sibling| is_controlled_by(sibling.metadata(), &reference.uid))
                .map(|sibling| sibling.metadata().uid.clone())
                .collect(),
            None => vec![metadata.uid.clone()],
        };
        let pods = siblings
            .iter()
            .flat_map(|uid| self.pods.by_index(CONTROLLER_INDEX, uid));
        pods.filter(|pod| is_active(pod)).collect()
    }

    async fn manage(&self, key: &ObjectKey, owner: &K, change: Change) -> Attempt {
        match change {
            Change::None => Attempt::default(),
            Change::Create(count) => self.create(key, owner, count).await,
            Change::Delete(pods) => self.delete(key, owner, &pods).await,
        }
    }

    async fn create(&self, key: &ObjectKey, owner: &K, count: usize) -> Attempt {
        let expected = u32::try_from(count).unwrap_or(u32::MAX);
        self.expectations.expect_creations(key, expected, Instant::now());
        let pod = pod_from_template(owner, owner.template(), controller_ref(owner));
        let (created, error) = slow_start(count, |_| async {
            match self.control.create(owner, &pod).await {
                Err(error) if error.is_namespace_terminating() => {
                    self.expectations.creation_observed(key);
                    Ok(())
                }
                outcome => outcome.map(drop),
            }
        })
        .await;
        // Those never made won't be seen.
        for _ in created..count {
            self.expectations.creation_observed(key);
        }
        Attempt {
            creating: true,
            error,
        }
    }

    async fn delete(&self, key: &ObjectKey, owner: &K, pods: &[Arc<Pod>]) -> Attempt {
        self.expectations
            .expect_deletions(key, pods.iter().map(|pod| identity(pod)), Instant::now());
        let outcomes = join_all(pods.iter().map(|pod| self.control.delete(owner, pod))).await;
        let mut error = None;
        for (pod, outcome) in pods.iter().zip(outcomes) {
            if let Err(failure) = outcome {
                self.expectations.deletion_observed(key, &identity(pod));
                if !failure.is_not_found() {
                    error = error.or(Some(failure));
                }
            }
        }
        Attempt {
            creating: false,
            error,
        }
    }

    async fn write_status(&self, owner: &K, observed: &Observed<'_, K>) -> Result<(), Error> {
        let status = plan::status(observed);
        if plan::is_current(owner, &status) {
            return Ok(());
        }
        let mut updated = owner.clone();
        updated.set_counts(&status);
        let owners = self
            .context
            .client
            .api::<K>()
            .namespace(&owner.metadata().namespace);
        match owners.update_status(&updated).await {
            // Deleted meanwhile: its status matters to nobody.
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}
