//! Conditions in the form that all kinds share.
//!
//! Upstream: `k8s.io/apimachinery/pkg/apis/meta/v1/validation`.

use std::collections::BTreeSet;

use api::meta::v1::Condition;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_qualified_name;

use crate::metadata::messages;

const MAX_REASON: usize = 1024;
const MAX_MESSAGE: usize = 32 * 1024;
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// Errors of a list of conditions, of which each type may have one.
pub fn validate(conditions: &[Condition], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut types = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        if !types.insert(&condition.type_) {
            errors.push(Error::duplicate(&path.child("type"), &condition.type_));
        }
        errors.extend(validate_condition(condition, &path));
    }
    errors
}

fn validate_condition(condition: &Condition, path: &Path) -> ErrorList {
    let type_ = &condition.type_;
    let mut errors: ErrorList = messages(&path.child("type"), type_, is_qualified_name(type_)).collect();
    if !STATUSES.contains(&condition.status.as_str()) {
        errors.push(Error::not_supported(
            &path.child("status"),
            condition.status.as_str(),
            &STATUSES,
        ));
    }
    if condition.observed_generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.push(Error::invalid(
            &path.child("observedGeneration"),
            condition.observed_generation,
            detail,
        ));
    }
    if condition.last_transition_time.is_none() {
        errors.push(Error::required(&path.child("lastTransitionTime"), ""));
    }
    let at = path.child("reason");
    if condition.reason.is_empty() {
        errors.push(Error::required(&at, ""));
    } else {
        if !is_reason(&condition.reason) {
            errors.push(Error::invalid(&at, condition.reason.as_str(), REASON));
        }
        if condition.reason.len() > MAX_REASON {
            errors.push(Error::too_long(&at, MAX_REASON));
        }
    }
    if condition.message.len() > MAX_MESSAGE {
        errors.push(Error::too_long(&path.child("message"), MAX_MESSAGE));
    }
    errors
}

fn is_reason(reason: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.ends_with(word)
        && reason.chars().all(|c| word(c) || matches!(c, ',' | ':'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(condition: Value, expected: &[&str]) {
        let errors = validate(&[parse(&condition)], &Path::new("conditions"));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn conditions_are_whole() {
        check(
            json!({"type": "A", "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}),
            &[],
        );
        check(
            json!({"type": "A", "status": "x"}),
            &[
                r#"conditions[0].status: Unsupported value: "x": supported values: "False", "True", "Unknown""#,
                "conditions[0].lastTransitionTime: Required value",
                "conditions[0].reason: Required value",
            ],
        );
    }
}
