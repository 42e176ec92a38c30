//! Counting each pod exactly once: it bears a finalizer until its UID stands in the job's status, which is then
//! taken into the counters as the finalizer goes. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use api::batch::v1::{Job, JobCondition, JobStatus};
use api::core::v1::Pod;
use apimachinery::time::Time;

use super::indexes::Indexes;
use super::plan::{
    COMPLETE, FAILED, FAILURE_TARGET, Observed, Plan, SUCCESS_MET, SUSPENDED, condition, holds,
};
use super::pods::{has_failed, has_succeeded, index_of, is_indexed, is_suspended};
use super::policies::{self, Verdict};

/// UIDs in a status at a time: so that it does not grow too large.
const MOST_UNCOUNTED: usize = 500;

/// What became of the plan's action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub removed: i32,
    pub removed_ready: i32,
    pub created: i32,
}

/// Whether a job was stopped or let go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Suspended,
    Resumed,
}

/// The status to be written before any pod is let go, and which pods are then.
#[derive(Clone, Debug)]
pub struct Tracked {
    pub status: JobStatus,
    pub let_go: Vec<Arc<Pod>>,
    /// UIDs that are not let go yet.
    pub held: HashSet<String>,
    /// How the job ends, once all its pods are counted and gone.
    pub end: Option<JobCondition>,
    /// More pods wait to be counted: another time.
    pub is_partial: bool,
    pub turn: Option<Turn>,
}

pub fn track(observed: &Observed, plan: &Plan, done: Done, now: Time) -> Tracked {
    let mut status = observed.job.status.clone();
    let mut end = plan.verdict.clone();
    if end.is_some() && (done.removed != plan.active || !observed.is_current) {
        // Pods may be left, or on their way: not yet.
        end = None;
    }
    status.active = plan.active - done.removed + done.created;
    status.ready = Some(plan.ready - done.removed_ready);
    status.terminating = Some(plan.terminating + done.removed);
    if status.start_time.is_none() && !is_suspended(&observed.job) {
        status.start_time = Some(now);
    }
    let mut turn = None;
    if plan.verdict.is_none() {
        if is_complete(&observed.job, plan, status.active) {
            let message = "Reached expected number of succeeded pods";
            end = Some(condition(SUCCESS_MET, "CompletionsReached", message, now));
        } else if plan.is_managed {
            turn = suspend(&observed.job, &mut status, now);
        }
    }
    let held = observed
        .pods
        .iter()
        .filter(|pod| observed.is_uncounted(pod))
        .map(|pod| pod.metadata.uid.clone());
    let mut tracked = Tracked {
        status,
        let_go: Vec::new(),
        held: held.collect(),
        end,
        is_partial: false,
        turn,
    };
    tracked.take_in();
    tracked.count(observed, plan);
    tracked.declare(&observed.job, now);
    tracked
}

fn is_complete(job: &Job, plan: &Plan, active: i32) -> bool {
    let enough = match job.spec.completions {
        None => plan.succeeded > 0,
        Some(completions) => plan.succeeded >= completions,
    };
    enough && active == 0
}

fn suspend(job: &Job, status: &mut JobStatus, now: Time) -> Option<Turn> {
    let stops = is_suspended(job);
    let (text, reason, message) = if stops {
        ("True", "JobSuspended", "Job suspended")
    } else {
        ("False", "JobResumed", "Job resumed")
    };
    let wanted = JobCondition {
        status: text.into(),
        ..condition(SUSPENDED, reason, message, now)
    };
    match status
        .conditions
        .iter_mut()
        .find(|condition| condition.type_ == SUSPENDED)
    {
        Some(old) if (&old.status, &old.reason) == (&wanted.status, &wanted.reason) => return None,
        Some(old) => *old = wanted,
        None if stops => status.conditions.push(wanted),
        // It never was.
        None => return None,
    }
    // The deadline counts from when it last began.
    status.start_time = (!stops).then_some(now);
    Some(if stops { Turn::Suspended } else { Turn::Resumed })
}

impl Tracked {
    /// Counts those whose finalizer is gone, and forgets their UIDs.
    pub fn take_in(&mut self) {
        let status = &mut self.status;
        let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
        for (uids, counter) in [
            (&mut uncounted.succeeded, &mut status.succeeded),
            (&mut uncounted.failed, &mut status.failed),
        ] {
            let before = uids.len();
            uids.retain(|uid| self.held.contains(uid));
            *counter += (before - uids.len()) as i32;
        }
        status.uncounted_terminated_pods = Some(uncounted);
    }

    fn count(&mut self, observed: &Observed, plan: &Plan) {
        let job = &observed.job;
        let completions = job.spec.completions.unwrap_or(0);
        let before = Indexes::parse(&job.status.completed_indexes, completions);
        let mut new_indexes = Vec::new();
        let mut pods: Vec<&Arc<Pod>> = observed
            .pods
            .iter()
            .filter(|pod| observed.is_uncounted(pod))
            .collect();
        pods.sort_by_key(|pod| index_of(job, pod));
        for pod in pods {
            if !self.may_go(job, plan, pod) {
                continue;
            }
            self.let_go.push(pod.clone());
            if has_succeeded(pod) && is_indexed(job) {
                new_indexes.extend(index_of(job, pod).filter(|index| !before.contains(*index)));
            } else if has_succeeded(pod) {
                self.note(pod, |uncounted| &mut uncounted.succeeded);
            } else if self.counts_as_failed(job, pod) {
                self.note(pod, |uncounted| &mut uncounted.failed);
            }
            if new_indexes.len() + self.uncounted() >= MOST_UNCOUNTED {
                self.is_partial = true;
                break;
            }
        }
        if is_indexed(job) {
            let succeeded = before.union(&Indexes::from_each(new_indexes));
            self.status.succeeded = succeeded.total();
            self.status.completed_indexes = succeeded.to_string();
            self.status.failed_indexes = plan.failed_indexes.as_ref().map(Indexes::to_string);
        }
    }

    fn uncounted(&self) -> usize {
        let uncounted = self.status.uncounted_terminated_pods.as_ref();
        uncounted.map_or(0, |uncounted| uncounted.succeeded.len() + uncounted.failed.len())
    }

    fn note(
        &mut self,
        pod: &Pod,
        list: impl Fn(&mut api::batch::v1::UncountedTerminatedPods) -> &mut Vec<String>,
    ) {
        let uncounted = self.status.uncounted_terminated_pods.get_or_insert_default();
        let uid = &pod.metadata.uid;
        if !uncounted.succeeded.contains(uid) && !uncounted.failed.contains(uid) {
            list(uncounted).push(uid.clone());
        }
    }

    /// A pod that ended is counted, unless its successor has to read from it; at the job's end all are.
    fn may_go(&self, job: &Job, plan: &Plan, pod: &Pod) -> bool {
        if job.metadata.deletion_timestamp.is_some() || self.end.is_some() || has_succeeded(pod) {
            return true;
        }
        has_failed(job, pod) && !plan.kept_back.contains(&pod.metadata.uid)
    }

    /// When the job fails, whatever has not succeeded has failed.
    fn counts_as_failed(&self, job: &Job, pod: &Pod) -> bool {
        let job_fails = self.end.as_ref().is_some_and(|end| end.type_ != SUCCESS_MET);
        (has_failed(job, pod) || job_fails)
            && (!is_indexed(job) || index_of(job, pod).is_some())
            && policies::judge(job, pod) != Verdict::Ignored
    }

    /// First that the job will end, and only after its pods are gone that it has.
    fn declare(&mut self, job: &Job, now: Time) {
        let Some(end) = self.end.take() else { return };
        let terminal = match end.type_.as_str() {
            FAILURE_TARGET | FAILED => FAILED,
            _ => COMPLETE,
        };
        if end.type_ != FAILED && holds(job, &end.type_).is_none() {
            self.status.conditions.push(end.clone());
        }
        self.end = Some(condition(terminal, &end.reason, &end.message, now));
    }

    /// The job has ended, if nothing is left to be counted or to go. Gives the condition that says so.
    pub fn finish(&mut self) -> Option<JobCondition> {
        let end = self.end.clone()?;
        if self.is_partial || self.uncounted() > 0 || self.status.terminating.is_some_and(|count| count > 0) {
            return None;
        }
        if end.type_ == COMPLETE {
            self.status.completion_time = end.last_transition_time;
        }
        self.status.conditions.push(end.clone());
        Some(end)
    }
}
