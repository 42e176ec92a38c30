//! Deployments.

use api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy, RollingUpdateDeployment,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::int_or_string::IntOrString;
use apimachinery::status::Status;
use apiserver::strategy::{Context, FieldPaths};
use jiff::Timestamp;
use serde_json::Value;

use super::replica_set::validate_template;
use crate::core::pod::defaults;
use crate::internal::shown;
use crate::numbers::{
    all_nonnegative, at_most_100_percent, int_or_percent, nonnegative, not_more_than, plain_value,
    shown as shown_number,
};
use crate::rules::Rules;
use crate::{label_selector, scale, table, warnings};

/// Deployments. The generation also counts changes of annotations, which the controller copies to its ReplicaSets.
pub struct Deployments;

impl Rules for Deployments {
    type Object = Deployment;
    const GENERATION: bool = true;
    const LEFT_ALONE_BY_STATUS: FieldPaths = &[&["metadata", "labels"], &["spec"]];

    crate::spec!();
    crate::status!();
    crate::scale!(scale::selector);

    fn default(deployment: &mut Deployment) {
        let spec = &mut deployment.spec;
        spec.replicas.get_or_insert(1);
        default_strategy(&mut spec.strategy);
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        defaults::template(&mut spec.template);
    }

    fn is_new_generation(deployment: &Deployment, old: &Deployment) -> bool {
        deployment.spec != old.spec || deployment.metadata.annotations != old.metadata.annotations
    }

    fn prepare_status_update(_cx: &Context<'_>, deployment: &mut Deployment, old: &Deployment) {
        deployment.metadata.labels.clone_from(&old.metadata.labels);
    }

    fn validate(deployment: &Deployment) -> ErrorList {
        validate_spec(&deployment.spec, &Path::new("spec"))
    }

    fn validate_update(_cx: &Context<'_>, deployment: &Deployment, old: &Deployment) -> ErrorList {
        let mut errors = Self::validate(deployment);
        let path = Path::new("spec").child("selector");
        let (new, old) = (deployment.spec.selector.as_deref(), old.spec.selector.as_deref());
        errors.extend(label_selector::validate_immutable(new, old, &path));
        errors
    }

    fn validate_status_update(deployment: &Deployment, old: &Deployment) -> ErrorList {
        let path = Path::new("status");
        let mut errors = validate_status(&deployment.status, &path);
        let (new, old) = (deployment.status.collision_count, old.status.collision_count);
        if old.is_some_and(|old| new.unwrap_or(0) < old) {
            let path = path.child("collisionCount");
            errors.push(Error::invalid(&path, new.unwrap_or(0), "cannot be decremented"));
        }
        errors
    }

    fn warnings(deployment: &Deployment, old: Option<&Deployment>) -> Vec<String> {
        let template = &deployment.spec.template;
        warnings::pod::workload(&deployment.metadata, old.map(|old| &old.metadata), template, true)
    }

    fn row(deployment: &Deployment, now: Timestamp) -> Vec<Value> {
        table::workload::deployment(deployment, now)
    }
}

fn default_strategy(strategy: &mut DeploymentStrategy) {
    if strategy.type_.is_empty() {
        strategy.type_ = "RollingUpdate".to_owned();
    }
    if strategy.type_ == "RollingUpdate" {
        let rolling = strategy.rolling_update.get_or_insert_default();
        let quarter = || IntOrString::String("25%".to_owned());
        rolling.max_unavailable.get_or_insert_with(quarter);
        rolling.max_surge.get_or_insert_with(quarter);
    }
}

fn validate_spec(spec: &DeploymentSpec, path: &Path) -> ErrorList {
    let mut errors: ErrorList = nonnegative(spec.replicas.unwrap_or(0), &path.child("replicas"))
        .into_iter()
        .collect();
    let selector = spec.selector.as_deref();
    errors.extend(label_selector::validate_required(
        selector,
        "deployment",
        &path.child("selector"),
    ));
    errors.extend(validate_template(selector, &spec.template, path));
    errors.extend(validate_strategy(&spec.strategy, &path.child("strategy")));
    errors.extend(nonnegative(
        spec.min_ready_seconds,
        &path.child("minReadySeconds"),
    ));
    if let Some(limit) = spec.revision_history_limit {
        errors.extend(nonnegative(limit, &path.child("revisionHistoryLimit")));
    }
    if let Some(seconds) = spec.progress_deadline_seconds {
        let path = path.child("progressDeadlineSeconds");
        errors.extend(nonnegative(seconds, &path));
        if seconds <= spec.min_ready_seconds {
            errors.push(Error::invalid(
                &path,
                seconds,
                "must be greater than minReadySeconds",
            ));
        }
    }
    errors
}

fn validate_strategy(strategy: &DeploymentStrategy, path: &Path) -> ErrorList {
    let rolling = path.child("rollingUpdate");
    match (strategy.type_.as_str(), strategy.rolling_update.as_deref()) {
        ("Recreate", None) => ErrorList::new(),
        ("Recreate", Some(_)) => {
            vec![Error::forbidden(
                &rolling,
                "may not be specified when strategy `type` is 'Recreate'",
            )]
        }
        ("RollingUpdate", None) => {
            vec![Error::required(
                &rolling,
                "this should be defaulted and never be nil",
            )]
        }
        ("RollingUpdate", Some(update)) => validate_rolling_update(update, &rolling),
        _ => vec![Error::not_supported(
            path,
            shown(strategy),
            &["Recreate", "RollingUpdate"],
        )],
    }
}

fn validate_rolling_update(update: &RollingUpdateDeployment, path: &Path) -> ErrorList {
    let zero = IntOrString::Int(0);
    let unavailable = update.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = update.max_surge.as_ref().unwrap_or(&zero);
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    let mut errors = int_or_percent(unavailable, &unavailable_path);
    errors.extend(int_or_percent(surge, &surge_path));
    if plain_value(unavailable) == 0 && plain_value(surge) == 0 {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(Error::invalid(
            &unavailable_path,
            shown_number(unavailable),
            detail,
        ));
    }
    errors.extend(at_most_100_percent(unavailable, &unavailable_path));
    errors
}

fn validate_status(status: &DeploymentStatus, path: &Path) -> ErrorList {
    let mut errors = all_nonnegative(
        [
            ("observedGeneration", status.observed_generation),
            ("replicas", status.replicas.into()),
            ("updatedReplicas", status.updated_replicas.into()),
            ("readyReplicas", status.ready_replicas.into()),
            ("availableReplicas", status.available_replicas.into()),
            ("unavailableReplicas", status.unavailable_replicas.into()),
            (
                "terminatingReplicas",
                status.terminating_replicas.unwrap_or(0).into(),
            ),
            ("collisionCount", status.collision_count.unwrap_or(0).into()),
        ],
        path,
    );
    let counts = [
        ("updatedReplicas", status.updated_replicas),
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

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[track_caller]
    fn check(spec: &str, expected: &[&str]) {
        let json = format!(
            r#"{{"spec":{{"template":{{"metadata":{{"labels":{{"a":"b"}}}},"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}},{spec}}}}}"#
        );
        let mut deployment = Deployment::from_json(json.as_bytes()).unwrap();
        Deployments::default(&mut deployment);
        let errors: Vec<String> = Deployments::validate(&deployment)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn says_what_is_wrong() {
        check(r#""selector":{"matchLabels":{"a":"b"}}"#, &[]);
        check(
            r#""replicas":-1"#,
            &[
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            ],
        );
        check(
            r#""selector":{}"#,
            &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        );
        check(
            r#""selector":{"matchLabels":{"a":"c"}}"#,
            &[
                "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            ],
        );
        check(
            r#""selector":{"matchLabels":{"a":"b"}},"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":"0%"}}"#,
            &[
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
            ],
        );
        check(
            r#""selector":{"matchLabels":{"a":"b"}},"minReadySeconds":600"#,
            &["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
        );
    }
}
