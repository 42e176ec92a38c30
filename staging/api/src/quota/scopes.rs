//! Which objects a quota's scopes take in.

use super::{claims, pods};
use crate::core::v1::{
    PersistentVolumeClaim, Pod, PodAffinityTerm, ResourceQuota, ScopedResourceSelectorRequirement,
};
use crate::message::Object;
use crate::qos;

/// The scopes of both forms.
pub(super) fn of(quota: &ResourceQuota) -> Vec<ScopedResourceSelectorRequirement> {
    let exists = |scope: &String| ScopedResourceSelectorRequirement {
        scope_name: scope.clone(),
        operator: "Exists".to_owned(),
        values: Vec::new(),
    };
    let mut scopes: Vec<_> = quota.spec.scopes.iter().map(exists).collect();
    scopes.extend(
        quota
            .spec
            .scope_selector
            .iter()
            .flat_map(|selector| selector.match_expressions.iter().cloned()),
    );
    scopes
}

pub(super) fn has_pod(scope: &ScopedResourceSelectorRequirement, pod: &Pod) -> bool {
    let terminating = pods::is_terminating(pod);
    let best_effort = || qos::class(pod).as_str() == "BestEffort";
    match scope.scope_name.as_str() {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "PriorityClass" => has_name(scope, &pod.spec.priority_class_name),
        "CrossNamespacePodAffinity" => reaches_other_namespaces(pod),
        _ => false,
    }
}

/// Scopes of pods take in nothing else; volume claims have one of their own.
pub(super) fn has_other(scope: &ScopedResourceSelectorRequirement, object: &dyn Object) -> bool {
    match object.downcast_ref::<PersistentVolumeClaim>() {
        Some(claim) if scope.scope_name == "VolumeAttributesClass" => {
            let classes = claims::attributes_classes(claim);
            if classes.is_empty() {
                has_name(scope, "")
            } else {
                classes.into_iter().any(|class| has_name(scope, class))
            }
        }
        _ => false,
    }
}

fn has_name(scope: &ScopedResourceSelectorRequirement, name: &str) -> bool {
    let listed = scope.values.iter().any(|value| value == name);
    match scope.operator.as_str() {
        "Exists" => !name.is_empty(),
        "DoesNotExist" => name.is_empty(),
        "In" => !name.is_empty() && listed,
        "NotIn" => name.is_empty() || !listed,
        _ => false,
    }
}

fn reaches_other_namespaces(pod: &Pod) -> bool {
    let reaches = |term: &PodAffinityTerm| !term.namespaces.is_empty() || term.namespace_selector.is_some();
    let Some(affinity) = &pod.spec.affinity else {
        return false;
    };
    let required = affinity
        .pod_affinity
        .iter()
        .flat_map(|affinity| &affinity.required_during_scheduling_ignored_during_execution)
        .chain(
            affinity
                .pod_anti_affinity
                .iter()
                .flat_map(|affinity| &affinity.required_during_scheduling_ignored_during_execution),
        );
    let preferred = affinity
        .pod_affinity
        .iter()
        .flat_map(|affinity| &affinity.preferred_during_scheduling_ignored_during_execution)
        .chain(
            affinity
                .pod_anti_affinity
                .iter()
                .flat_map(|affinity| &affinity.preferred_during_scheduling_ignored_during_execution),
        );
    required
        .chain(preferred.map(|weighted| &weighted.pod_affinity_term))
        .any(reaches)
}
