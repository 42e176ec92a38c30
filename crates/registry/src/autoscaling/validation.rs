//! What is wrong with an autoscaler.

use api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_valid_path_segment_name;

use super::metrics;
use crate::metadata::messages;
use crate::resources;

/// Seconds.
const LONGEST_PERIOD: i32 = 1800;
/// Seconds.
const LONGEST_STABILIZATION: i32 = 3600;
const SELECT_POLICIES: [&str; 3] = ["Disabled", "Max", "Min"];
const POLICY_TYPES: [&str; 2] = ["Percent", "Pods"];

/// What the version of a reference may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Any,
    WithGroup,
    Unchecked,
}

/// Errors of an autoscaler; of a change, if there is an old one.
pub fn validate(autoscaler: &HorizontalPodAutoscaler, old: Option<&HorizontalPodAutoscaler>) -> ErrorList {
    let (spec, path) = (&autoscaler.spec, Path::new("spec"));
    let from_zero = old.is_some_and(|old| old.spec.min_replicas == Some(0));
    let lowest = i32::from(!from_zero);
    let mut errors = ErrorList::new();
    if let Some(least) = spec.min_replicas.filter(|least| *least < lowest) {
        let detail = format!("must be greater than or equal to {lowest}");
        errors.push(Error::invalid(&path.child("minReplicas"), least, detail));
    }
    let at = path.child("maxReplicas");
    let most = spec.max_replicas;
    if most == 0 {
        errors.push(Error::required(&at, "must be set and greater than 0"));
    } else if most < 0 {
        errors.push(Error::invalid(&at, most, "must be greater than or equal to 1"));
    }
    if spec.min_replicas.is_some_and(|least| most < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(Error::invalid(&at, most, detail));
    }
    let target = &spec.scale_target_ref;
    let same = |old: &HorizontalPodAutoscaler| {
        let old = &old.spec.scale_target_ref;
        old.api_version == target.api_version && old.kind == target.kind
    };
    let version = match target.kind.as_str() {
        _ if old.is_some_and(same) => Version::Unchecked,
        "ReplicationController" => Version::Any,
        _ => Version::WithGroup,
    };
    errors.extend(reference(target, version, &path.child("scaleTargetRef")));
    errors.extend(metrics::validate(spec, &path.child("metrics")));
    if let Some(behavior) = &spec.behavior {
        let path = path.child("behavior");
        for (rules, field) in [
            (&behavior.scale_up, "scaleUp"),
            (&behavior.scale_down, "scaleDown"),
        ] {
            if let Some(rules) = rules {
                errors.extend(validate_rules(rules, &path.child(field)));
            }
        }
    }
    errors
}

pub(super) fn reference(target: &CrossVersionObjectReference, version: Version, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (text, field) in [(&target.kind, "kind"), (&target.name, "name")] {
        let at = path.child(field);
        if text.is_empty() {
            errors.push(Error::required(&at, ""));
        } else {
            errors.extend(messages(&at, text, is_valid_path_segment_name(text)));
        }
    }
    if let Some(detail) = wrong_version(&target.api_version, version) {
        let at = path.child("apiVersion");
        errors.push(Error::invalid(&at, target.api_version.as_str(), detail));
    }
    errors
}

fn wrong_version(text: &str, version: Version) -> Option<String> {
    let slashes = text.matches('/').count();
    match version {
        Version::Unchecked => None,
        _ if slashes > 1 => Some(format!("unexpected GroupVersion string: {text}")),
        Version::WithGroup if slashes == 0 || text.starts_with('/') => {
            Some("apiVersion must specify API group".to_owned())
        }
        _ => None,
    }
}

fn validate_rules(rules: &HPAScalingRules, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(window) = rules.stabilization_window_seconds {
        let at = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.push(Error::invalid(
                &at,
                window,
                "must be greater than or equal to zero",
            ));
        }
        if window > LONGEST_STABILIZATION {
            let detail = format!("must be less than or equal to {LONGEST_STABILIZATION}");
            errors.push(Error::invalid(&at, window, detail));
        }
    }
    if let Some(policy) = &rules.select_policy
        && !SELECT_POLICIES.contains(&policy.as_str())
    {
        let at = path.child("selectPolicy");
        errors.push(Error::not_supported(&at, policy.as_str(), &SELECT_POLICIES));
    }
    let at = path.child("policies");
    if rules.policies.is_empty() {
        errors.push(Error::required(&at, "must specify at least one Policy"));
    }
    for (index, policy) in rules.policies.iter().enumerate() {
        errors.extend(validate_policy(policy, &at.index(index)));
    }
    if let Some(tolerance) = &rules.tolerance {
        errors.extend(resources::validate_nonnegative(
            tolerance,
            &path.child("tolerance"),
        ));
    }
    errors
}

fn validate_policy(policy: &HPAScalingPolicy, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if !POLICY_TYPES.contains(&policy.type_.as_str()) {
        let at = path.child("type");
        errors.push(Error::not_supported(&at, policy.type_.as_str(), &POLICY_TYPES));
    }
    let period = path.child("periodSeconds");
    for (number, at) in [
        (policy.value, &path.child("value")),
        (policy.period_seconds, &period),
    ] {
        if number <= 0 {
            errors.push(Error::invalid(at, number, "must be greater than zero"));
        }
    }
    if policy.period_seconds > LONGEST_PERIOD {
        let detail = format!("must be less than or equal to {LONGEST_PERIOD}");
        errors.push(Error::invalid(&period, policy.period_seconds, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::AutoscalersV2;
    use super::*;
    use crate::rules::Rules;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        let mut autoscaler: HorizontalPodAutoscaler = parse(&json!({ "spec": spec }));
        AutoscalersV2::default(&mut autoscaler);
        let errors: Vec<String> = validate(&autoscaler, None)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn defaults_are_upstreams() {
        let mut autoscaler: HorizontalPodAutoscaler =
            parse(&json!({"spec": {"behavior": {"scaleUp": {"selectPolicy": "Min"}}}}));
        AutoscalersV2::default(&mut autoscaler);
        let behavior = autoscaler.spec.behavior.unwrap();
        let up = behavior.scale_up.unwrap();
        assert_eq!(up.select_policy.as_deref(), Some("Min"));
        assert_eq!(up.stabilization_window_seconds, Some(0));
        assert_eq!(up.policies.len(), 2);
        let down = behavior.scale_down.unwrap();
        assert_eq!(down.stabilization_window_seconds, None);
        assert_eq!(
            (down.policies[0].value, down.policies[0].period_seconds),
            (100, 15)
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let target = json!({"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"});
        check(json!({"scaleTargetRef": target, "maxReplicas": 3}), &[]);
        check(
            json!({"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 0}),
            &[
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
                "spec.maxReplicas: Required value: must be set and greater than 0",
                "spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group",
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
            ],
        );
        check(
            json!({"scaleTargetRef": target, "maxReplicas": 1, "metrics": [
                {"type": "Pods", "resource": {"name": "cpu", "target": {"type": "Utilization"}}},
            ]}),
            &[
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
                "spec.metrics[0].pods: Required value: must populate information for the given metric source",
            ],
        );
    }
}
