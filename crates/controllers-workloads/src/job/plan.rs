//! What to do about a job's pods, and whether it is over. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::batch::v1::{Job, JobCondition};
use api::core::v1::Pod;
use api::pod_conditions::{is_active, is_ready, is_terminating};
use apimachinery::time::Time;

use super::backoff::{Backoff, remaining_of_index};
use super::indexes::Indexes;
use super::pods::{
    all_failures, counted_failures, ended_at, has_failed, has_succeeded, index_of, is_indexed, is_suspended,
    is_tracked, raw_index_of, replaces_only_failed,
};
use super::policies::{self, Verdict};
use crate::pods::ranking::pods_to_delete;

/// The most pods created or deleted in one go.
const BURST: usize = 500;
const DEFAULT_BACKOFF_LIMIT: i32 = 6;

pub const COMPLETE: &str = "Complete";
pub const FAILED: &str = "Failed";
pub const FAILURE_TARGET: &str = "FailureTarget";
pub const SUCCESS_MET: &str = "SuccessCriteriaMet";
pub const SUSPENDED: &str = "Suspended";

pub struct Observed {
    pub job: Job,
    pub pods: Vec<Arc<Pod>>,
    /// UIDs of pods that were let go, which the cache may not show yet.
    pub let_go: HashSet<String>,
    /// Whether the cache shows all pods that were created and deleted.
    pub is_current: bool,
    pub backoff: Backoff,
}

/// What is to be done to pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Nothing,
    /// The job is over: its pods end, and are counted before they go.
    End(Vec<Arc<Pod>>),
    /// There are too many: they go, and are not counted.
    Remove(Vec<Arc<Pod>>),
    /// So many, or one for each index with its failed predecessor.
    Create(usize),
    CreateIndexes(Vec<(i32, Option<Arc<Pod>>)>),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub action: Action,
    pub active: i32,
    pub ready: i32,
    pub terminating: i32,
    /// With those that are not counted in the status yet.
    pub succeeded: i32,
    pub succeeded_indexes: Indexes,
    pub failed_indexes: Option<Indexes>,
    /// Pods that stay until their successors know how often their index has failed.
    pub kept_back: HashSet<String>,
    pub backoff: Backoff,
    /// That the job is to fail or has succeeded.
    pub verdict: Option<JobCondition>,
    /// Whether pods were looked after: conditions of suspension follow only then.
    pub is_managed: bool,
    /// When to look again, whatever happens.
    pub requeue_after: Option<Duration>,
}

impl Observed {
    /// Whether a pod is yet to be counted.
    pub fn is_uncounted(&self, pod: &Pod) -> bool {
        is_tracked(pod) && !self.let_go.contains(&pod.metadata.uid)
    }

    fn in_status(&self, pod: &Pod) -> bool {
        let uncounted = self.job.status.uncounted_terminated_pods.as_ref();
        uncounted.is_some_and(|uncounted| {
            uncounted.succeeded.contains(&pod.metadata.uid) || uncounted.failed.contains(&pod.metadata.uid)
        })
    }

    /// Pods that have just ended, in a way and an index that counts.
    fn newly(&self, ended: impl Fn(&Pod) -> bool) -> Vec<&Arc<Pod>> {
        let counts = |pod: &&Arc<Pod>| {
            self.is_uncounted(pod)
                && !self.in_status(pod)
                && (!is_indexed(&self.job) || index_of(&self.job, pod).is_some())
                && ended(pod)
        };
        self.pods.iter().filter(counts).collect()
    }
}

pub fn plan(observed: &Observed, now: Time) -> Plan {
    let job = &observed.job;
    let active: Vec<Arc<Pod>> = observed
        .pods
        .iter()
        .filter(|pod| is_active(pod))
        .cloned()
        .collect();
    let terminating = observed.pods.iter().filter(|pod| is_terminating(pod)).count();
    let newly_succeeded = observed.newly(has_succeeded);
    let newly_failed = observed.newly(|pod| has_failed(job, pod));
    let (waiting_succeeded, waiting_failed) = uncounted(job);
    let counted = newly_failed
        .iter()
        .filter(|pod| policies::judge(job, pod) != Verdict::Ignored);
    let failed = job.status.failed + counted.count() as i32 + waiting_failed;
    let mut plan = Plan {
        action: Action::Nothing,
        active: active.len() as i32,
        ready: active.iter().filter(|pod| is_ready(pod)).count() as i32,
        terminating: terminating as i32,
        succeeded: job.status.succeeded + newly_succeeded.len() as i32 + waiting_succeeded,
        succeeded_indexes: Indexes::default(),
        failed_indexes: None,
        kept_back: HashSet::new(),
        backoff: observed.backoff.with(&newly_succeeded, &newly_failed),
        verdict: None,
        is_managed: false,
        requeue_after: None,
    };
    plan.judge(observed, failed, now);
    let predecessors = plan.judge_indexes(observed, &active, now);
    if plan.verdict.is_some() {
        plan.action = Action::End(active);
    } else if observed.is_current && job.metadata.deletion_timestamp.is_none() {
        plan.is_managed = true;
        plan.manage(observed, active, &predecessors, now);
    }
    plan
}

fn uncounted(job: &Job) -> (i32, i32) {
    let uncounted = job.status.uncounted_terminated_pods.as_ref();
    uncounted.map_or((0, 0), |uncounted| {
        (uncounted.succeeded.len() as i32, uncounted.failed.len() as i32)
    })
}

/// A condition that has become true.
pub fn condition(type_: &str, reason: &str, message: &str, now: Time) -> JobCondition {
    JobCondition {
        type_: type_.into(),
        status: "True".into(),
        last_probe_time: Some(now),
        last_transition_time: Some(now),
        reason: reason.into(),
        message: message.into(),
    }
}

/// The condition of a type, if it holds.
pub fn holds<'a>(job: &'a Job, type_: &str) -> Option<&'a JobCondition> {
    let conditions = &job.status.conditions;
    conditions
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == "True")
}

pub fn is_finished(job: &Job) -> bool {
    holds(job, COMPLETE).or(holds(job, FAILED)).is_some()
}

impl Plan {
    /// What earlier syncs came to, then the reasons to fail.
    fn judge(&mut self, observed: &Observed, failed: i32, now: Time) {
        let job = &observed.job;
        if let Some(met) = holds(job, SUCCESS_MET) {
            self.verdict = Some(met.clone());
            return;
        }
        if let Some(target) = holds(job, FAILURE_TARGET) {
            self.verdict = Some(condition(FAILED, &target.reason, &target.message, now));
            return;
        }
        let limit = job.spec.backoff_limit.unwrap_or(DEFAULT_BACKOFF_LIMIT);
        let fails = |reason, message: &str| Some(condition(FAILURE_TARGET, reason, message, now));
        self.verdict = if let Some(why) = failing_pod(observed) {
            fails("PodFailurePolicy", &why)
        } else if failed > limit || restarts_exceed(observed, limit) {
            fails(
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            )
        } else {
            match until_deadline(job, now) {
                Some(Duration::ZERO) => fails(
                    "DeadlineExceeded",
                    "Job was active longer than specified deadline",
                ),
                left => {
                    self.requeue_after = left;
                    None
                }
            }
        };
    }

    /// Gives the failed pods whose indexes wait for successors.
    fn judge_indexes(
        &mut self,
        observed: &Observed,
        active: &[Arc<Pod>],
        now: Time,
    ) -> BTreeMap<i32, Arc<Pod>> {
        let job = &observed.job;
        if !is_indexed(job) {
            return BTreeMap::new();
        }
        let completions = job.spec.completions.unwrap_or(0);
        let before = Indexes::parse(&job.status.completed_indexes, completions);
        let tracked = |pod: &&Arc<Pod>| is_tracked(pod);
        let succeeded = observed
            .pods
            .iter()
            .filter(tracked)
            .filter(|pod| has_succeeded(pod))
            .filter_map(|pod| index_of(job, pod));
        self.succeeded_indexes = before.union(&Indexes::from_each(succeeded));
        self.succeeded = self.succeeded_indexes.total();
        let mut predecessors = BTreeMap::new();
        if job.spec.backoff_limit_per_index.is_some() {
            let failed = failed_indexes(observed, completions);
            self.judge_failed_indexes(job, &failed, completions, now);
            predecessors = last_failures(observed, active, &self.succeeded_indexes, &failed);
            self.kept_back = predecessors
                .values()
                .map(|pod| pod.metadata.uid.clone())
                .collect();
            self.failed_indexes = Some(failed);
        }
        if self.verdict.is_none() {
            let policy = job.spec.success_policy.as_deref();
            self.verdict = policies::success(policy, completions, &self.succeeded_indexes)
                .map(|message| condition(SUCCESS_MET, "SuccessPolicy", &message, now));
        }
        predecessors
    }

    fn judge_failed_indexes(&mut self, job: &Job, failed: &Indexes, completions: i32, now: Time) {
        if self.verdict.is_some() {
            return;
        }
        let fails = |reason, message: &str| Some(condition(FAILURE_TARGET, reason, message, now));
        if job
            .spec
            .max_failed_indexes
            .is_some_and(|most| failed.total() > most)
        {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            self.verdict = fails("MaxFailedIndexesExceeded", message);
        } else if !failed.is_empty() && failed.total() + self.succeeded_indexes.total() >= completions {
            self.verdict = fails("FailedIndexes", "Job has failed indexes");
        }
    }

    fn manage(
        &mut self,
        observed: &Observed,
        active: Vec<Arc<Pod>>,
        predecessors: &BTreeMap<i32, Arc<Pod>>,
        now: Time,
    ) {
        let job = &observed.job;
        if is_suspended(job) {
            self.action = Action::Remove(active);
            return;
        }
        let running = active.len();
        let wanted = self.wanted(job, running);
        let surplus = surplus(job, active, running.saturating_sub(wanted), now);
        if !surplus.is_empty() {
            self.action = Action::Remove(surplus);
            return;
        }
        let going = if replaces_only_failed(job) {
            self.terminating as usize
        } else {
            0
        };
        let missing = wanted.saturating_sub(running + going).min(BURST);
        if missing > 0 {
            self.create(observed, missing, predecessors, now);
        }
    }

    fn wanted(&self, job: &Job, running: usize) -> usize {
        let parallelism = usize::try_from(job.spec.parallelism.unwrap_or(1)).unwrap_or(0);
        match job.spec.completions {
            // Once one has succeeded, those that run are left to end.
            None if self.succeeded > 0 => running,
            None => parallelism,
            Some(completions) => {
                let left = completions.saturating_sub(self.succeeded);
                usize::try_from(left).unwrap_or(0).min(parallelism)
            }
        }
    }

    fn create(
        &mut self,
        observed: &Observed,
        missing: usize,
        predecessors: &BTreeMap<i32, Arc<Pod>>,
        now: Time,
    ) {
        let job = &observed.job;
        let by_index = job.spec.backoff_limit_per_index.is_some();
        let wait = self.backoff.remaining(now);
        if !by_index && !wait.is_zero() {
            self.look_again_in(wait);
            return;
        }
        if !is_indexed(job) {
            self.action = Action::Create(missing);
            return;
        }
        let mut ready = Vec::new();
        let mut shortest: Option<Duration> = None;
        for index in self.pending_indexes(observed, missing) {
            let predecessor = predecessors.get(&index).filter(|_| by_index);
            let wait = predecessor.map_or(Duration::ZERO, |pod| remaining_of_index(pod, now));
            if wait.is_zero() {
                ready.push((index, predecessor.cloned()));
            } else {
                shortest = Some(shortest.map_or(wait, |least| least.min(wait)));
            }
        }
        if let Some(wait) = shortest {
            self.look_again_in(wait);
        }
        if !ready.is_empty() {
            self.action = Action::CreateIndexes(ready);
        }
    }

    fn pending_indexes(&self, observed: &Observed, count: usize) -> Vec<i32> {
        let job = &observed.job;
        let only_failed = replaces_only_failed(job);
        let taken = observed
            .pods
            .iter()
            .filter(|pod| is_active(pod) || (only_failed && is_terminating(pod)))
            .filter_map(|pod| raw_index_of(pod));
        let mut taken = self.succeeded_indexes.union(&Indexes::from_each(taken));
        if let Some(failed) = &self.failed_indexes {
            taken = taken.union(failed);
        }
        taken.first_missing(count, job.spec.completions.unwrap_or(0))
    }

    fn look_again_in(&mut self, wait: Duration) {
        self.requeue_after = Some(self.requeue_after.map_or(wait, |other| other.min(wait)));
    }
}

fn failing_pod(observed: &Observed) -> Option<String> {
    let job = &observed.job;
    job.spec.pod_failure_policy.as_ref()?;
    observed
        .pods
        .iter()
        .filter(|pod| has_failed(job, pod))
        .find_map(|pod| match policies::judge(job, pod) {
            Verdict::FailsJob(why) => Some(why),
            _ => None,
        })
}

/// Containers that are started again within their pod count as well.
fn restarts_exceed(observed: &Observed, limit: i32) -> bool {
    if observed.job.spec.template.spec.restart_policy != "OnFailure" {
        return false;
    }
    let running = observed
        .pods
        .iter()
        .filter(|pod| matches!(pod.status.phase.as_str(), "Running" | "Pending"));
    let statuses = running.flat_map(|pod| {
        pod.status
            .init_container_statuses
            .iter()
            .chain(&pod.status.container_statuses)
    });
    let restarts: i32 = statuses.map(|status| status.restart_count).sum();
    restarts >= limit.max(1)
}

/// How long the job may be active still; `None` if there is no deadline, or it does not run.
fn until_deadline(job: &Job, now: Time) -> Option<Duration> {
    let allowed = job.spec.active_deadline_seconds?;
    if is_suspended(job) {
        return None;
    }
    let started = job.status.start_time.unwrap_or(now);
    let elapsed = now.timestamp().duration_since(started.timestamp());
    let left = jiff::SignedDuration::from_secs(allowed) - elapsed;
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

fn failed_indexes(observed: &Observed, completions: i32) -> Indexes {
    let job = &observed.job;
    let before = Indexes::parse(
        job.status.failed_indexes.as_deref().unwrap_or_default(),
        completions,
    );
    let limit = job.spec.backoff_limit_per_index.unwrap_or(0);
    let fails = |pod: &&Arc<Pod>| {
        is_tracked(pod)
            && has_failed(job, pod)
            && match policies::judge(job, pod) {
                Verdict::FailsIndex => true,
                Verdict::Ignored => false,
                Verdict::Counts | Verdict::FailsJob(_) => counted_failures(pod) >= limit,
            }
    };
    let failed = observed
        .pods
        .iter()
        .filter(fails)
        .filter_map(|pod| index_of(job, pod));
    before.union(&Indexes::from_each(failed))
}

/// Of each index that is neither over nor running, the failed pod that was last.
fn last_failures(
    observed: &Observed,
    active: &[Arc<Pod>],
    succeeded: &Indexes,
    failed: &Indexes,
) -> BTreeMap<i32, Arc<Pod>> {
    let job = &observed.job;
    let running = Indexes::from_each(active.iter().filter_map(|pod| raw_index_of(pod)));
    let over = succeeded.union(failed).union(&running);
    let mut last: BTreeMap<i32, Arc<Pod>> = BTreeMap::new();
    for pod in &observed.pods {
        let Some(index) = index_of(job, pod).filter(|index| !over.contains(*index)) else {
            continue;
        };
        if !observed.is_uncounted(pod) || !has_failed(job, pod) {
            continue;
        }
        let rank = |pod: &Pod| (all_failures(pod), ended_at(pod));
        if last.get(&index).is_none_or(|other| rank(other) <= rank(pod)) {
            last.insert(index, pod.clone());
        }
    }
    last
}

/// Pods without an index, of one too many, or of one that another has; then as many as there are too many.
fn surplus(job: &Job, active: Vec<Arc<Pod>>, at_least: usize, now: Time) -> Vec<Arc<Pod>> {
    let mut surplus = Vec::new();
    let mut rest = active;
    if is_indexed(job) {
        let mut by_index: BTreeMap<i32, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in std::mem::take(&mut rest) {
            match index_of(job, &pod) {
                Some(index) => by_index.entry(index).or_default().push(pod),
                None => surplus.push(pod),
            }
        }
        for pods in by_index.into_values() {
            let going = pods_to_delete(&pods, &[], pods.len() - 1, now);
            rest.extend(pods.into_iter().filter(|pod| !going.contains(pod)));
            surplus.extend(going);
        }
    }
    if surplus.len() < at_least {
        surplus.extend(pods_to_delete(&rest, &[], at_least - surplus.len(), now));
    }
    surplus.truncate(BURST);
    surplus
}

#[cfg(test)]
mod tests;
