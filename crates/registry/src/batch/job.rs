//! Jobs.

mod indexes;
mod policies;
mod status;

use std::collections::BTreeMap;

use api::batch::v1::{Job, JobCondition, JobSpec};
use api::core::v1::{Affinity, PodTemplateSpec};
use api::meta::v1::LabelSelector;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quote::quote;
use apimachinery::validation::{is_dns1123_label, is_domain_prefixed_path};
use apiserver::strategy::{Context, GarbageCollection};
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::{defaults, validation};
use crate::internal::shown;
use crate::metadata::shown_map;
use crate::numbers::{all_nonnegative, nonnegative};
use crate::rules::{MetadataChecks, Rules};
use crate::{label_selector, table, warnings};

const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const MAX_INDEXED_PARALLELISM: i32 = 100_000;
const MAX_FAILED_INDEXES: i32 = 100_000;
const MANY_COMPLETIONS: i32 = 100_000;
const MAX_PARALLELISM_OF_MANY: i32 = 10_000;
const MAX_MANAGED_BY: usize = 63;

/// Jobs. Unless the client brings one, the server makes a selector that only the job's own pods match.
pub struct Jobs;

impl Rules for Jobs {
    type Object = Job;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::WholeFirst;
    const GARBAGE_COLLECTION: GarbageCollection = GarbageCollection::OrphanDependents;
    const DELETE_WARNING: Option<&'static str> = Some(
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
    );
    const FIELDS: &'static [&'static str] = &["status.successful"];

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(job: &mut Job) {
        default_spec(&mut job.spec);
        job.spec.manual_selector.get_or_insert(false);
        if job.metadata.labels.is_empty() {
            job.metadata.labels.clone_from(&job.spec.template.metadata.labels);
        }
        defaults::template(&mut job.spec.template);
    }

    fn prepare_create(_cx: &Context<'_>, job: &mut Job) {
        if job.spec.manual_selector != Some(true) {
            generate_selector(job);
        }
        label_like_pods(job);
    }

    fn prepare_update(_cx: &Context<'_>, job: &mut Job, _old: &Job) {
        label_like_pods(job);
    }

    fn prepare_status_update(_cx: &Context<'_>, job: &mut Job, _old: &Job) {
        label_like_pods(job);
    }

    fn validate(job: &Job) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = validate_spec(&job.spec, &path);
        errors.extend(validate_selector(&job.spec, &path));
        errors
    }

    fn validate_create(_cx: &Context<'_>, job: &Job) -> ErrorList {
        let mut errors = validate_generated(job);
        errors.extend(Self::validate(job));
        errors.extend(validate_host_names(job));
        errors
    }

    fn validate_update(_cx: &Context<'_>, job: &Job, old: &Job) -> ErrorList {
        let mut errors = Self::validate(job);
        errors.extend(validate_change(job, old, &Path::new("spec")));
        errors
    }

    fn validate_status_update(job: &Job, old: &Job) -> ErrorList {
        status::validate(job, old)
    }

    fn warnings(job: &Job, old: Option<&Job>) -> Vec<String> {
        if old.is_some_and(|old| old.metadata.generation == job.metadata.generation) {
            return Vec::new();
        }
        let name = warnings::workload_name(&job.metadata.name).filter(|_| old.is_none());
        name.into_iter()
            .chain(spec_warnings(&job.spec, &Path::new("spec")))
            .collect()
    }

    fn field(job: &Job, field: &str) -> Option<String> {
        (field == "status.successful").then(|| job.status.succeeded.to_string())
    }

    fn row(job: &Job, now: Timestamp) -> Vec<Value> {
        table::workload::job(job, now)
    }
}

/// What to warn of in a job's spec, its own or that of a CronJob's template.
pub(super) fn spec_warnings(spec: &JobSpec, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    let (completions, parallelism) = (spec.completions.unwrap_or(0), spec.parallelism.unwrap_or(0));
    if indexed && completions > MANY_COMPLETIONS && parallelism > MAX_PARALLELISM_OF_MANY {
        warnings.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    warnings.extend(warnings::pod::template(&spec.template, &path.child("template")));
    warnings
}

/// Defaults of a job's spec, its own or that of a CronJob's template, save for the template of its pods.
pub(super) fn default_spec(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let retries = if spec.backoff_limit_per_index.is_some() {
        i32::MAX
    } else {
        6
    };
    spec.backoff_limit.get_or_insert(retries);
    spec.completion_mode
        .get_or_insert_with(|| "NonIndexed".to_owned());
    spec.suspend.get_or_insert(false);
    let replacement = if spec.pod_failure_policy.is_some() {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    spec.pod_replacement_policy
        .get_or_insert_with(|| replacement.to_owned());
    default_failure_policy(spec);
}

pub(super) fn default_failure_policy(spec: &mut JobSpec) {
    let rules = spec
        .pod_failure_policy
        .iter_mut()
        .flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| &mut rule.on_pod_conditions) {
        if pattern.status.is_empty() {
            pattern.status = "True".to_owned();
        }
    }
}

/// Upstream reads the labels of a job without any off its template.
fn label_like_pods(job: &mut Job) {
    if job.metadata.labels.is_empty() {
        job.metadata.labels.clone_from(&job.spec.template.metadata.labels);
    }
}

fn generate_selector(job: &mut Job) {
    let (name, uid) = (job.metadata.name.clone(), job.metadata.uid.clone());
    let labels = &mut job.spec.template.metadata.labels;
    for (keys, value) in [(NAME_LABELS, &name), (UID_LABELS, &uid)] {
        for key in keys {
            labels.entry(key.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let selector = job
        .spec
        .selector
        .get_or_insert_with(|| Box::new(LabelSelector::default()));
    selector
        .match_labels
        .entry(UID_LABELS[1].to_owned())
        .or_insert(uid);
}

/// A generated selector selects the job's pods only if nobody else set its labels.
fn validate_generated(job: &Job) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(selector) = job
        .spec
        .selector
        .as_deref()
        .filter(|_| job.spec.manual_selector != Some(true))
    else {
        return errors;
    };
    let path = Path::new("spec")
        .child("template")
        .child("metadata")
        .child("labels");
    let labels = &job.spec.template.metadata.labels;
    for (keys, expected) in [(UID_LABELS, &job.metadata.uid), (NAME_LABELS, &job.metadata.name)] {
        for key in keys {
            match labels.get(key) {
                None => errors.push(Error::required(&path.key(key), format!("must be '{expected}'"))),
                Some(value) if value != expected => {
                    errors.push(Error::invalid(
                        &path,
                        shown_map(labels),
                        format!("must be '{expected}'"),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    let generated: BTreeMap<String, String> =
        [(UID_LABELS, &job.metadata.uid), (NAME_LABELS, &job.metadata.name)]
            .into_iter()
            .flat_map(|(keys, value)| keys.map(|key| (key.to_owned(), value.clone())))
            .collect();
    let parsed = api::selector::from_label_selector(selector);
    if parsed.is_ok_and(|selector| !selector.matches(&generated)) {
        let detail = "`selector` not auto-generated";
        let path = Path::new("spec").child("selector");
        errors.push(Error::invalid(&path, shown(selector), detail));
    }
    errors
}

/// Pods of an indexed job have host names with their index.
fn validate_host_names(job: &Job) -> Option<Error> {
    let indexed = job.spec.completion_mode.as_deref() == Some("Indexed");
    let completions = job.spec.completions.filter(|count| indexed && *count > 0)?;
    let longest = format!("{}-{}", job.metadata.name, completions - 1);
    let wrong = !is_dns1123_label(&longest).is_empty();
    let detail = format!("will not able to create pod with invalid DNS label: {longest}");
    wrong.then(|| Error::invalid(&Path::new("metadata").child("name"), &job.metadata.name, detail))
}

/// Errors of a job's spec, its own or that of a CronJob's template, save for the selector.
pub(super) fn validate_spec(spec: &JobSpec, path: &Path) -> ErrorList {
    let mut errors = all_nonnegative(
        [
            ("parallelism", spec.parallelism.unwrap_or(0).into()),
            ("completions", spec.completions.unwrap_or(0).into()),
            ("activeDeadlineSeconds", spec.active_deadline_seconds.unwrap_or(0)),
            ("backoffLimit", spec.backoff_limit.unwrap_or(0).into()),
            (
                "ttlSecondsAfterFinished",
                spec.ttl_seconds_after_finished.unwrap_or(0).into(),
            ),
            (
                "backoffLimitPerIndex",
                spec.backoff_limit_per_index.unwrap_or(0).into(),
            ),
        ],
        path,
    );
    if let Some(count) = spec.max_failed_indexes {
        errors.extend(nonnegative(count, &path.child("maxFailedIndexes")));
        if spec.backoff_limit_per_index.is_none() {
            let detail = "when maxFailedIndexes is specified";
            errors.push(Error::required(&path.child("backoffLimitPerIndex"), detail));
        }
    }
    if let Some(name) = &spec.managed_by {
        let path = path.child("managedBy");
        errors.extend(is_domain_prefixed_path(&path, name));
        errors.extend((name.len() > MAX_MANAGED_BY).then(|| Error::too_long(&path, MAX_MANAGED_BY)));
    }
    errors.extend(validate_mode(spec, path));
    errors.extend(policies::validate(spec, path));
    errors.extend(validation::template(&spec.template, &path.child("template")));
    errors.extend(validate_restart_policy(spec, path));
    errors
}

fn validate_restart_policy(spec: &JobSpec, path: &Path) -> Option<Error> {
    let path = path.child("template").child("spec").child("restartPolicy");
    let policy = spec.template.spec.restart_policy.as_str();
    match policy {
        "Always" | "" => Some(Error::required(&path, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if spec.pod_failure_policy.is_some() => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            Some(Error::invalid(&path, policy, detail))
        }
        "OnFailure" | "Never" => None,
        other => Some(Error::not_supported(&path, other, &["OnFailure", "Never"])),
    }
}

fn validate_mode(spec: &JobSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    match spec.completion_mode.as_deref().unwrap_or("NonIndexed") {
        "Indexed" => errors.extend(validate_indexed(spec, path)),
        "NonIndexed" => {
            let limits = [
                ("backoffLimitPerIndex", spec.backoff_limit_per_index),
                ("maxFailedIndexes", spec.max_failed_indexes),
            ];
            for (field, limit) in limits {
                let error =
                    |limit| Error::invalid(&path.child(field), limit, "requires indexed completion mode");
                errors.extend(limit.map(error));
            }
        }
        other => {
            let path = path.child("completionMode");
            errors.push(Error::not_supported(&path, other, &["NonIndexed", "Indexed"]));
        }
    }
    errors
}

fn validate_indexed(spec: &JobSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let at_most = |field: &'static str, value: Option<i32>, most: i32, detail: String| {
        let excessive = value.filter(|value| *value > most)?;
        Some(Error::invalid(&path.child(field), excessive, detail))
    };
    let (parallelism, failed) = (spec.parallelism, spec.max_failed_indexes);
    if spec.completions.is_none() {
        errors.push(Error::required(
            &path.child("completions"),
            "when completion mode is Indexed",
        ));
    }
    let detail =
        format!("must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed");
    errors.extend(at_most(
        "parallelism",
        parallelism,
        MAX_INDEXED_PARALLELISM,
        detail,
    ));
    if let Some(completions) = spec.completions {
        let detail = "must be less than or equal to completions".to_owned();
        errors.extend(at_most("maxFailedIndexes", failed, completions, detail));
    }
    let detail = format!("must be less than or equal to {MAX_FAILED_INDEXES}");
    errors.extend(at_most("maxFailedIndexes", failed, MAX_FAILED_INDEXES, detail));
    let many = spec.completions.is_some_and(|count| count > MANY_COMPLETIONS);
    if many && spec.backoff_limit_per_index.is_some() {
        if failed.is_none() {
            let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
            errors.push(Error::required(&path.child("maxFailedIndexes"), detail));
        }
        let detail = format!(
            "must be less than or equal to {MAX_PARALLELISM_OF_MANY} when completions are above {MANY_COMPLETIONS} and used with backoff limit per index"
        );
        errors.extend(at_most(
            "parallelism",
            parallelism,
            MAX_PARALLELISM_OF_MANY,
            detail.clone(),
        ));
        errors.extend(at_most(
            "maxFailedIndexes",
            failed,
            MAX_PARALLELISM_OF_MANY,
            detail,
        ));
    }
    errors
}

fn validate_selector(spec: &JobSpec, path: &Path) -> ErrorList {
    let mut errors = match spec.selector.as_deref() {
        None => vec![Error::required(&path.child("selector"), "")],
        Some(selector) => label_selector::validate(selector, &path.child("selector")),
    };
    let labels = &spec.template.metadata.labels;
    // No selector selects nothing.
    let selects = spec.selector.as_deref().is_some_and(|selector| {
        api::selector::from_label_selector(selector).map_or(true, |selector| selector.matches(labels))
    });
    if !selects {
        let path = path.child("template").child("metadata").child("labels");
        errors.push(Error::invalid(
            &path,
            shown_map(labels),
            "`selector` does not match template `labels`",
        ));
    }
    errors
}

fn validate_change(job: &Job, old: &Job, path: &Path) -> ErrorList {
    let (new, before) = (&job.spec, &old.spec);
    let mut errors = ErrorList::new();
    if new.completions != before.completions {
        let path_of = path.child("completions");
        if new.completion_mode.as_deref() != Some("Indexed") {
            errors.push(Error::immutable(&path_of, new.completions));
        } else if new.completions.is_some() && new.completions != new.parallelism {
            let detail = format!(
                "can only be modified in tandem with {}",
                path.child("parallelism")
            );
            errors.push(Error::invalid(&path_of, new.completions, detail));
        }
    }
    let selectors = (new.selector.as_deref(), before.selector.as_deref());
    errors.extend(label_selector::validate_immutable(
        selectors.0,
        selectors.1,
        &path.child("selector"),
    ));
    errors.extend(validate_template_change(job, old, path));
    if new.completion_mode != before.completion_mode {
        errors.push(Error::immutable(
            &path.child("completionMode"),
            new.completion_mode.clone(),
        ));
    }
    if new.pod_failure_policy != before.pod_failure_policy {
        let value = new
            .pod_failure_policy
            .as_deref()
            .map_or_else(|| None::<String>.into(), shown);
        errors.push(Error::immutable(&path.child("podFailurePolicy"), value));
    }
    if new.backoff_limit_per_index != before.backoff_limit_per_index {
        errors.push(Error::immutable(
            &path.child("backoffLimitPerIndex"),
            new.backoff_limit_per_index,
        ));
    }
    if new.managed_by != before.managed_by {
        errors.push(Error::immutable(&path.child("managedBy"), new.managed_by.clone()));
    }
    if new.success_policy != before.success_policy {
        let value = new
            .success_policy
            .as_deref()
            .map_or_else(|| None::<String>.into(), shown);
        errors.push(Error::immutable(&path.child("successPolicy"), value));
    }
    errors
}

/// The template stays, but where the pods of a suspended job may run, and what they ask for, can still be settled.
fn validate_template_change(job: &Job, old: &Job, path: &Path) -> Option<Error> {
    let path = path.child("template");
    let template = &job.spec.template;
    let mut before = old.spec.template.clone();
    let suspended_since =
        |condition: &JobCondition| condition.type_ == "Suspended" && condition.status == "True";
    let at_rest = old.spec.suspend == Some(true)
        && (old.status.start_time.is_none() || old.status.conditions.iter().any(suspended_since))
        && old.status.active == 0;
    if !at_rest {
        return (*template != before).then(|| Error::immutable(&path, shown(template)));
    }
    allow_scheduling(&mut before, template);
    for (before, now) in [
        (&mut before.spec.containers, &template.spec.containers),
        (&mut before.spec.init_containers, &template.spec.init_containers),
    ] {
        if before.len() == now.len() {
            let same = before
                .iter_mut()
                .zip(now)
                .filter(|(before, now)| before.name == now.name);
            same.for_each(|(before, now)| before.resources = now.resources.clone());
        }
    }
    let path = path.child("spec");
    (template.spec != before.spec).then(|| Error::immutable(&path, shown(&template.spec)))
}

/// Takes over what says where pods run, and labels and annotations.
fn allow_scheduling(before: &mut PodTemplateSpec, template: &PodTemplateSpec) {
    let spec = &template.spec;
    let node_affinity = spec
        .affinity
        .as_deref()
        .and_then(|affinity| affinity.node_affinity.clone());
    if spec.affinity.is_some() || before.spec.affinity.is_some() {
        let affinity = before.spec.affinity.get_or_insert_default();
        affinity.node_affinity = node_affinity;
        if **affinity == Affinity::default() && spec.affinity.is_none() {
            before.spec.affinity = None;
        }
    }
    before.spec.node_selector.clone_from(&spec.node_selector);
    before.spec.tolerations.clone_from(&spec.tolerations);
    before.spec.scheduling_gates.clone_from(&spec.scheduling_gates);
    before
        .metadata
        .annotations
        .clone_from(&template.metadata.annotations);
    before.metadata.labels.clone_from(&template.metadata.labels);
}

/// Words of an enumeration as a message lists them.
pub(super) fn valid_values(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| quote(value)).collect();
    format!("valid values: [{}]", quoted.join(" "))
}
