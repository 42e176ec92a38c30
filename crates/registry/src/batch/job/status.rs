//! What a job's controller, which may be another's, may report. A job that has ended stays so, and its counters only
//! grow. Most rules bind only what a write changes, so that a status which broke them before can still be written.

use std::collections::BTreeSet;

use api::batch::v1::{Job, UncountedTerminatedPods};
use apimachinery::field::{Error, ErrorList, Path, Value};

use super::indexes;
use crate::internal::shown;
use crate::numbers::all_nonnegative;

/// The state of a job, of which a write may change parts.
struct State<'a> {
    job: &'a Job,
    complete: bool,
    failed: bool,
    failure_target: bool,
    success_criteria_met: bool,
}

impl<'a> State<'a> {
    fn of(job: &'a Job) -> State<'a> {
        State {
            job,
            complete: holds(job, "Complete", "True"),
            failed: holds(job, "Failed", "True"),
            failure_target: holds(job, "FailureTarget", "True"),
            success_criteria_met: holds(job, "SuccessCriteriaMet", "True"),
        }
    }

    fn finished(&self) -> bool {
        self.complete || self.failed
    }

    fn indexed(&self) -> bool {
        self.job.spec.completion_mode.as_deref() == Some("Indexed")
    }
}

fn holds(job: &Job, type_: &str, status: &str) -> bool {
    let mut conditions = job.status.conditions.iter();
    conditions.any(|condition| condition.type_ == type_ && condition.status == status)
}

pub(super) fn validate(job: &Job, old: &Job) -> ErrorList {
    let path = Path::new("status");
    let (new, before) = (State::of(job), State::of(old));
    let mut errors = counters(job, &path);
    if let Some(pods) = &job.status.uncounted_terminated_pods {
        errors.extend(uncounted(pods, &path.child("uncountedTerminatedPods")));
    }
    errors.extend(conditions(&new, &before, &path));
    errors.extend(completion_time(&new, &before, &path));
    errors.extend(criteria(&new, &before, &path));
    errors.extend(finished(&new, &before, &path));
    errors.extend(index_sets(&new, &before, &path));
    errors.extend(pods_left(&new, &before, &path));
    errors.extend(success(&new, &path));
    errors.extend(change(&new, &before, &path));
    errors
}

fn counters(job: &Job, path: &Path) -> ErrorList {
    let status = &job.status;
    all_nonnegative(
        [
            ("active", status.active.into()),
            ("succeeded", status.succeeded.into()),
            ("failed", status.failed.into()),
            ("ready", status.ready.unwrap_or(0).into()),
            ("terminating", status.terminating.unwrap_or(0).into()),
        ],
        path,
    )
}

fn uncounted(pods: &UncountedTerminatedPods, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = BTreeSet::new();
    for (field, uids) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
        for (index, uid) in uids.iter().enumerate() {
            let path = path.child(field).index(index);
            if uid.is_empty() {
                errors.push(Error::invalid(&path, uid, "must not be empty"));
            } else if !seen.insert(uid) {
                errors.push(Error::duplicate(&path, uid));
            }
        }
    }
    errors
}

fn conflict(path: &Path, detail: impl Into<String>) -> Error {
    Error::invalid(&path.child("conditions"), Value::Omitted, detail)
}

fn conditions(new: &State<'_>, old: &State<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let completes = new.complete != old.complete;
    if (completes || new.failed != old.failed) && new.complete && new.failed {
        errors.push(conflict(
            path,
            "cannot set Complete=True and Failed=true conditions",
        ));
    }
    if (completes || new.failure_target != old.failure_target) && new.complete && new.failure_target {
        let detail = "cannot set Complete=True and FailureTarget=true conditions";
        errors.push(conflict(path, detail));
    }
    errors
}

fn completion_time(new: &State<'_>, old: &State<'_>, path: &Path) -> ErrorList {
    let (status, before) = (&new.job.status, &old.job.status);
    let at = path.child("completionTime");
    let time = || status.completion_time.map(|time| time.to_string());
    let changed = status.completion_time != before.completion_time;
    let mut errors = ErrorList::new();
    if new.complete != old.complete || changed {
        match (status.completion_time, new.complete) {
            (Some(_), false) => {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                errors.push(Error::invalid(&at, time(), detail));
            }
            (None, true) => {
                let detail = "completionTime is required for Complete jobs";
                errors.push(Error::required(&at, detail));
            }
            _ => {}
        }
    }
    if let (Some(start), Some(end)) = (status.start_time, status.completion_time)
        && (changed || status.start_time != before.start_time)
        && end.0 < start.0
    {
        errors.push(Error::invalid(
            &at,
            time(),
            "must be equal to or after `startTime`",
        ));
    }
    errors
}

fn criteria(new: &State<'_>, old: &State<'_>, path: &Path) -> ErrorList {
    let (status, before) = (&new.job.status, &old.job.status);
    let mut errors = ErrorList::new();
    let fails = new.failed != old.failed || status.failed_indexes != before.failed_indexes;
    if fails && new.failed && !new.failure_target {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.push(conflict(path, detail));
    }
    let completes = new.complete != old.complete || new.success_criteria_met != old.success_criteria_met;
    if completes && new.complete && !new.success_criteria_met {
        let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        errors.push(conflict(path, detail));
    }
    errors
}

fn finished(new: &State<'_>, old: &State<'_>, path: &Path) -> ErrorList {
    let (status, before, spec) = (&new.job.status, &old.job.status, &new.job.spec);
    let mut errors = ErrorList::new();
    if !new.finished() {
        return errors;
    }
    let ends = !old.finished();
    if (ends || status.active != before.active) && status.active > 0 {
        let detail = "active>0 is invalid for finished job";
        errors.push(Error::invalid(&path.child("active"), status.active, detail));
    }
    let nothing_to_do = spec.suspend == Some(true) && spec.completions == Some(0);
    let starts = ends || status.start_time != before.start_time;
    if starts && !nothing_to_do && status.start_time.is_none() {
        let detail = "startTime is required for finished job";
        errors.push(Error::required(&path.child("startTime"), detail));
    }
    let counts = ends || status.uncounted_terminated_pods != before.uncounted_terminated_pods;
    if let Some(pods) = &status.uncounted_terminated_pods
        && counts
        && !(pods.failed.is_empty() && pods.succeeded.is_empty())
    {
        let at = path.child("uncountedTerminatedPods");
        errors.push(Error::invalid(
            &at,
            shown(&**pods),
            "must be empty for finished job",
        ));
    }
    errors
}

fn index_sets(new: &State<'_>, old: &State<'_>, path: &Path) -> ErrorList {
    let (status, before, spec) = (&new.job.status, &old.job.status, &new.job.spec);
    let (completed_path, failed_path) = (path.child("completedIndexes"), path.child("failedIndexes"));
    let completed = status.completed_indexes.as_str();
    let failed = status.failed_indexes.as_deref();
    let completed_changed = completed != before.completed_indexes;
    let failed_changed = status.failed_indexes != before.failed_indexes;
    let mut errors = ErrorList::new();
    if let Some(completions) = spec.completions {
        if let Some(Err(why)) = completed_changed.then(|| indexes::count(completed, completions)) {
            let detail = format!("error parsing completedIndexes: {why}");
            errors.push(Error::invalid(&completed_path, completed, detail));
        }
        let limited = failed.filter(|_| failed_changed && spec.backoff_limit_per_index.is_some());
        if let Some(Err(why)) = limited.map(|failed| indexes::count(failed, completions)) {
            let detail = format!("error parsing failedIndexes: {why}");
            errors.push(Error::invalid(
                &failed_path,
                status.failed_indexes.clone(),
                detail,
            ));
        }
    }
    if completed_changed && !completed.is_empty() && !new.indexed() {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.push(Error::invalid(&completed_path, completed, detail));
    }
    let Some(failed) = failed else { return errors };
    if failed_changed && spec.backoff_limit_per_index.is_none() {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.push(Error::invalid(&failed_path, failed, detail));
    }
    if (failed_changed || completed_changed)
        && let Some(completions) = spec.completions
        && let Some(detail) = indexes::overlap(completed, failed, completions)
    {
        errors.push(Error::invalid(&failed_path, failed, detail));
    }
    errors
}

fn pods_left(new: &State<'_>, old: &State<'_>, path: &Path) -> ErrorList {
    let (status, before) = (&new.job.status, &old.job.status);
    let mut errors = ErrorList::new();
    let ends = new.finished() != old.finished() || status.terminating != before.terminating;
    if let Some(count) = status.terminating.filter(|count| *count > 0)
        && ends
        && new.finished()
    {
        let detail = "terminating>0 is invalid for finished job";
        errors.push(Error::invalid(&path.child("terminating"), count, detail));
    }
    let changed = status.ready != before.ready || status.active != before.active;
    if let Some(ready) = status.ready.filter(|ready| changed && *ready > status.active) {
        let detail = "cannot set more ready pods than active";
        errors.push(Error::invalid(&path.child("ready"), ready, detail));
    }
    errors
}

fn success(new: &State<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if new.success_criteria_met && new.failed {
        let detail = "cannot set SuccessCriteriaMet=True and Failed=true conditions";
        errors.push(conflict(path, detail));
    }
    if new.success_criteria_met && new.failure_target {
        let detail = "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions";
        errors.push(conflict(path, detail));
    }
    if new.job.spec.success_policy.is_some() && !new.success_criteria_met && new.complete {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        errors.push(conflict(path, detail));
    }
    errors
}

/// What may not be taken back.
fn change(new: &State<'_>, old: &State<'_>, path: &Path) -> ErrorList {
    let (status, before, spec) = (&new.job.status, &old.job.status, &new.job.spec);
    let mut errors = ErrorList::new();
    for (type_, was, is) in [
        ("Failed", old.failed, new.failed),
        ("Complete", old.complete, new.complete),
        ("FailureTarget", old.failure_target, new.failure_target),
    ] {
        if was && !is {
            let detail = format!("cannot disable the terminal {type_}=True condition");
            errors.push(conflict(path, detail));
        }
    }
    if status.failed < before.failed {
        let detail = "cannot decrease the failed counter";
        errors.push(Error::invalid(&path.child("failed"), status.failed, detail));
    }
    // Indexed jobs whose size can change may lose pods that had succeeded.
    let scalable = new.indexed() && spec.completions == spec.parallelism;
    if status.succeeded < before.succeeded && !scalable {
        let detail = "cannot decrease the succeeded counter";
        errors.push(Error::invalid(&path.child("succeeded"), status.succeeded, detail));
    }
    let time = |time: Option<apimachinery::time::Time>| time.map(|time| time.to_string());
    if let (Some(end), Some(was)) = (status.completion_time, before.completion_time)
        && end != was
    {
        let value = time(Some(end));
        errors.push(Error::immutable(&path.child("completionTime"), value));
    }
    let resuming = holds(old.job, "Suspended", "True") && holds(new.job, "Suspended", "False");
    let restarted = before.start_time.is_some() && status.start_time != before.start_time;
    if restarted && !resuming && spec.suspend != Some(true) {
        let detail = "field is immutable for unsuspended job once set";
        let value = time(status.start_time);
        errors.push(Error::invalid(&path.child("startTime"), value, detail));
    }
    if old.success_criteria_met && !new.success_criteria_met {
        let detail = "cannot disable the SuccessCriteriaMet=True condition";
        errors.push(conflict(path, detail));
    }
    if old.complete && !old.success_criteria_met && new.success_criteria_met {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        errors.push(conflict(path, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(spec: &Value, old: Value, new: Value, expected: &[&str]) {
        let job = |status: Value| parse(&json!({"spec": spec, "status": status}));
        let errors = validate(&job(new), &job(old));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    fn condition(type_: &str) -> Value {
        json!({"type": type_, "status": "True"})
    }

    #[test]
    fn an_end_is_whole_and_stays() {
        let times = |conditions: &[Value]| json!({"conditions": conditions, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:00Z"});
        let done = times(&[condition("SuccessCriteriaMet"), condition("Complete")]);
        check(
            &json!({}),
            json!({"startTime": "2026-01-01T00:00:00Z"}),
            done.clone(),
            &[],
        );
        check(
            &json!({}),
            json!({}),
            json!({"conditions": [condition("Complete")], "active": 1}),
            &[
                "status.completionTime: Required value: completionTime is required for Complete jobs",
                "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
                "status.active: Invalid value: 1: active>0 is invalid for finished job",
                "status.startTime: Required value: startTime is required for finished job",
            ],
        );
        check(
            &json!({}),
            done,
            times(&[condition("SuccessCriteriaMet")]),
            &[
                r#"status.completionTime: Invalid value: "2026-01-01T00:01:00Z": cannot set completionTime when there is no Complete=True condition"#,
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
            ],
        );
    }

    #[test]
    fn indexes_make_sense() {
        let spec = json!({"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1});
        check(
            &spec,
            json!({}),
            json!({"completedIndexes": "0,1", "failedIndexes": "2"}),
            &[],
        );
        check(
            &spec,
            json!({}),
            json!({"completedIndexes": "0-5", "failedIndexes": "x", "ready": 1}),
            &[
                r#"status.completedIndexes: Invalid value: "0-5": error parsing completedIndexes: too large index: "5""#,
                r#"status.failedIndexes: Invalid value: "x": error parsing failedIndexes: cannot convert string to integer for index: "x""#,
                "status.ready: Invalid value: 1: cannot set more ready pods than active",
            ],
        );
    }
}
