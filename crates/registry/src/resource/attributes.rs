//! Attributes and capacities of devices.

use api::resource::v1::{CapacityRequestPolicy, CapacityRequestPolicyRange, DeviceAttribute, DeviceCapacity};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quantity::Quantity;

use super::names::validate_set;
use crate::internal;

const MAX_VALUE: usize = 64;
const MOST_OPTIONS: usize = 10;

/// Whether an attribute has several values.
pub(super) fn is_list(attribute: &DeviceAttribute) -> bool {
    let DeviceAttribute {
        ints,
        bools,
        strings,
        versions,
        ..
    } = attribute;
    !(ints.is_empty() && bools.is_empty() && strings.is_empty() && versions.is_empty())
}

/// How many values an attribute counts for.
pub(super) fn count(attribute: &DeviceAttribute) -> usize {
    let listed =
        attribute.ints.len() + attribute.bools.len() + attribute.strings.len() + attribute.versions.len();
    listed.max(1)
}

/// Several values are off by default.
pub(super) fn drop_lists(attribute: &mut DeviceAttribute) {
    attribute.ints.clear();
    attribute.bools.clear();
    attribute.strings.clear();
    attribute.versions.clear();
}

pub(super) fn validate(attribute: &DeviceAttribute, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut check = |text: &str, is_version: bool, path: &Path| {
        if is_version && !is_semantic_version(text) {
            let detail = "must be a string compatible with semver.org spec 2.0.0";
            errors.push(Error::invalid(path, text, detail));
        }
        if text.len() > MAX_VALUE {
            errors.push(Error::too_long(path, MAX_VALUE));
        }
    };
    if let Some(text) = &attribute.string {
        check(text, false, &path.child("string"));
    }
    if let Some(text) = &attribute.version {
        check(text, true, &path.child("version"));
    }
    for (list, field, is_version) in [
        (&attribute.strings, "strings", false),
        (&attribute.versions, "versions", true),
    ] {
        for (index, text) in list.iter().enumerate() {
            check(text, is_version, &path.child(field).index(index));
        }
    }
    let set = [
        attribute.bool.is_some(),
        attribute.int.is_some(),
        attribute.string.is_some(),
        attribute.version.is_some(),
        !attribute.bools.is_empty(),
        !attribute.ints.is_empty(),
        !attribute.strings.is_empty(),
        !attribute.versions.is_empty(),
    ];
    let one = "exactly one value must be specified";
    match set.into_iter().filter(|set| *set).count() {
        0 => errors.push(Error::invalid(path, "", one)),
        1 => {}
        _ => errors.push(Error::invalid(path, internal::shown(attribute), one)),
    }
    errors
}

/// Whether a text is a version of semver.org's 2.0.0.
fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = text
        .split_once('+')
        .map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest
        .split_once('-')
        .map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    let word = |part: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !part.is_empty() && part.bytes().all(letter)
    };
    let pre_part =
        |part: &str| word(part) && (part.bytes().any(|byte| !byte.is_ascii_digit()) || number(part));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(pre_part))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// Only devices that several claims share say how much of a capacity each may take.
pub(super) fn validate_capacity(capacity: &DeviceCapacity, shared: bool, path: &Path) -> ErrorList {
    let Some(policy) = &capacity.request_policy else {
        return ErrorList::new();
    };
    let path = path.child("requestPolicy");
    if !shared {
        return vec![Error::forbidden(&path, "allowMultipleAllocations must be true")];
    }
    validate_policy(&capacity.value, policy, &path)
}

fn validate_policy(most: &Quantity, policy: &CapacityRequestPolicy, path: &Path) -> ErrorList {
    let required = |of: &str| {
        let detail = format!("required when {of} is defined");
        vec![Error::required(&path.child("default"), detail)]
    };
    match (
        &policy.valid_range,
        policy.valid_values.as_slice(),
        &policy.default,
    ) {
        (None, [], _) => ErrorList::new(),
        (None, _, None) => required("validValues"),
        (None, values, Some(default)) => validate_options(default, most, values, &path.child("validValues")),
        (Some(_), [], None) => required("validRange"),
        (Some(range), [], Some(default)) => validate_range(default, most, range, &path.child("validRange")),
        (Some(_), ..) => {
            let detail = r#"exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#;
            vec![Error::forbidden(path, detail)]
        }
    }
}

fn validate_options(default: &Quantity, most: &Quantity, options: &[Quantity], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, pair) in options.windows(2).enumerate() {
        if pair[0] > pair[1] {
            let detail = "values must be sorted in ascending order";
            errors.push(Error::invalid(
                &path.index(index + 1),
                pair[1].to_string(),
                detail,
            ));
        }
    }
    let too_many = options.len() > MOST_OPTIONS;
    errors.extend(validate_set(
        options,
        MOST_OPTIONS,
        path,
        |option| option.value().to_string(),
        |option, path| {
            let detail = || format!("option is larger than capacity value: {most}");
            let error = (option > most).then(|| Error::invalid(path, option.to_string(), detail()));
            error.into_iter().collect()
        },
    ));
    if too_many || !options.contains(default) {
        let detail = "default value is not valid according to the requestPolicy";
        errors.push(Error::invalid(path, default.to_string(), detail));
    }
    errors
}

fn validate_range(
    default: &Quantity,
    most: &Quantity,
    range: &CapacityRequestPolicyRange,
    path: &Path,
) -> ErrorList {
    let (min_path, max_path) = (path.child("min"), path.child("max"));
    let Some(min) = &range.min else {
        return vec![Error::required(&min_path, "required when validRange is defined")];
    };
    let mut errors = ErrorList::new();
    let mut wrong = |is_wrong: bool, path: &Path, value: &Quantity, detail: String| {
        if is_wrong {
            errors.push(Error::invalid(path, value.to_string(), detail));
        }
    };
    let larger = |what: &str| format!("{what} is larger than capacity value: {most}");
    wrong(min > most, &min_path, min, larger("min"));
    wrong(
        default < min,
        &min_path,
        default,
        format!("default is less than min: {min}"),
    );
    if let Some(max) = &range.max {
        wrong(
            min > max,
            &max_path,
            min,
            format!("min is larger than max: {max}"),
        );
        wrong(max > most, &max_path, max, larger("max"));
        wrong(
            default > max,
            &max_path,
            default,
            format!("default is more than max: {max}"),
        );
    }
    if let Some(step) = &range.step {
        let path = path.child("step");
        let mut one = min.clone();
        one.add(step);
        wrong(&one > most, &path, step, larger(&format!("one step {one}")));
        for value in std::iter::once(default).chain(&range.max) {
            let detail = format!("value is not a multiple of a given step ({step}) from ({min})");
            wrong(!is_multiple(value, min, step), &path, value, detail);
        }
    }
    errors
}

fn is_multiple(value: &Quantity, min: &Quantity, step: &Quantity) -> bool {
    let beyond = value.value().saturating_sub(min.value());
    // A step of nothing leads nowhere.
    beyond.checked_rem(step.value()).is_some_and(|rest| rest == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::{Value, json};

    #[test]
    fn versions() {
        for (text, valid) in [
            ("1.2.3", true),
            ("1.2.3-alpha.1+b.2", true),
            ("1.2", false),
            ("01.2.3", false),
            ("1.2.3-01", false),
            ("1.2.3+", false),
        ] {
            assert_eq!(is_semantic_version(text), valid, "{text}");
        }
    }

    #[test]
    fn capacities() {
        let check = |capacity: Value, shared: bool, expected: &[&str]| {
            let errors = validate_capacity(&parse(&capacity), shared, &Path::new("c"));
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected);
        };
        let range = json!({"value": "8", "requestPolicy": {"default": "3", "validRange": {"min": "1", "max": "9", "step": "2"}}});
        check(
            range.clone(),
            true,
            &["c.requestPolicy.validRange.max: Invalid value: \"9\": max is larger than capacity value: 8"],
        );
        check(
            range,
            false,
            &["c.requestPolicy: Forbidden: allowMultipleAllocations must be true"],
        );
        check(
            json!({"value": "2", "requestPolicy": {"default": "5", "validValues": ["2", "1"]}}),
            true,
            &[
                "c.requestPolicy.validValues[1]: Invalid value: \"1\": values must be sorted in ascending order",
                "c.requestPolicy.validValues: Invalid value: \"5\": default value is not valid according to the requestPolicy",
            ],
        );
    }
}
