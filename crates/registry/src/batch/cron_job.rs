//! CronJobs.

use api::batch::v1::{CronJob, CronJobSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::{job, schedule};
use crate::core::pod::defaults;
use crate::core::pod::validation::one_of;
use crate::metadata::shown;
use crate::numbers::nonnegative;
use crate::rules::{MetadataChecks, Rules};
use crate::{table, warnings};

/// Names of the jobs get eleven characters more.
const MAX_NAME: usize = 52;

/// CronJobs.
pub struct CronJobs;

impl Rules for CronJobs {
    type Object = CronJob;
    const STATUS_METADATA_CHECKS: MetadataChecks = MetadataChecks::Nothing;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(cron_job: &mut CronJob) {
        let spec = &mut cron_job.spec;
        if spec.concurrency_policy.is_empty() {
            spec.concurrency_policy = "Allow".to_owned();
        }
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        // The rest of the jobs' specs is left to the jobs.
        job::default_failure_policy(&mut spec.job_template.spec);
        defaults::template(&mut spec.job_template.spec.template);
    }

    fn validate_create(_cx: &Context<'_>, cron_job: &CronJob) -> ErrorList {
        let mut errors = validate_spec(&cron_job.spec, None, &Path::new("spec"));
        let name = &cron_job.metadata.name;
        if name.len() > MAX_NAME {
            let detail = format!("must be no more than {MAX_NAME} characters");
            errors.push(Error::invalid(&Path::new("metadata").child("name"), name, detail));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, cron_job: &CronJob, old: &CronJob) -> ErrorList {
        validate_spec(&cron_job.spec, Some(&old.spec), &Path::new("spec"))
    }

    fn warnings(cron_job: &CronJob, old: Option<&CronJob>) -> Vec<String> {
        let name = warnings::workload_name(&cron_job.metadata.name).filter(|_| old.is_none());
        let mut all: Vec<String> = name.into_iter().collect();
        if old.is_none_or(|old| old.metadata.generation != cron_job.metadata.generation) {
            let path = Path::new("spec").child("jobTemplate").child("spec");
            all.extend(job::spec_warnings(&cron_job.spec.job_template.spec, &path));
        }
        if old.is_some() && cron_job.spec.schedule.contains("TZ") {
            let text = "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
            all.push(text.to_owned());
        }
        all
    }

    fn row(cron_job: &CronJob, now: Timestamp) -> Vec<Value> {
        table::workload::cron_job(cron_job, now)
    }
}

fn validate_spec(spec: &CronJobSpec, old: Option<&CronJobSpec>, path: &Path) -> ErrorList {
    let mut errors = validate_schedule(spec, old, &path.child("schedule"));
    if let Some(seconds) = spec.starting_deadline_seconds {
        errors.extend(nonnegative(seconds, &path.child("startingDeadlineSeconds")));
    }
    if old.is_none_or(|old| old.time_zone != spec.time_zone) {
        errors.extend(validate_time_zone(
            spec.time_zone.as_deref(),
            &path.child("timeZone"),
        ));
    }
    let policies = ["Allow", "Forbid", "Replace"];
    errors.extend(one_of(
        &spec.concurrency_policy,
        &policies,
        &path.child("concurrencyPolicy"),
    ));
    errors.extend(validate_template(spec, &path.child("jobTemplate").child("spec")));
    let limits = [
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ];
    for (field, limit) in limits {
        errors.extend(limit.and_then(|limit| nonnegative(limit, &path.child(field))));
    }
    errors
}

fn validate_schedule(spec: &CronJobSpec, old: Option<&CronJobSpec>, path: &Path) -> ErrorList {
    if spec.schedule.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = ErrorList::new();
    if let Err(detail) = schedule::check(&spec.schedule) {
        errors.push(Error::invalid(path, &spec.schedule, detail));
    }
    if spec.schedule.contains("TZ") {
        let tolerated = old.is_some_and(|old| old.schedule.contains("TZ"));
        if !tolerated {
            let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            errors.push(Error::invalid(path, &spec.schedule, detail));
        } else if spec.time_zone.is_some() {
            let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
            errors.push(Error::invalid(path, &spec.schedule, detail));
        }
    }
    errors
}

/// The form of a zone's name. Whether there is such a zone, the controller finds out.
fn validate_time_zone(zone: Option<&str>, path: &Path) -> Option<Error> {
    let zone = zone?;
    let invalid = |detail: String| Some(Error::invalid(path, Some(zone), detail));
    if zone.is_empty() {
        return invalid("timeZone must be nil or non-empty string".to_owned());
    }
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
        !part.is_empty() && !matches!(part, "." | "..") && !part.starts_with('-') && part.chars().all(allowed)
    };
    if !zone.split('/').all(plain) {
        return invalid(format!("unknown time zone {zone}"));
    }
    if zone.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        return invalid(detail.to_owned());
    }
    None
}

fn validate_template(spec: &CronJobSpec, path: &Path) -> ErrorList {
    let spec = &spec.job_template.spec;
    let mut errors = job::validate_spec(spec, path);
    if let Some(selector) = spec.selector.as_deref() {
        let detail = "`selector` will be auto-generated";
        errors.push(Error::invalid(&path.child("selector"), shown(selector), detail));
    }
    if spec.manual_selector == Some(true) {
        errors.push(Error::not_supported(
            &path.child("manualSelector"),
            true,
            &["nil", "false"],
        ));
    }
    errors
}
