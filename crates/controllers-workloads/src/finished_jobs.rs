//! Deletes finished jobs, with their pods, once the time is over for which they ask to be kept.
//!
//! Upstream: pkg/controller/ttlafterfinished

use std::sync::Arc;
use std::time::Duration;

use api::batch::v1::Job;
use api::meta::v1::{DeleteOptions, Preconditions};
use apimachinery::time::Time;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;
use jiff::SignedDuration;

use crate::job::plan::{COMPLETE, FAILED, holds};

const NAME: &str = "ttl_jobs_to_delete";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let jobs = context.informers.of::<Job>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    jobs.add_handler(move |event| {
        let job = event.object();
        if !event.is_deleted() && expiry(job).is_some() {
            own.add(ObjectKey::of(&job.metadata));
        }
    });
    let controller = Controller {
        jobs: jobs.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    jobs: Store<Job>,
}

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    KeepFor(Duration),
    Delete,
}

/// When a job that is over may go; `None` if it is to stay, or is going.
fn expiry(job: &Job) -> Option<Time> {
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let seconds = job.spec.ttl_seconds_after_finished?;
    let end = holds(job, COMPLETE)
        .or(holds(job, FAILED))?
        .last_transition_time?;
    let expiry = end
        .timestamp()
        .checked_add(SignedDuration::from_secs(seconds.into()));
    expiry.ok().map(Time)
}

fn judge(job: &Job, now: Time) -> Verdict {
    let Some(expiry) = expiry(job) else {
        return Verdict::Keep;
    };
    let left = expiry.timestamp().duration_since(now.timestamp());
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Verdict::KeepFor(left),
        _ => Verdict::Delete,
    }
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(job) = self.jobs.get(key) else {
                return Ok(Outcome::Done);
            };
            let now = Time(self.context.clock.now());
            if let Some(outcome) = waits(judge(&job, now)) {
                return Ok(outcome);
            }
            // The time may have been changed since: deleting can't be undone.
            let api = self.context.client.api::<Job>().namespace(&key.namespace);
            let fresh = match api.get(&key.name).await {
                Err(error) if error.is_not_found() => return Ok(Outcome::Done),
                fresh => fresh?,
            };
            if let Some(outcome) = waits(judge(&fresh, now)) {
                return Ok(outcome);
            }
            match api.delete(&key.name, &deletion(&fresh)).await {
                Err(error) if error.is_not_found() => {}
                outcome => outcome?,
            }
            Ok(Outcome::Done)
        })
    }
}

fn waits(verdict: Verdict) -> Option<Outcome> {
    match verdict {
        Verdict::Keep => Some(Outcome::Done),
        Verdict::KeepFor(left) => Some(Outcome::RequeueAfter(left)),
        Verdict::Delete => None,
    }
}

/// This very job, after its pods.
fn deletion(job: &Job) -> DeleteOptions {
    DeleteOptions {
        propagation_policy: Some("Foreground".to_owned()),
        preconditions: Some(Box::new(Preconditions {
            uid: Some(job.metadata.uid.clone()),
            ..Preconditions::default()
        })),
        ..DeleteOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::plan::condition;

    #[test]
    fn a_job_goes_when_its_time_is_over() {
        let at = |second| Time::from_unix(second, 0).expect("a time");
        let mut job = Job::default();
        let check = |job: &Job, now, verdict| assert_eq!(judge(job, at(now)), verdict);
        check(&job, 500, Verdict::Keep);
        job.spec.ttl_seconds_after_finished = Some(60);
        check(&job, 500, Verdict::Keep);
        job.status.conditions.push(condition(FAILED, "", "", at(100)));
        check(&job, 100, Verdict::KeepFor(Duration::from_secs(60)));
        check(&job, 159, Verdict::KeepFor(Duration::from_secs(1)));
        check(&job, 160, Verdict::Delete);
        job.metadata.deletion_timestamp = Some(at(170));
        check(&job, 500, Verdict::Keep);
    }
}
