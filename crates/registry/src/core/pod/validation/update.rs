//! What may change of a pod: images, a shorter deadline, more tolerations, fewer scheduling gates.

use std::collections::BTreeMap;

use api::core::v1::{
    Affinity, Container, NodeAffinity, NodeSelectorTerm, Pod, PodSchedulingGate, PodSpec, Toleration,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::inclusive_range_error;

use super::scheduling::validate_tolerations;
use crate::internal::{change, shown, shown_list};
use crate::metadata::shown_map;

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Errors of a change, besides those of metadata.
pub fn validate(pod: &Pod, old: &Pod) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = super::whole(pod);
    errors.extend(validate_mirror(pod, old));
    let lists = [
        ("containers", &pod.spec.containers, &old.spec.containers),
        (
            "initContainers",
            &pod.spec.init_containers,
            &old.spec.init_containers,
        ),
    ];
    for (field, new, old) in lists {
        let path = path.child(field);
        if new.len() != old.len() {
            errors.push(Error::forbidden(
                &path,
                "pod updates may not add or remove containers",
            ));
            return errors;
        }
        errors.extend(validate_images(new, &path));
    }
    let (wrong, stop) = validate_deadline(&pod.spec, &old.spec, &path.child("activeDeadlineSeconds"));
    errors.extend(wrong);
    if stop {
        return errors;
    }
    errors.extend(validate_added_tolerations(
        &pod.spec.tolerations,
        &old.spec.tolerations,
        &path.child("tolerations"),
    ));
    errors.extend(validate_fewer_gates(
        &pod.spec.scheduling_gates,
        &old.spec.scheduling_gates,
        &path,
    ));
    if pod.spec != old.spec {
        errors.extend(validate_rest(pod, old, &path));
    }
    errors
}

/// A static pod stays one.
fn validate_mirror(pod: &Pod, old: &Pod) -> Option<Error> {
    let (new, old) = (
        pod.metadata.annotations.get(MIRROR),
        old.metadata.annotations.get(MIRROR),
    );
    let path = || Path::new("metadata").child("annotations").key(MIRROR);
    match (new, old) {
        (Some(_), None) => Some(Error::forbidden(&path(), "may not add mirror pod annotation")),
        (None, Some(_)) => Some(Error::forbidden(
            &path(),
            "may not remove or update mirror pod annotation",
        )),
        (Some(new), Some(old)) if new != old => Some(Error::forbidden(
            &path(),
            "may not remove or update mirror pod annotation",
        )),
        _ => None,
    }
}

fn validate_images(containers: &[Container], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        if container.image.is_empty() {
            errors.push(Error::required(&path.child("image"), ""));
        }
        errors.extend(super::containers::validate_image_spaces(&container.image, &path));
    }
    errors
}

/// Errors, and whether they leave nothing else to say.
fn validate_deadline(spec: &PodSpec, old: &PodSpec, path: &Path) -> (ErrorList, bool) {
    let Some(new) = spec.active_deadline_seconds else {
        let detail = "must not update from a positive integer to nil value";
        let cleared = old
            .active_deadline_seconds
            .map(|_| Error::invalid(path, None::<i64>, detail));
        return (cleared.into_iter().collect(), false);
    };
    let most = i64::from(i32::MAX);
    if !(0..=most).contains(&new) {
        return (
            vec![Error::invalid(path, new, inclusive_range_error(0, most))],
            true,
        );
    }
    if old.active_deadline_seconds.is_some_and(|old| old < new) {
        return (
            vec![Error::invalid(
                path,
                new,
                "must be less than or equal to previous value",
            )],
            true,
        );
    }
    (Vec::new(), false)
}

fn validate_added_tolerations(new: &[Toleration], old: &[Toleration], path: &Path) -> ErrorList {
    let kept = |old: &Toleration| {
        new.iter().any(|new| {
            Toleration {
                toleration_seconds: new.toleration_seconds,
                ..old.clone()
            } == *new
        })
    };
    if !old.iter().all(kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        return vec![Error::forbidden(path, detail)];
    }
    validate_tolerations(new, path)
}

fn validate_fewer_gates(new: &[PodSchedulingGate], old: &[PodSchedulingGate], path: &Path) -> ErrorList {
    let added = new
        .iter()
        .enumerate()
        .filter(|(_, gate)| !old.iter().any(|old| old.name == gate.name));
    let error = |(index, gate): (usize, &PodSchedulingGate)| {
        let path = path.child("schedulingGates").index(index).child("name");
        Error::forbidden(
            &path,
            format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                gate.name
            ),
        )
    };
    added.map(error).collect()
}

/// Everything else stays as it was, save that a pod which waits at a gate may be narrowed down to fewer nodes.
fn validate_rest(pod: &Pod, old: &Pod, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut same = pod.spec.clone();
    let old = &old.spec;
    for (new, old) in same.containers.iter_mut().zip(&old.containers) {
        new.image.clone_from(&old.image);
    }
    for (new, old) in same.init_containers.iter_mut().zip(&old.init_containers) {
        new.image.clone_from(&old.image);
    }
    same.active_deadline_seconds = old.active_deadline_seconds;
    same.scheduling_gates.clone_from(&old.scheduling_gates);
    same.tolerations.clone_from(&old.tolerations);
    let negative = old
        .termination_grace_period_seconds
        .is_some_and(|seconds| seconds < 0);
    if negative && same.termination_grace_period_seconds == Some(1) {
        same.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    if !old.scheduling_gates.is_empty() {
        errors.extend(validate_more_labels(
            &same.node_selector,
            &old.node_selector,
            &path.child("nodeSelector"),
        ));
        same.node_selector.clone_from(&old.node_selector);
        let path = path.child("affinity").child("nodeAffinity");
        errors.extend(validate_narrowed(node_affinity(&same), node_affinity(old), &path));
        restore_node_affinity(&mut same, old);
    }
    if same != *old {
        let change = change(old, &same);
        errors.push(Error::forbidden(
            path,
            format!("pod updates may not change fields other than {UPDATABLE}\n{change}"),
        ));
    }
    errors
}

fn node_affinity(spec: &PodSpec) -> Option<&NodeAffinity> {
    spec.affinity
        .as_deref()
        .and_then(|affinity| affinity.node_affinity.as_deref())
}

fn restore_node_affinity(spec: &mut PodSpec, old: &PodSpec) {
    let kept = old
        .affinity
        .as_deref()
        .and_then(|affinity| affinity.node_affinity.clone());
    let affinity = spec.affinity.get_or_insert_default();
    affinity.node_affinity = kept;
    if **affinity == Affinity::default() && old.affinity.is_none() {
        spec.affinity = None;
    }
}

fn validate_more_labels(
    new: &BTreeMap<String, String>,
    old: &BTreeMap<String, String>,
    path: &Path,
) -> Option<Error> {
    let kept = old.iter().all(|(key, value)| new.get(key) == Some(value));
    let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
    (!kept).then(|| Error::invalid(path, shown_map(new), detail))
}

fn validate_narrowed(new: Option<&NodeAffinity>, old: Option<&NodeAffinity>, path: &Path) -> ErrorList {
    let terms = |affinity: Option<&NodeAffinity>| -> Vec<NodeSelectorTerm> {
        let required =
            affinity.and_then(|own| own.required_during_scheduling_ignored_during_execution.as_deref());
        required
            .map(|selector| selector.node_selector_terms.clone())
            .unwrap_or_default()
    };
    let (new, old) = (terms(new), terms(old));
    let path = path.child(REQUIRED).child("nodeSelectorTerms");
    if !old.is_empty() && new.len() != old.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return vec![Error::invalid(&path, shown_list(&new), detail)];
    }
    let changed = new
        .iter()
        .zip(&old)
        .enumerate()
        .filter(|(_, (new, old))| !only_adds(new, old));
    let detail = "only additions are allowed (no mutations or deletions)";
    changed
        .map(|(index, (new, _))| Error::invalid(&path.index(index), shown(new), detail))
        .collect()
}

fn only_adds(new: &NodeSelectorTerm, old: &NodeSelectorTerm) -> bool {
    // A term without requirements matches no node: to add one would widen it.
    let empty = |term: &NodeSelectorTerm| term.match_expressions.is_empty() && term.match_fields.is_empty();
    if empty(old) {
        return empty(new);
    }
    new.match_expressions.starts_with(&old.match_expressions)
        && new.match_fields.starts_with(&old.match_fields)
}

/// Errors of a change of the containers for debugging: they can be added, and nothing else.
pub fn validate_ephemeral(pod: &Pod, old: &Pod) -> ErrorList {
    if old.metadata.annotations.contains_key(MIRROR) {
        return vec![Error::forbidden(
            &Path::new(""),
            "static pods do not support ephemeral containers",
        )];
    }
    let mut errors = super::whole(pod);
    let path = Path::new("spec").child("ephemeralContainers");
    for before in &old.spec.ephemeral_containers {
        let name = &before.ephemeral_container_common.name;
        let quoted = apimachinery::quote::quote(name);
        let now = pod
            .spec
            .ephemeral_containers
            .iter()
            .find(|now| now.ephemeral_container_common.name == *name);
        match now {
            None => {
                let detail = format!("existing ephemeral containers {quoted} may not be removed\n");
                errors.push(Error::forbidden(&path, detail));
            }
            Some(now) if now != before => {
                let change = change(before, now);
                let detail = format!("existing ephemeral containers {quoted} may not be changed\n{change}");
                errors.push(Error::forbidden(&path, detail));
            }
            Some(_) => {}
        }
    }
    errors
}
