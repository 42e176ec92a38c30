//! Starts jobs by the clock.
//!
//! [`schedule`] knows when; [`plan`] decides what is to be started, replaced and forgotten.
//!
//! Upstream: pkg/controller/cronjob

pub mod plan;
pub mod schedule;

use std::path::Path;
use std::sync::Arc;

use api::batch::v1::{CronJob, CronJobStatus, Job};
use api::core::v1::ObjectReference;
use api::meta::v1::DeleteOptions;
use api::{Kind, Resource};
use client::{Api, Error};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::{EventType, reference};
use controller_runtime::ownership::{controller_of, is_controlled_by};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;

use plan::{Start, Told};
use schedule::Schedule;

const NAME: &str = "cronjob";
const BY_CONTROLLER: &str = "controller";
/// Where the rules of time zones are kept.
const ZONES: &str = "/usr/share/zoneinfo";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let crons = context.informers.of::<CronJob>();
    let jobs = context.informers.of::<Job>();
    let queue = context.queue(NAME);
    let store = jobs.store();
    store.add_index(BY_CONTROLLER, |job: &Job| {
        let owner = controller_of(&job.metadata);
        owner.map(|owner| owner.uid.clone()).into_iter().collect()
    });
    let own = queue.clone();
    crons.add_handler(move |event| own.add(ObjectKey::of(&event.object().metadata)));
    let concerned = queue.clone();
    jobs.add_handler(move |event| {
        let metadata = &event.object().metadata;
        let owner = controller_of(metadata).filter(|owner| owner.kind == CronJob::KIND);
        if let Some(owner) = owner {
            concerned.add(ObjectKey::new(&metadata.namespace, &owner.name));
        }
    });
    let controller = Controller {
        crons: crons.store(),
        jobs: store,
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    crons: Store<CronJob>,
    jobs: Store<Job>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            match self.crons.get(key) {
                Some(cron) => self.sync(&cron).await,
                None => Ok(Outcome::Done),
            }
        })
    }
}

impl Controller {
    async fn sync(&self, cron: &CronJob) -> Result<Outcome, driver::Error> {
        let jobs = self.jobs.by_index(BY_CONTROLLER, &cron.metadata.uid);
        let mut status = self.review(cron, &jobs).await?;
        let due = self.due(cron, &status);
        let started = match due.as_ref().and_then(|due| due.start.as_ref()) {
            Some(start) => self.start(cron, &mut status, start).await,
            None => Ok(()),
        };
        self.write(cron, status).await?;
        started?;
        let again = due.and_then(|due| due.again);
        Ok(again.map_or(Outcome::Done, Outcome::RequeueAfter))
    }

    /// Which jobs run still, and when the last one succeeded. Deletes those that are too old.
    async fn review(&self, cron: &CronJob, jobs: &[Arc<Job>]) -> Result<CronJobStatus, Error> {
        let reviewed = plan::review(cron, jobs);
        let mut status = reviewed.status;
        self.tell(cron, reviewed.told);
        for job in &reviewed.unexpected {
            if !self.is_known(cron, job).await? {
                let name = &job.metadata.name;
                let message = format!("Saw a job that the controller did not create or forgot: {name}");
                self.tell(cron, vec![(EventType::Warning, "UnexpectedJob", message)]);
            }
        }
        for missing in &reviewed.missing {
            match self.api(cron).get(&missing.name).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    status.active.retain(|active| active.uid != missing.uid);
                    let message = format!("Active job went missing: {}", missing.name);
                    self.tell(cron, vec![(EventType::Normal, "MissingJob", message)]);
                }
                Err(error) => return Err(error),
            }
        }
        for job in &reviewed.surplus {
            // What can't be deleted now is still there the next time.
            self.delete(cron, &mut status, &job.metadata.name, &job.metadata.uid)
                .await
                .ok();
        }
        Ok(status)
    }

    /// The cache may be behind our own write.
    async fn is_known(&self, cron: &CronJob, job: &Job) -> Result<bool, Error> {
        let crons = self.crons_api(cron);
        let fresh = crons.get(&cron.metadata.name).await?;
        Ok(fresh
            .status
            .active
            .iter()
            .any(|active| active.uid == job.metadata.uid))
    }

    /// `None`: nothing is, until the spec changes.
    fn due(&self, cron: &CronJob, status: &CronJobStatus) -> Option<plan::Due> {
        if cron.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let schedule = match self.schedule(cron) {
            Ok(schedule) => schedule,
            Err(told) => {
                self.tell(cron, vec![told]);
                return None;
            }
        };
        if cron.spec.suspend == Some(true) {
            return None;
        }
        let mut due = plan::due(cron, status, &schedule, self.context.clock.now());
        self.tell(cron, std::mem::take(&mut due.told));
        Some(due)
    }

    fn schedule(&self, cron: &CronJob) -> Result<Schedule, Told> {
        let mut text = cron.spec.schedule.as_str();
        let mut name = cron.spec.time_zone.as_deref();
        if let Some((prefix, rest)) = text.split_once(' ')
            && let Some(("TZ" | "CRON_TZ", zone)) = prefix.split_once('=')
        {
            (text, name) = (rest, Some(zone));
            let schedule = &cron.spec.schedule;
            let message = format!(
                "CRON_TZ or TZ used in schedule {schedule:?} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            );
            self.tell(cron, vec![(EventType::Warning, "UnsupportedSchedule", message)]);
        }
        let zone = zone(name).map_err(|why| {
            let message = format!("invalid timeZone: {:?}: {why}", name.unwrap_or_default());
            (EventType::Warning, "UnknownTimeZone", message)
        })?;
        Schedule::parse(text, zone).map_err(|error| {
            let message = format!("unparseable schedule: {:?} : {error}", cron.spec.schedule);
            (EventType::Warning, "UnparseableSchedule", message)
        })
    }

    async fn start(&self, cron: &CronJob, status: &mut CronJobStatus, start: &Start) -> Result<(), Error> {
        for replaced in &start.replaces {
            self.delete(cron, status, &replaced.name, &replaced.uid).await?;
        }
        let job = match self.api(cron).create(&start.job).await {
            Ok(job) => {
                let message = format!("Created job {}", job.metadata.name);
                self.tell(cron, vec![(EventType::Normal, "SuccessfulCreate", message)]);
                job
            }
            // Made before, and the status was not written; or somebody else's of the same name.
            Err(error) if error.is_already_exists() => {
                let job = self.api(cron).get(&start.job.metadata.name).await?;
                if !is_controlled_by(&job.metadata, &cron.metadata.uid) {
                    return Ok(());
                }
                job
            }
            Err(error) => {
                if !error.is_namespace_terminating() {
                    let message = format!("Error creating job: {error}");
                    self.tell(cron, vec![(EventType::Warning, "FailedCreate", message)]);
                }
                return Err(error);
            }
        };
        status.active.push(active(&job));
        status.last_schedule_time = Some(start.at);
        Ok(())
    }

    /// Deletes a job with its pods.
    async fn delete(
        &self,
        cron: &CronJob,
        status: &mut CronJobStatus,
        name: &str,
        uid: &str,
    ) -> Result<(), Error> {
        let options = DeleteOptions {
            propagation_policy: Some("Background".to_owned()),
            ..DeleteOptions::default()
        };
        match self.api(cron).delete(name, &options).await {
            Err(error) if !error.is_not_found() => {
                let message = format!("Deleted job: {error}");
                self.tell(cron, vec![(EventType::Warning, "FailedDelete", message)]);
                return Err(error);
            }
            _ => {}
        }
        status.active.retain(|active| active.uid != uid);
        let message = format!("Deleted job {name}");
        self.tell(cron, vec![(EventType::Normal, "SuccessfulDelete", message)]);
        Ok(())
    }

    async fn write(&self, cron: &CronJob, status: CronJobStatus) -> Result<(), Error> {
        if status == cron.status {
            return Ok(());
        }
        let updated = CronJob {
            status,
            ..cron.clone()
        };
        match self.crons_api(cron).update_status(&updated).await {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    fn tell(&self, cron: &CronJob, told: Vec<Told>) {
        for (type_, reason, message) in told {
            self.context.recorder.event(cron, type_, reason, message);
        }
    }

    fn api(&self, cron: &CronJob) -> Api<Job> {
        self.context
            .client
            .api::<Job>()
            .namespace(&cron.metadata.namespace)
    }

    fn crons_api(&self, cron: &CronJob) -> Api<CronJob> {
        self.context
            .client
            .api::<CronJob>()
            .namespace(&cron.metadata.namespace)
    }
}

/// A job as the status lists it.
fn active(job: &Job) -> ObjectReference {
    let reference = reference(job);
    ObjectReference {
        resource_version: job.metadata().resource_version.clone(),
        ..reference
    }
}

/// The rules of a zone; without a name, UTC.
fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    match name {
        None | Some("" | "UTC" | "Etc/UTC") => Ok(TimeZone::UTC),
        // A name is no way out of the folder.
        Some(name) if name.contains("..") || name.starts_with('/') => {
            Err(format!("unknown time zone {name}"))
        }
        Some(name) => {
            let unknown = |_| format!("unknown time zone {name}");
            let rules = std::fs::read(Path::new(ZONES).join(name)).map_err(unknown)?;
            TimeZone::tzif(name, &rules).map_err(|error| format!("unknown time zone {name}: {error}"))
        }
    }
}
