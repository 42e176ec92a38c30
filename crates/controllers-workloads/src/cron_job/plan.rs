//! Which jobs a cron job starts, replaces and forgets, and when. Pure.

use std::sync::Arc;
use std::time::Duration;

use api::batch::v1::{CronJob, CronJobStatus, Job};
use api::core::v1::ObjectReference;
use apimachinery::time::Time;
use controller_runtime::event_recorder::EventType;
use controller_runtime::ownership::controller_ref;
use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;
use crate::job::plan::{COMPLETE, FAILED, holds, is_finished};

pub const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Added to the time to wait: clocks differ.
const DELTA: Duration = Duration::from_millis(100);
/// More missed starts than these are worth a warning.
const MANY: i64 = 100;

/// An event about the cron job.
pub type Told = (EventType, &'static str, String);

/// What is left of the jobs that were known to run.
#[derive(Clone, Debug, Default)]
pub struct Reviewed {
    pub status: CronJobStatus,
    pub told: Vec<Told>,
    /// Known to run, and not in the cache: to be looked for on the server.
    pub missing: Vec<ObjectReference>,
    /// Run, and are not known to: to be compared with the server's cron job.
    pub unexpected: Vec<Arc<Job>>,
    /// Finished ones beyond the limits of history.
    pub surplus: Vec<Arc<Job>>,
}

pub fn review(cron: &CronJob, jobs: &[Arc<Job>]) -> Reviewed {
    let mut reviewed = Reviewed {
        status: cron.status.clone(),
        ..Reviewed::default()
    };
    for job in jobs {
        let uid = &job.metadata.uid;
        let is_known = reviewed.status.active.iter().any(|active| active.uid == *uid);
        if !is_finished(job) {
            if !is_known {
                reviewed.unexpected.push(job.clone());
            }
            continue;
        }
        let type_ = if holds(job, COMPLETE).is_some() {
            COMPLETE
        } else {
            FAILED
        };
        if is_known {
            reviewed.status.active.retain(|active| active.uid != *uid);
            let message = format!("Saw completed job: {}, condition: {type_}", job.metadata.name);
            reviewed
                .told
                .push((EventType::Normal, "SawCompletedJob", message));
        }
        if type_ == COMPLETE {
            let last = &mut reviewed.status.last_successful_time;
            *last = (*last).max(job.status.completion_time);
        }
    }
    let is_there = |active: &&ObjectReference| jobs.iter().any(|job| job.metadata.uid == active.uid);
    let missing = reviewed.status.active.iter().filter(|active| !is_there(active));
    reviewed.missing = missing.cloned().collect();
    let spec = &cron.spec;
    reviewed.surplus = surplus(jobs, COMPLETE, spec.successful_jobs_history_limit);
    reviewed
        .surplus
        .extend(surplus(jobs, FAILED, spec.failed_jobs_history_limit));
    reviewed
}

/// The oldest finished jobs of a kind beyond a limit.
fn surplus(jobs: &[Arc<Job>], type_: &str, limit: Option<i32>) -> Vec<Arc<Job>> {
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return Vec::new();
    };
    let mut finished: Vec<Arc<Job>> = jobs
        .iter()
        .filter(|job| holds(job, type_).is_some())
        .cloned()
        .collect();
    // One that never started is not old.
    finished.sort_by_key(|job| {
        let started = job.status.start_time;
        (started.is_none(), started, job.metadata.name.clone())
    });
    finished.truncate(finished.len().saturating_sub(limit));
    finished
}

/// What the schedule asks for now.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The job to start, and those that it replaces.
    pub start: Option<Start>,
    pub told: Vec<Told>,
    /// When to look again; `None`: never, as long as the spec stays.
    pub again: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub job: Box<Job>,
    pub at: Time,
    pub replaces: Vec<ObjectReference>,
}

/// `status`: as reviewed.
pub fn due(cron: &CronJob, status: &CronJobStatus, schedule: &Schedule, now: Timestamp) -> Due {
    let mut due = Due {
        start: None,
        told: Vec::new(),
        again: None,
    };
    let spec = &cron.spec;
    let from = earliest(cron, status, Some(now));
    let Some(missed) = missed(schedule, from, now) else {
        let why = "time difference between two schedules is less than 1 second";
        let message = format!("invalid schedule: {} : {why}", spec.schedule);
        due.told.push((EventType::Warning, "InvalidSchedule", message));
        return due;
    };
    due.again = wait(cron, status, schedule, now);
    if missed.count > MANY {
        let message =
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        due.told
            .push((EventType::Warning, "TooManyMissedTimes", message.to_owned()));
    }
    let Some(at) = missed.last else { return due };
    let is_late = spec.starting_deadline_seconds.is_some_and(|seconds| {
        at.checked_add(SignedDuration::from_secs(seconds))
            .is_ok_and(|deadline| deadline < now)
    });
    if is_late {
        let shown = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let message = format!("Missed scheduled time to start a job: {shown}");
        due.told.push((EventType::Warning, "MissSchedule", message));
        return due;
    }
    let name = job_name(cron, at);
    let was_started =
        status.active.iter().any(|active| active.name == name) || status.last_schedule_time == Some(Time(at));
    if was_started {
        return due;
    }
    if spec.concurrency_policy == "Forbid" && !status.active.is_empty() {
        let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
        due.told
            .push((EventType::Normal, "JobAlreadyActive", message.to_owned()));
        return due;
    }
    let replaces = if spec.concurrency_policy == "Replace" {
        status.active.clone()
    } else {
        Vec::new()
    };
    due.start = Some(Start {
        job: Box::new(new_job(cron, schedule, at)),
        at: Time(at),
        replaces,
    });
    due
}

/// Since when starts may have been missed. None are made up for from before the deadline that ends now.
fn earliest(cron: &CronJob, status: &CronJobStatus, now: Option<Timestamp>) -> Timestamp {
    let created = cron.metadata.creation_timestamp;
    let from = status.last_schedule_time.or(created);
    let from = from.map_or(Timestamp::UNIX_EPOCH, |time| time.timestamp());
    let deadline = now
        .zip(cron.spec.starting_deadline_seconds)
        .and_then(|(now, seconds)| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    deadline.map_or(from, |deadline| deadline.max(from))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Missed {
    /// The last start that ought to have been.
    last: Option<Timestamp>,
    /// About how many there were.
    count: i64,
}

/// `None`: the schedule makes no sense.
fn missed(schedule: &Schedule, from: Timestamp, now: Timestamp) -> Option<Missed> {
    let first = schedule.next(from)?;
    if now < first {
        return Some(Missed::default());
    }
    let second = schedule.next(first)?;
    if now < second {
        return Some(Missed {
            last: Some(first),
            count: 0,
        });
    }
    let period = second.as_second() - first.as_second();
    if period < 1 {
        return None;
    }
    // Not one by one: there may be very many.
    let count = (now.as_second() - first.as_second()) / period + 1;
    let near = first.as_second() + (count - 2) * period;
    let mut last = None;
    let mut next = schedule.next(Timestamp::from_second(near).ok()?);
    while let Some(at) = next.filter(|at| *at <= now) {
        last = Some(at);
        next = schedule.next(at);
    }
    Some(Missed { last, count })
}

fn wait(cron: &CronJob, status: &CronJobStatus, schedule: &Schedule, now: Timestamp) -> Option<Duration> {
    let from = earliest(cron, status, None);
    let reference = match missed(schedule, from, now) {
        Some(Missed { last: Some(last), .. }) => last,
        Some(Missed { count: 0, .. }) => from,
        _ => now,
    };
    let left = schedule.next(reference)?.duration_since(now);
    Some(Duration::try_from(left).unwrap_or_default() + DELTA)
}

/// The same for every attempt at one start: so that it comes about once.
fn job_name(cron: &CronJob, at: Timestamp) -> String {
    format!("{}-{}", cron.metadata.name, at.as_second().div_euclid(60))
}

fn new_job(cron: &CronJob, schedule: &Schedule, at: Timestamp) -> Job {
    let template = &cron.spec.job_template;
    let mut job = Job {
        spec: template.spec.clone(),
        ..Job::default()
    };
    job.metadata.name = job_name(cron, at);
    job.metadata.namespace = cron.metadata.namespace.clone();
    job.metadata.labels = template.metadata.labels.clone();
    job.metadata.annotations = template.metadata.annotations.clone();
    job.metadata
        .annotations
        .insert(SCHEDULED_AT.into(), schedule.shown(at));
    job.metadata.owner_references = vec![controller_ref(cron)];
    job
}

#[cfg(test)]
mod tests;
