//! Runs pods until enough of them have succeeded, or too many have failed.
//!
//! [`pods`] is what a job's pods bear and how they are made, [`indexes`] sets of completion indexes, [`policies`]
//! what the job says of failures and successes, [`backoff`] how long to wait. [`plan`] decides what to do, and
//! [`tracking`] counts every pod exactly once.
//!
//! Upstream: pkg/controller/job

pub mod backoff;
mod handlers;
pub mod indexes;
mod orphans;
pub mod plan;
pub mod pods;
pub mod policies;
pub mod tracking;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use api::batch::v1::{Job, JobStatus};
use api::core::v1::Pod;
use api::pod_conditions::is_ready;
use apimachinery::labels::Selector;
use apimachinery::time::Time;
use client::{Api, Error, Patch, PatchParams};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::expectations::Expectations;
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::{BoxFuture, join, join_all};
use serde_json::json;

use crate::pods::control::{PodControl, slow_start};
use crate::pods::{CONTROLLER_INDEX, claim, identity, index_by_controller, orphans_of};
use backoff::Backoff;
use plan::{Action, Observed, Plan};
use tracking::{Done, Tracked, Turn};

const NAME: &str = "job";
/// Whose jobs these are; a job may name another controller instead.
const CONTROLLER: &str = "kubernetes.io/job-controller";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let jobs = context.informers.of::<Job>();
    let pods = context.informers.of::<Pod>();
    let queue = context.queue(NAME);
    let orphaned = context.queue("job_orphan_pod");
    let expectations = Arc::new(Expectations::default());
    let let_go = Arc::new(LetGo::default());
    let store = index_by_controller(&pods);
    let queues = handlers::Queues {
        jobs: queue.clone(),
        orphans: orphaned.clone(),
    };
    handlers::register(&jobs, &pods, queues, &expectations, &let_go);
    let orphans = orphans::Orphans::new(&context, jobs.store(), store.clone());
    let controller = Controller {
        control: PodControl::new(context.client.clone(), context.recorder.clone()),
        jobs: jobs.store(),
        pods: store,
        expectations,
        let_go,
        memory: Mutex::default(),
        context: context.clone(),
    };
    let work = context.drive(NAME, queue, workers, Arc::new(controller));
    join(
        work,
        context.drive("job_orphan_pod", orphaned, 1, Arc::new(orphans)),
    )
    .await;
}

/// Pods that were let go: the cache shows them with their finalizer for a moment still.
#[derive(Default)]
pub(crate) struct LetGo(Mutex<HashSet<String>>);

impl LetGo {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cache has caught up, or the pod was not let go after all.
    fn seen(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn among(&self, pods: &[Arc<Pod>]) -> HashSet<String> {
        let let_go = self.lock();
        let uids = pods.iter().map(|pod| &pod.metadata.uid);
        uids.filter(|uid| let_go.contains(*uid)).cloned().collect()
    }
}

/// What is remembered of a job between its syncs.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    backoff: Backoff,
    /// The last version that was written: before the cache shows it, decisions would be made twice.
    written: u64,
}

struct Controller {
    context: Context,
    control: PodControl,
    jobs: Store<Job>,
    pods: Store<Pod>,
    expectations: Arc<Expectations>,
    let_go: Arc<LetGo>,
    memory: Mutex<HashMap<ObjectKey, Memory>>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let job = self.jobs.get(key);
            let Some(job) = job.filter(|job| is_ours(job) && !plan::is_finished(job)) else {
                self.expectations.forget(key);
                self.memory().remove(key);
                return Ok(Outcome::Done);
            };
            if version(&job) < self.remembered(key).written {
                return Ok(Outcome::Retry);
            }
            if !matches!(
                job.spec.completion_mode.as_deref(),
                None | Some("NonIndexed" | "Indexed")
            ) {
                let message = "Skipped Job sync because completion mode is unknown";
                self.context
                    .recorder
                    .event(&*job, EventType::Warning, "UnknownCompletionMode", message);
                return Ok(Outcome::Done);
            }
            self.sync(key, &job).await
        })
    }
}

impl Controller {
    async fn sync(&self, key: &ObjectKey, job: &Job) -> Result<Outcome, driver::Error> {
        // Before the pods are read: a pod that comes in between only defers the work.
        let is_current = self.expectations.satisfied(key, Instant::now());
        let pods = self.claim(job).await?;
        let observed = Observed {
            let_go: self.let_go.among(&pods),
            job: job.clone(),
            pods,
            is_current,
            backoff: self.remembered(key).backoff,
        };
        let now = Time(self.context.clock.now());
        let plan = plan::plan(&observed, now);
        let (done, acted) = self.act(key, &observed, &plan).await;
        let tracked = tracking::track(&observed, &plan, done, now);
        self.settle(key, job, &plan, tracked).await?;
        acted?;
        Ok(plan.requeue_after.map_or(Outcome::Done, Outcome::RequeueAfter))
    }

    async fn claim(&self, job: &Job) -> Result<Vec<Arc<Pod>>, Error> {
        let namespace = &job.metadata.namespace;
        let mut candidates = self.pods.by_index(CONTROLLER_INDEX, &job.metadata.uid);
        candidates.extend(self.pods.by_index(CONTROLLER_INDEX, &orphans_of(namespace)));
        let jobs = self.context.client.api::<Job>().namespace(namespace);
        let api = self.api(job);
        claim::claim_pods(&jobs, &api, job, &selector_of(job), candidates).await
    }

    async fn act(&self, key: &ObjectKey, observed: &Observed, plan: &Plan) -> (Done, Result<(), Error>) {
        let job = &observed.job;
        match &plan.action {
            Action::Nothing => (Done::default(), Ok(())),
            Action::End(pods) => {
                let ended = join_all(pods.iter().map(|pod| self.delete(job, pod))).await;
                removed(pods, ended)
            }
            Action::Remove(pods) => {
                let names = pods.iter().map(|pod| identity(pod));
                self.expectations.expect_deletions(key, names, Instant::now());
                let ended = join_all(pods.iter().map(|pod| self.remove(key, job, pod))).await;
                removed(pods, ended)
            }
            Action::Create(count) => {
                let new = (0..*count).map(|_| pods::new_pod(job, None, None));
                self.create(key, job, new.collect()).await
            }
            Action::CreateIndexes(indexes) => {
                let new = indexes
                    .iter()
                    .map(|(index, before)| pods::new_pod(job, Some(*index), before.as_deref()));
                self.create(key, job, new.collect()).await
            }
        }
    }

    async fn delete(&self, job: &Job, pod: &Pod) -> Result<(), Error> {
        match self.control.delete(job, pod).await {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    /// Without being counted.
    async fn remove(&self, key: &ObjectKey, job: &Job, pod: &Pod) -> Result<(), Error> {
        let removed = match self.drop_finalizer(job, pod).await {
            Ok(()) => self.delete(job, pod).await,
            failed => failed,
        };
        if removed.is_err() {
            self.expectations.deletion_observed(key, &identity(pod));
        }
        removed
    }

    async fn create(&self, key: &ObjectKey, job: &Job, new: Vec<Pod>) -> (Done, Result<(), Error>) {
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        self.expectations.expect_creations(key, count, Instant::now());
        let new = &new;
        let (created, error) = slow_start(new.len(), |index| async move {
            match self.control.create(job, &new[index]).await {
                // Nothing more is made there: that is no failure.
                Err(error) if error.is_namespace_terminating() => {
                    self.expectations.creation_observed(key);
                    Ok(())
                }
                outcome => outcome.map(drop),
            }
        })
        .await;
        for _ in created..new.len() {
            self.expectations.creation_observed(key);
        }
        let done = Done {
            created: created as i32,
            ..Done::default()
        };
        (done, error.map_or(Ok(()), Err))
    }

    /// Writes what is to be counted, lets the pods go, and counts them.
    async fn settle(
        &self,
        key: &ObjectKey,
        job: &Job,
        plan: &Plan,
        mut tracked: Tracked,
    ) -> Result<(), Error> {
        let mut current = job.clone();
        if tracked.status != current.status {
            current = self.write(key, current, &tracked.status).await?;
            self.remember(key, |memory| memory.backoff = plan.backoff);
        }
        self.tell_turn(job, tracked.turn);
        let let_go = std::mem::take(&mut tracked.let_go);
        let outcomes = join_all(let_go.iter().map(|pod| self.let_go(job, pod))).await;
        for (pod, outcome) in let_go.iter().zip(&outcomes) {
            if outcome.is_ok() {
                tracked.held.remove(&pod.metadata.uid);
            }
        }
        let failed = outcomes.into_iter().find_map(Result::err);
        tracked.take_in();
        let end = if failed.is_none() { tracked.finish() } else { None };
        if tracked.status != current.status {
            self.write(key, current, &tracked.status).await?;
        }
        if let Some(end) = end {
            self.tell_end(job, &tracked.status, &end);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn let_go(&self, job: &Job, pod: &Pod) -> Result<(), Error> {
        let uid = &pod.metadata.uid;
        self.let_go.lock().insert(uid.clone());
        let outcome = self.drop_finalizer(job, pod).await;
        if outcome.is_err() || self.pods.get(&ObjectKey::of(&pod.metadata)).is_none() {
            // No event will tell of it.
            self.let_go.seen(uid);
        }
        outcome
    }

    async fn drop_finalizer(&self, job: &Job, pod: &Pod) -> Result<(), Error> {
        drop_finalizer(&self.api(job), pod).await
    }

    async fn write(&self, key: &ObjectKey, job: Job, status: &JobStatus) -> Result<Job, Error> {
        let job = Job {
            status: status.clone(),
            ..job
        };
        let api = self.context.client.api::<Job>().namespace(&key.namespace);
        let written = api.update_status(&job).await?;
        let version = version(&written);
        self.remember(key, |memory| memory.written = version);
        Ok(written)
    }

    fn tell_turn(&self, job: &Job, turn: Option<Turn>) {
        let (reason, message) = match turn {
            None => return,
            Some(Turn::Suspended) => ("Suspended", "Job suspended"),
            Some(Turn::Resumed) => ("Resumed", "Job resumed"),
        };
        self.context
            .recorder
            .event(job, EventType::Normal, reason, message);
    }

    fn tell_end(&self, job: &Job, status: &JobStatus, end: &api::batch::v1::JobCondition) {
        let recorder = &self.context.recorder;
        if end.type_ != plan::COMPLETE {
            recorder.event(job, EventType::Warning, &end.reason, end.message.clone());
            return;
        }
        if job
            .spec
            .completions
            .is_some_and(|completions| status.succeeded > completions)
        {
            let message = "Too many succeeded pods running after completion count reached";
            recorder.event(job, EventType::Warning, "TooManySucceededPods", message);
        }
        recorder.event(job, EventType::Normal, "Completed", "Job completed");
    }

    fn api(&self, job: &Job) -> Api<Pod> {
        self.context
            .client
            .api::<Pod>()
            .namespace(&job.metadata.namespace)
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<ObjectKey, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, key: &ObjectKey) -> Memory {
        self.memory().get(key).copied().unwrap_or_default()
    }

    fn remember(&self, key: &ObjectKey, note: impl FnOnce(&mut Memory)) {
        note(self.memory().entry(key.clone()).or_default());
    }
}

fn removed(pods: &[Arc<Pod>], outcomes: Vec<Result<(), Error>>) -> (Done, Result<(), Error>) {
    let mut done = Done::default();
    let mut failed = Ok(());
    for (pod, outcome) in pods.iter().zip(outcomes) {
        match outcome {
            Ok(()) => {
                done.removed += 1;
                done.removed_ready += i32::from(is_ready(pod));
            }
            Err(error) => failed = Err(error),
        }
    }
    (done, failed)
}

/// Takes the finalizer from a pod. One that has gone needs that no more.
async fn drop_finalizer(api: &Api<Pod>, pod: &Pod) -> Result<(), Error> {
    if !pods::is_tracked(pod) {
        return Ok(());
    }
    let patch = Patch::Strategic(json!({"metadata": {
        "uid": pod.metadata.uid,
        "$deleteFromPrimitiveList/finalizers": [pods::FINALIZER],
    }}));
    match api
        .patch(&pod.metadata.name, &patch, &PatchParams::default())
        .await
    {
        // Invalid: a successor of the same name, which has another UID.
        Err(error) if error.is_not_found() || error.is_conflict() || error.is_invalid() => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn is_ours(job: &Job) -> bool {
    let manager = job.spec.managed_by.as_deref();
    manager.is_none_or(|manager| manager == CONTROLLER)
}

fn version(job: &Job) -> u64 {
    job.metadata.resource_version.parse().unwrap_or(0)
}

/// The job's selector; nothing when it is absent or can't be understood.
fn selector_of(job: &Job) -> Selector {
    let selector = job.spec.selector.as_deref();
    selector
        .and_then(|selector| api::selector::from_label_selector(selector).ok())
        .unwrap_or_else(Selector::nothing)
}
