//! When a job fails or succeeds early.

use std::collections::BTreeSet;

use api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule, SuccessPolicyRule,
};
use apimachinery::field::{Error, ErrorList, Path, Value};
use apimachinery::validation::is_qualified_name;

use super::{indexes, valid_values};
use crate::internal::shown;
use crate::metadata::messages;

const MAX_RULES: usize = 20;
const MAX_PATTERNS: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_SUCCESS_RULES: usize = 20;
/// Bytes.
const MAX_INDEXES: usize = 64 * 1024;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

pub(super) fn validate(spec: &JobSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(policy) = &spec.pod_failure_policy {
        let path = path.child("podFailurePolicy").child("rules");
        if policy.rules.len() > MAX_RULES {
            errors.push(Error::too_many(&path, policy.rules.len(), MAX_RULES));
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            errors.extend(validate_rule(spec, rule, &path.index(index)));
        }
    }
    if let Some(policy) = &spec.success_policy {
        let path = path.child("successPolicy");
        if spec.completion_mode.as_deref() == Some("Indexed") {
            errors.extend(validate_success(spec, &policy.rules, &path.child("rules")));
        } else {
            errors.push(Error::invalid(
                &path,
                shown(&**policy),
                "requires indexed completion mode",
            ));
        }
    }
    if let Some(policy) = spec.pod_replacement_policy.as_deref() {
        let known: &[&str] = if spec.pod_failure_policy.is_some() {
            &["Failed"]
        } else {
            &["Failed", "TerminatingOrFailed"]
        };
        if !known.contains(&policy) {
            errors.push(Error::not_supported(
                &path.child("podReplacementPolicy"),
                policy,
                known,
            ));
        }
    }
    errors
}

fn validate_rule(spec: &JobSpec, rule: &PodFailurePolicyRule, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let action = path.child("action");
    match rule.action.as_str() {
        "" => errors.push(Error::required(&action, valid_values(&ACTIONS))),
        "FailIndex" if spec.backoff_limit_per_index.is_none() => {
            errors.push(Error::invalid(
                &action,
                "FailIndex",
                "requires the backoffLimitPerIndex to be set",
            ));
        }
        word if ACTIONS.contains(&word) => {}
        other => errors.push(Error::not_supported(&action, other, &ACTIONS)),
    }
    if let Some(codes) = &rule.on_exit_codes {
        errors.extend(validate_exit_codes(spec, codes, &path.child("onExitCodes")));
    }
    let patterns = &rule.on_pod_conditions;
    if !patterns.is_empty() {
        errors.extend(validate_patterns(patterns, &path.child("onPodConditions")));
    }
    let detail = match (rule.on_exit_codes.is_some(), patterns.is_empty()) {
        (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return errors,
    };
    errors.push(Error::invalid(path, Value::Omitted, detail));
    errors
}

fn validate_exit_codes(
    spec: &JobSpec,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let operators = ["In", "NotIn"];
    match codes.operator.as_str() {
        "" => errors.push(Error::required(&path.child("operator"), valid_values(&operators))),
        word if operators.contains(&word) => {}
        other => errors.push(Error::not_supported(&path.child("operator"), other, &operators)),
    }
    let pod = &spec.template.spec;
    let known = |name: &str| {
        pod.containers
            .iter()
            .chain(&pod.init_containers)
            .any(|container| container.name == name)
    };
    if let Some(name) = codes.container_name.as_deref().filter(|name| !known(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(Error::invalid(&path.child("containerName"), name, detail));
    }
    let path = path.child("values");
    let list = || match codes.values.as_slice() {
        [] => Value::Json("null".to_owned()),
        values => Value::Json(serde_json::Value::from(values).to_string()),
    };
    match codes.values.len() {
        0 => errors.push(Error::invalid(&path, list(), "at least one value is required")),
        count if count > MAX_EXIT_CODES => errors.push(Error::too_many(&path, count, MAX_EXIT_CODES)),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (index, code) in codes.values.iter().enumerate() {
        if *code == 0 && codes.operator == "In" {
            errors.push(Error::invalid(
                &path.index(index),
                *code,
                "must not be 0 for the In operator",
            ));
        }
        if !seen.insert(code) {
            errors.push(Error::duplicate(&path.index(index), *code));
        }
    }
    if !codes.values.is_sorted() {
        errors.push(Error::invalid(&path, list(), "must be ordered"));
    }
    errors
}

fn validate_patterns(patterns: &[PodFailurePolicyOnPodConditionsPattern], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if patterns.len() > MAX_PATTERNS {
        errors.push(Error::too_many(path, patterns.len(), MAX_PATTERNS));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = path.index(index);
        errors.extend(messages(
            &path.child("type"),
            &pattern.type_,
            is_qualified_name(&pattern.type_),
        ));
        let status = path.child("status");
        match pattern.status.as_str() {
            "" => errors.push(Error::required(&status, valid_values(&STATUSES))),
            word if STATUSES.contains(&word) => {}
            other => errors.push(Error::not_supported(&status, other, &STATUSES)),
        }
    }
    errors
}

fn validate_success(spec: &JobSpec, rules: &[SuccessPolicyRule], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if rules.is_empty() {
        errors.push(Error::required(
            path,
            "at least one rules must be specified when the successPolicy is specified",
        ));
    }
    if rules.len() > MAX_SUCCESS_RULES {
        errors.push(Error::too_many(path, rules.len(), MAX_SUCCESS_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(Error::required(&path, detail));
        }
        let (total, wrong) = validate_succeeded(spec, rule, &path.child("succeededIndexes"));
        errors.extend(wrong);
        let Some(count) = rule.succeeded_count else {
            continue;
        };
        let at = path.child("succeededCount");
        errors.extend(crate::numbers::nonnegative(count, &at));
        if let Some(completions) = spec.completions.filter(|completions| count > *completions) {
            let detail =
                format!("must be less than or equal to {completions} (the number of specified completions)");
            errors.push(Error::invalid(&at, count, detail));
        }
        if let Some(total) = total.filter(|total| count > *total) {
            let detail = format!(
                "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            );
            errors.push(Error::invalid(&at, count, detail));
        }
    }
    errors
}

/// How many indexes must have succeeded, if the rule says which; none if that makes no sense.
fn validate_succeeded(spec: &JobSpec, rule: &SuccessPolicyRule, path: &Path) -> (Option<i32>, ErrorList) {
    let (Some(text), Some(completions)) = (&rule.succeeded_indexes, spec.completions) else {
        return (None, ErrorList::new());
    };
    let mut errors = ErrorList::new();
    if text.len() > MAX_INDEXES {
        errors.push(Error::too_long(path, MAX_INDEXES));
    }
    let total = indexes::count(text, completions).unwrap_or_else(|why| {
        let detail = format!("error parsing succeededIndexes: {why}");
        errors.push(Error::invalid(path, text, detail));
        0
    });
    (Some(total), errors)
}
