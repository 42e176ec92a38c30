//! Label selectors as part of an object.

use api::meta::v1::{LabelSelector, LabelSelectorRequirement};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::labels::Selector;
use apimachinery::validation::{is_label_key, is_valid_label_value};

use crate::metadata::{messages, shown, shown_map, validate_labels};

/// Errors of a selector.
pub fn validate(selector: &LabelSelector, path: &Path) -> ErrorList {
    let mut errors = validate_labels(&selector.match_labels, &path.child("matchLabels"));
    let expressions = path.child("matchExpressions");
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        errors.extend(validate_requirement(requirement, &expressions.index(index)));
    }
    errors
}

fn validate_requirement(requirement: &LabelSelectorRequirement, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let values = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if requirement.values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(Error::required(&values, detail));
        }
        "Exists" | "DoesNotExist" if !requirement.values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        )),
    }
    errors.extend(messages(
        &path.child("key"),
        &requirement.key,
        is_label_key(&requirement.key),
    ));
    for (index, value) in requirement.values.iter().enumerate() {
        errors.extend(messages(&values.index(index), value, is_valid_label_value(value)));
    }
    errors
}

/// Errors of the selector of a workload, which must not be empty. `kind` as messages name it.
pub fn validate_required(selector: Option<&LabelSelector>, kind: &str, path: &Path) -> ErrorList {
    let Some(selector) = selector else {
        return vec![Error::required(path, "")];
    };
    let mut errors = validate(selector, path);
    if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
        errors.push(Error::invalid(
            path,
            shown(selector),
            format!("empty selector is invalid for {kind}"),
        ));
    }
    errors
}

/// Whether the labels of a template are those that its workload selects. Without a selector it selects nothing.
pub fn validate_match(
    selector: &Selector,
    labels: &std::collections::BTreeMap<String, String>,
    path: &Path,
) -> Option<Error> {
    (!selector.is_everything() && !selector.matches(labels)).then(|| no_match(labels, path))
}

/// The error of a template that its workload does not select.
pub(crate) fn no_match(labels: &std::collections::BTreeMap<String, String>, path: &Path) -> Error {
    let path = path.child("metadata").child("labels");
    Error::invalid(
        &path,
        shown_map(labels),
        "`selector` does not match template `labels`",
    )
}

/// An error if a selector changed.
pub fn validate_immutable(
    new: Option<&LabelSelector>,
    old: Option<&LabelSelector>,
    path: &Path,
) -> Option<Error> {
    (new != old).then(|| match new {
        Some(selector) => Error::immutable(path, shown(selector)),
        None => Error::immutable(path, None::<String>),
    })
}
