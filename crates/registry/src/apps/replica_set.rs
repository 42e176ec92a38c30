//! ReplicaSets.

use api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use api::core::v1::PodTemplateSpec;
use api::meta::v1::LabelSelector;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::status::Status;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::{defaults, validation};
use crate::metadata::shown;
use crate::numbers::{all_nonnegative, nonnegative, not_more_than};
use crate::rules::Rules;
use crate::{label_selector, scale, table, warnings};

/// ReplicaSets.
pub struct ReplicaSets;

impl Rules for ReplicaSets {
    type Object = ReplicaSet;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);
    crate::scale!(scale::selector);

    fn default(set: &mut ReplicaSet) {
        set.spec.replicas.get_or_insert(1);
        defaults::template(&mut set.spec.template);
    }

    fn validate(set: &ReplicaSet) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &set.spec);
        let mut errors: ErrorList = nonnegative(spec.replicas.unwrap_or(0), &path.child("replicas"))
            .into_iter()
            .collect();
        errors.extend(nonnegative(
            spec.min_ready_seconds,
            &path.child("minReadySeconds"),
        ));
        let selector = spec.selector.as_deref();
        // Upstream names the wrong kind here, and so do we.
        errors.extend(label_selector::validate_required(
            selector,
            "deployment",
            &path.child("selector"),
        ));
        errors.extend(validate_template(selector, &spec.template, &path));
        errors
    }

    fn validate_update(_cx: &Context<'_>, set: &ReplicaSet, old: &ReplicaSet) -> ErrorList {
        let mut errors = Self::validate(set);
        let path = Path::new("spec").child("selector");
        let (new, old) = (set.spec.selector.as_deref(), old.spec.selector.as_deref());
        errors.extend(label_selector::validate_immutable(new, old, &path));
        errors
    }

    fn validate_status_update(set: &ReplicaSet, _old: &ReplicaSet) -> ErrorList {
        validate_status(&set.status, &Path::new("status"))
    }

    fn field(set: &ReplicaSet, field: &str) -> Option<String> {
        (field == "status.replicas").then(|| set.status.replicas.to_string())
    }

    fn warnings(set: &ReplicaSet, old: Option<&ReplicaSet>) -> Vec<String> {
        warnings::pod::workload(
            &set.metadata,
            old.map(|old| &old.metadata),
            &set.spec.template,
            true,
        )
    }

    fn row(set: &ReplicaSet, now: Timestamp) -> Vec<Value> {
        table::workload::replica_set(set, now)
    }
}

/// Errors of the template of pods that are replaced when they end, at `spec` of the workload.
pub(super) fn validate_template(
    selector: Option<&LabelSelector>,
    template: &PodTemplateSpec,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let template_path = path.child("template");
    match selector.map(api::selector::from_label_selector).transpose() {
        Err(_) => {
            let value = selector.map_or_else(|| None::<String>.into(), shown);
            return vec![Error::invalid(
                &path.child("selector"),
                value,
                "invalid label selector",
            )];
        }
        // No selector selects nothing.
        Ok(None) => errors.push(label_selector::no_match(
            &template.metadata.labels,
            &template_path,
        )),
        Ok(Some(selector)) => {
            errors.extend(label_selector::validate_match(
                &selector,
                &template.metadata.labels,
                &template_path,
            ));
        }
    }
    errors.extend(validation::template(template, &template_path));
    errors.extend(validate_endless(template, "ReplicaSet", &template_path));
    errors
}

/// Pods that must not end by themselves.
pub(crate) fn validate_endless(template: &PodTemplateSpec, kind: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = path.child("spec");
    if template.spec.restart_policy != "Always" {
        let path = path.child("restartPolicy");
        errors.push(Error::not_supported(
            &path,
            &template.spec.restart_policy,
            &["Always"],
        ));
    }
    if template.spec.active_deadline_seconds.is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(Error::forbidden(&path.child("activeDeadlineSeconds"), detail));
    }
    errors
}

fn validate_status(status: &ReplicaSetStatus, path: &Path) -> ErrorList {
    let mut errors = all_nonnegative(
        [
            ("replicas", status.replicas.into()),
            ("fullyLabeledReplicas", status.fully_labeled_replicas.into()),
            ("readyReplicas", status.ready_replicas.into()),
            ("availableReplicas", status.available_replicas.into()),
            ("observedGeneration", status.observed_generation),
            (
                "terminatingReplicas",
                status.terminating_replicas.unwrap_or(0).into(),
            ),
        ],
        path,
    );
    let counts = [
        ("fullyLabeledReplicas", status.fully_labeled_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    for (name, count) in counts {
        let detail = "cannot be greater than status.replicas";
        errors.extend(not_more_than(count, status.replicas, &path.child(name), detail));
    }
    let (available, ready) = (status.available_replicas, status.ready_replicas);
    let detail = "cannot be greater than readyReplicas";
    errors.extend(not_more_than(
        available,
        ready,
        &path.child("availableReplicas"),
        detail,
    ));
    errors
}
