//! Classes of storage and of what volumes can be changed to.

use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::TopologySelectorTerm;
use api::storage::v1::{StorageClass, VolumeAttributesClass};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_qualified_name;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata::{immutable_text, messages, shown_map};
use crate::rules::{MetadataChecks, Rules};
use crate::table;

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_BYTES: usize = 256 * 1024;
const RECLAIM_POLICIES: [&str; 2] = ["Delete", "Retain"];
const BINDING_MODES: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];

/// Errors of what makes volumes of a class.
fn validate_provisioner(name: &str, path: &Path) -> ErrorList {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    let name = name.to_lowercase();
    messages(path, &name, is_qualified_name(&name)).collect()
}

fn validate_parameters(parameters: &BTreeMap<String, String>) -> ErrorList {
    let path = Path::new("parameters");
    let mut errors = ErrorList::new();
    if parameters.len() > MAX_PARAMETERS {
        errors.push(Error::too_long(&path, MAX_PARAMETERS));
        return errors;
    }
    if parameters.contains_key("") {
        errors.push(Error::invalid(&path, "", "field can not be empty."));
    }
    let size: usize = parameters
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > MAX_PARAMETERS_BYTES {
        errors.push(Error::too_long(&path, MAX_PARAMETERS_BYTES));
    }
    errors
}

/// StorageClasses.
pub struct StorageClasses;

impl Rules for StorageClasses {
    type Object = StorageClass;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    fn default(class: &mut StorageClass) {
        class.reclaim_policy.get_or_insert_with(|| "Delete".to_owned());
        class
            .volume_binding_mode
            .get_or_insert_with(|| "Immediate".to_owned());
    }

    fn validate(class: &StorageClass) -> ErrorList {
        let mut errors = validate_provisioner(&class.provisioner, &Path::new("provisioner"));
        errors.extend(validate_parameters(&class.parameters));
        let unknown = |word: &Option<String>, known: &[&str], field: &'static str| {
            let word = word.as_deref().filter(|word| !known.contains(word))?;
            Some(Error::not_supported(&Path::new(field), word, known))
        };
        let policy = class.reclaim_policy.clone().filter(|policy| !policy.is_empty());
        errors.extend(unknown(&policy, &RECLAIM_POLICIES, "reclaimPolicy"));
        errors.extend(unknown(
            &class.volume_binding_mode,
            &BINDING_MODES,
            "volumeBindingMode",
        ));
        errors.extend(validate_topologies(
            &class.allowed_topologies,
            &Path::new("allowedTopologies"),
        ));
        errors
    }

    fn validate_update(_cx: &Context<'_>, class: &StorageClass, old: &StorageClass) -> ErrorList {
        let mut errors = Self::validate(class);
        if class.parameters != old.parameters {
            let path = Path::new("parameters");
            errors.push(Error::immutable(&path, shown_map(&class.parameters)));
        }
        let path = Path::new("provisioner");
        errors.extend(immutable_text(&class.provisioner, &old.provisioner, &path));
        for (new, old, field) in [
            (&class.reclaim_policy, &old.reclaim_policy, "reclaimPolicy"),
            (
                &class.volume_binding_mode,
                &old.volume_binding_mode,
                "volumeBindingMode",
            ),
        ] {
            if new != old {
                errors.push(Error::immutable(&Path::new(field), new.clone()));
            }
        }
        errors
    }

    fn row(class: &StorageClass, now: Timestamp) -> Vec<Value> {
        table::volume::storage_class(class, now)
    }
}

/// Terms of which two may not select the same. Upstream compares each term with as many empty ones first, so that
/// an empty term is reported once for each term.
fn validate_topologies(terms: &[TopologySelectorTerm], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = vec![BTreeMap::new(); terms.len()];
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index).child("matchLabelExpressions");
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (index, expression) in term.match_label_expressions.iter().enumerate() {
            let path = path.index(index);
            let of_key = validate_values(&expression.values, &path.child("values"), &mut errors);
            let key = expression.key.as_str();
            errors.extend(messages(&path.child("key"), key, is_qualified_name(key)));
            if values.insert(key, of_key).is_some() {
                errors.push(Error::duplicate(&path.child("key"), key));
            }
        }
        let same = seen.iter().filter(|other| **other == values).count();
        errors.extend((0..same).map(|_| Error::duplicate(&path, "")));
        seen.push(values);
    }
    errors
}

fn validate_values<'a>(values: &'a [String], path: &Path, errors: &mut ErrorList) -> BTreeSet<&'a str> {
    if values.is_empty() {
        errors.push(Error::required(path, ""));
    }
    let mut seen = BTreeSet::new();
    for (index, value) in values.iter().enumerate() {
        if !seen.insert(value.as_str()) {
            errors.push(Error::duplicate(&path.index(index), value.as_str()));
        }
    }
    seen
}

/// VolumeAttributesClasses.
pub struct VolumeAttributesClasses;

impl Rules for VolumeAttributesClasses {
    type Object = VolumeAttributesClass;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    fn validate(class: &VolumeAttributesClass) -> ErrorList {
        let mut errors = validate_provisioner(&class.driver_name, &Path::new("driverName"));
        errors.extend(validate_parameters(&class.parameters));
        if class.parameters.is_empty() {
            let detail = "must contain at least one key/value pair";
            errors.push(Error::required(&Path::new("parameters"), detail));
        }
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        class: &VolumeAttributesClass,
        old: &VolumeAttributesClass,
    ) -> ErrorList {
        let mut errors = ErrorList::new();
        if class.driver_name != old.driver_name {
            let detail = "updates to driverName are forbidden.";
            errors.push(Error::forbidden(&Path::new("driverName"), detail));
        }
        if class.parameters != old.parameters {
            let detail = "updates to parameters are forbidden.";
            errors.push(Error::forbidden(&Path::new("parameters"), detail));
        }
        errors.extend(Self::validate(class));
        errors
    }

    fn row(class: &VolumeAttributesClass, now: Timestamp) -> Vec<Value> {
        table::volume::volume_attributes_class(class, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::json;

    #[test]
    fn says_what_is_wrong() {
        let check = |class: Value, expected: &[&str]| {
            let mut class: StorageClass = parse(&class);
            StorageClasses::default(&mut class);
            let errors: Vec<String> = StorageClasses::validate(&class)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(errors, expected);
        };
        check(json!({"provisioner": "example.com/p", "reclaimPolicy": ""}), &[]);
        check(
            json!({"reclaimPolicy": "x", "volumeBindingMode": ""}),
            &[
                "provisioner: Required value",
                "reclaimPolicy: Unsupported value: \"x\": supported values: \"Delete\", \"Retain\"",
                "volumeBindingMode: Unsupported value: \"\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ],
        );
        let term = json!({"matchLabelExpressions": [{"key": "a", "values": ["b", "b"]}]});
        check(
            json!({"provisioner": "p", "allowedTopologies": [term, term]}),
            &[
                "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"b\"",
                "allowedTopologies[1].matchLabelExpressions[0].values[1]: Duplicate value: \"b\"",
                "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            ],
        );
    }
}
