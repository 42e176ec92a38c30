//! Where a pod may run: affinity, tolerations, spreading, gates.

use std::collections::BTreeSet;

use api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec, Toleration,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use api::meta::v1::LabelSelector;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{
    is_decimal_integer, is_label_key, is_qualified_name, is_valid_label_value, name_is_dns_label,
    name_is_dns_subdomain,
};

use crate::label_selector;
use crate::metadata::messages;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn validate_affinity(affinity: Option<&Affinity>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(affinity) = affinity else { return errors };
    if let Some(node) = &affinity.node_affinity {
        let path = path.child("nodeAffinity");
        if let Some(selector) = &node.required_during_scheduling_ignored_during_execution {
            errors.extend(validate_node_selector(selector, &path.child(REQUIRED)));
        }
        let path = path.child(PREFERRED);
        for (index, term) in node
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .enumerate()
        {
            let path = path.index(index);
            errors.extend(validate_weight(term.weight, &path));
            errors.extend(validate_term(&term.preference, false, &path.child("preference")));
        }
    }
    if let Some(pods) = &affinity.pod_affinity {
        let required = &pods.required_during_scheduling_ignored_during_execution;
        let preferred = &pods.preferred_during_scheduling_ignored_during_execution;
        errors.extend(validate_pod_terms(
            required,
            preferred,
            &path.child("podAffinity"),
        ));
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        let required = &pods.required_during_scheduling_ignored_during_execution;
        let preferred = &pods.preferred_during_scheduling_ignored_during_execution;
        errors.extend(validate_pod_terms(
            required,
            preferred,
            &path.child("podAntiAffinity"),
        ));
    }
    errors
}

fn validate_weight(weight: i32, path: &Path) -> Option<Error> {
    let wrong = !(1..=100).contains(&weight);
    wrong.then(|| Error::invalid(&path.child("weight"), weight, "must be in the range 1-100"))
}

/// Errors of terms of which a node must meet one.
pub(crate) fn validate_node_selector(selector: &NodeSelector, path: &Path) -> ErrorList {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        return vec![Error::required(
            &path,
            "must have at least one node selector term",
        )];
    }
    let terms = selector.node_selector_terms.iter().enumerate();
    terms
        .flat_map(|(index, term)| validate_term(term, true, &path.index(index)))
        .collect()
}

/// Preferred terms may have values that are no labels.
fn validate_term(term: &NodeSelectorTerm, check_values: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, requirement) in term.match_expressions.iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        errors.extend(validate_node_requirement(requirement, check_values, &path));
    }
    for (index, requirement) in term.match_fields.iter().enumerate() {
        errors.extend(validate_field_requirement(
            requirement,
            &path.child("matchFields").index(index),
        ));
    }
    errors
}

fn validate_node_requirement(
    requirement: &NodeSelectorRequirement,
    check_values: bool,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let values = path.child("values");
    match (requirement.operator.as_str(), requirement.values.len()) {
        ("In" | "NotIn", 0) => {
            errors.push(Error::required(
                &values,
                "must be specified when `operator` is 'In' or 'NotIn'",
            ));
        }
        ("Exists" | "DoesNotExist", 1..) => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&values, detail));
        }
        ("Gt" | "Lt", 0 | 2..) => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(Error::required(&values, detail));
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt", _) => {}
        (other, _) => errors.push(Error::invalid(
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
    if check_values {
        for (index, value) in requirement.values.iter().enumerate() {
            errors.extend(messages(&values.index(index), value, is_valid_label_value(value)));
        }
    }
    errors
}

fn validate_field_requirement(requirement: &NodeSelectorRequirement, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let values = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if requirement.values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&values, detail));
        }
        "In" | "NotIn" => {}
        other => errors.push(Error::invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        )),
    }
    if requirement.key != "metadata.name" {
        let detail = "not a valid field selector key";
        errors.push(Error::invalid(&path.child("key"), &requirement.key, detail));
        return errors;
    }
    for (index, value) in requirement.values.iter().enumerate() {
        errors.extend(messages(
            &values.index(index),
            value,
            name_is_dns_subdomain(value, false),
        ));
    }
    errors
}

fn validate_pod_terms(
    required: &[PodAffinityTerm],
    preferred: &[WeightedPodAffinityTerm],
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, term) in required.iter().enumerate() {
        errors.extend(validate_pod_term(term, &path.child(REQUIRED).index(index)));
    }
    for (index, term) in preferred.iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        errors.extend(validate_weight(term.weight, &path));
        errors.extend(validate_pod_term(
            &term.pod_affinity_term,
            &path.child("podAffinityTerm"),
        ));
    }
    errors
}

fn validate_pod_term(term: &PodAffinityTerm, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let selectors = [
        ("labelSelector", &term.label_selector),
        ("namespaceSelector", &term.namespace_selector),
    ];
    for (field, selector) in selectors {
        if let Some(selector) = selector {
            errors.extend(label_selector::validate(selector, &path.child(field)));
        }
    }
    for name in &term.namespaces {
        errors.extend(messages(
            &path.child("namespace"),
            name,
            name_is_dns_label(name, false),
        ));
    }
    let keys = LabelKeys {
        matching: &term.match_label_keys,
        mismatching: &term.mismatch_label_keys,
    };
    errors.extend(keys.validate(term.label_selector.as_deref(), path));
    let topology = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.push(Error::required(&topology, "can not be empty"));
    }
    errors.extend(messages(
        &topology,
        &term.topology_key,
        is_label_key(&term.topology_key),
    ));
    errors
}

/// Keys of labels of the pod itself that are added to a selector.
struct LabelKeys<'a> {
    matching: &'a [String],
    mismatching: &'a [String],
}

impl LabelKeys<'_> {
    fn validate(&self, selector: Option<&LabelSelector>, path: &Path) -> ErrorList {
        let mut errors = ErrorList::new();
        for (field, keys) in [
            ("matchLabelKeys", self.matching),
            ("mismatchLabelKeys", self.mismatching),
        ] {
            let path = path.child(field);
            if !keys.is_empty() && selector.is_none() {
                errors.push(Error::forbidden(
                    &path,
                    "must not be specified when labelSelector is not set",
                ));
            }
            for (index, key) in keys.iter().enumerate() {
                errors.extend(messages(&path.index(index), key, is_label_key(key)));
            }
        }
        for (index, key) in self
            .matching
            .iter()
            .enumerate()
            .filter(|(_, key)| self.mismatching.contains(key))
        {
            let path = path.child("matchLabelKeys").index(index);
            errors.push(Error::invalid(
                &path,
                key,
                "exists in both matchLabelKeys and mismatchLabelKeys",
            ));
        }
        errors
    }
}

pub(super) fn validate_spread(constraints: &[TopologySpreadConstraint], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        if constraint.max_skew <= 0 {
            let detail = "must be greater than zero";
            errors.push(Error::invalid(
                &path.child("maxSkew"),
                constraint.max_skew,
                detail,
            ));
        }
        if constraint.topology_key.is_empty() {
            errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
        }
        let action = constraint.when_unsatisfiable.as_str();
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            errors.push(Error::not_supported(
                &path.child("whenUnsatisfiable"),
                action,
                &actions,
            ));
        }
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == constraint.topology_key && other.when_unsatisfiable == action
        };
        if constraints[index + 1..].iter().any(same) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(
                &path,
                format!("{{{}, {action}}}", constraint.topology_key),
            ));
        }
        errors.extend(validate_spread_details(constraint, &path));
    }
    errors
}

fn validate_spread_details(constraint: &TopologySpreadConstraint, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(domains) = constraint.min_domains {
        let path = path.child("minDomains");
        if domains <= 0 {
            errors.push(Error::invalid(&path, domains, "must be greater than zero"));
        }
        let action = &constraint.when_unsatisfiable;
        if action != "DoNotSchedule" {
            let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
            errors.push(Error::invalid(&path, domains, detail));
        }
    }
    let policies = [
        ("nodeAffinityPolicy", &constraint.node_affinity_policy),
        ("nodeTaintsPolicy", &constraint.node_taints_policy),
    ];
    for (field, policy) in policies {
        if let Some(policy) = policy
            .as_deref()
            .filter(|policy| !matches!(*policy, "Honor" | "Ignore"))
        {
            errors.push(Error::not_supported(
                &path.child(field),
                policy,
                &["Honor", "Ignore"],
            ));
        }
    }
    let selector = constraint.label_selector.as_deref();
    let keys = LabelKeys {
        matching: &constraint.match_label_keys,
        mismatching: &[],
    };
    errors.extend(keys.validate(selector, path));
    if let Some(selector) = selector {
        errors.extend(label_selector::validate(selector, &path.child("labelSelector")));
    }
    errors
}

pub(super) fn validate_gates(spec: &PodSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, gate) in spec.readiness_gates.iter().enumerate() {
        let path = path.child("readinessGates").index(index).child("conditionType");
        errors.extend(messages(
            &path,
            &gate.condition_type,
            is_qualified_name(&gate.condition_type),
        ));
    }
    let mut seen = BTreeSet::new();
    for (index, gate) in spec.scheduling_gates.iter().enumerate() {
        let path = path.child("schedulingGates").index(index);
        errors.extend(messages(&path, &gate.name, is_qualified_name(&gate.name)));
        if !seen.insert(&gate.name) {
            errors.push(Error::duplicate(&path, &gate.name));
        }
    }
    errors
}

pub(crate) fn validate_tolerations(tolerations: &[Toleration], path: &Path) -> ErrorList {
    let tolerations = tolerations.iter().enumerate();
    tolerations
        .flat_map(|(index, toleration)| validate_toleration(toleration, &path.index(index)))
        .collect()
}

fn validate_toleration(toleration: &Toleration, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (operator, value) = (toleration.operator.as_str(), toleration.value.as_str());
    let (operator_path, effect_path) = (path.child("operator"), path.child("effect"));
    if toleration.key.is_empty() {
        if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(Error::invalid(&operator_path, operator, detail));
        }
    } else {
        errors.extend(messages(
            &path.child("key"),
            &toleration.key,
            is_label_key(&toleration.key),
        ));
    }
    if toleration.toleration_seconds.is_some() && toleration.effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(Error::invalid(&effect_path, &toleration.effect, detail));
    }
    match operator {
        "Equal" | "" => {
            let wrong = is_valid_label_value(value);
            if !wrong.is_empty() {
                errors.push(Error::invalid(&operator_path, value, wrong.join(";")));
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.push(Error::invalid(&operator_path, value, detail));
        }
        "Lt" | "Gt" => errors.extend(messages(&path.child("value"), value, is_decimal_integer(value))),
        other => errors.push(Error::not_supported(&operator_path, other, &["Equal", "Exists"])),
    }
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    if !toleration.effect.is_empty() && !effects.contains(&toleration.effect.as_str()) {
        errors.push(Error::not_supported(&effect_path, &toleration.effect, &effects));
    }
    errors
}
