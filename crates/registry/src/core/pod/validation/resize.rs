//! Resizing a pod in place (KEP-1287): CPU and memory of containers and of the pod, and nothing else.

use std::collections::BTreeMap;

use api::core::v1::{Container, Pod, ResourceRequirements};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quantity::Quantity;

use super::update::MIRROR;

/// Keeps of a request only what a resize may change.
pub(crate) fn keep_resizes(pod: &mut Pod, old: &Pod) {
    let lists = [
        (&pod.spec.containers, &old.spec.containers),
        (&pod.spec.init_containers, &old.spec.init_containers),
    ];
    // Validation reports added and removed containers.
    if lists.iter().any(|(new, old)| new.len() != old.len()) {
        return;
    }
    let merge = |new: &[Container], old: &[Container]| -> Vec<Container> {
        let pairs = new.iter().zip(old);
        let merged = pairs.map(|(new, old)| Container {
            name: new.name.clone(),
            resources: new.resources.clone(),
            resize_policy: new.resize_policy.clone(),
            ..old.clone()
        });
        merged.collect()
    };
    let containers = merge(&pod.spec.containers, &old.spec.containers);
    let init_containers = merge(&pod.spec.init_containers, &old.spec.init_containers);
    let resources = pod.spec.resources.take();
    pod.spec = old.spec.clone();
    pod.spec.containers = containers;
    pod.spec.init_containers = init_containers;
    pod.spec.resources = resources;
}

pub fn validate(pod: &Pod, old: &Pod) -> ErrorList {
    let whole = Path::new("");
    if old.metadata.annotations.contains_key(MIRROR) {
        return vec![Error::forbidden(&whole, "static pods cannot be resized")];
    }
    if old.spec.os.as_deref().is_some_and(|os| os.name == "windows") {
        return vec![Error::forbidden(&whole, "windows pods cannot be resized")];
    }
    let path = Path::new("spec");
    let mut errors = super::whole(pod);
    let class = if old.status.qos_class.is_empty() {
        api::qos::class(old).as_str()
    } else {
        &old.status.qos_class
    };
    if class != api::qos::class(pod).as_str() {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(Error::invalid(&path, &pod.status.qos_class, detail));
    }
    let running = old
        .status
        .container_statuses
        .iter()
        .find(|status| status.state.running.is_some());
    if running.is_some_and(|status| status.resources.is_none()) {
        errors.push(Error::forbidden(
            &path,
            "Pod running on node without support for resize",
        ));
    }
    errors.extend(validate_pod_level(pod, old, &path));
    let order = validate_order(pod, old, &path);
    if !order.is_empty() {
        errors.extend(order);
        return errors;
    }
    for (index, (new, old)) in pod
        .spec
        .init_containers
        .iter()
        .zip(&old.spec.init_containers)
        .enumerate()
    {
        let sidecar = old.restart_policy.as_deref() == Some("Always");
        errors.extend(validate_init(
            new,
            old,
            sidecar,
            &path.child("initContainers").index(index),
            &path,
        ));
    }
    for (index, (new, old)) in pod.spec.containers.iter().zip(&old.spec.containers).enumerate() {
        let at = path.child("containers").index(index).child("resources");
        errors.extend(validate_removed(&new.resources, &old.resources, "resource", &at));
        if with_compute_of(new, old) != *old {
            errors.push(Error::forbidden(
                &path,
                "only cpu and memory resources are mutable",
            ));
        }
    }
    errors
}

fn validate_init(new: &Container, old: &Container, sidecar: bool, path: &Path, spec: &Path) -> ErrorList {
    if !sidecar {
        let detail = "resources for non-sidecar init containers are immutable";
        return if new == old {
            ErrorList::new()
        } else {
            vec![Error::forbidden(spec, detail)]
        };
    }
    let mut errors = validate_removed(
        &new.resources,
        &old.resources,
        "resource",
        &path.child("resources"),
    );
    if with_compute_of(new, old) != *old {
        let detail = "only cpu and memory resources for init or sidecar containers are mutable";
        errors.push(Error::forbidden(path, detail));
    }
    errors
}

fn validate_order(pod: &Pod, old: &Pod, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
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
                format!("{field} may not be added or removed on resize"),
            ));
            continue;
        }
        for (index, _) in new
            .iter()
            .zip(old)
            .enumerate()
            .filter(|(_, (new, old))| new.name != old.name)
        {
            let detail = format!("{field} may not be renamed or reordered on resize");
            errors.push(Error::forbidden(&path.index(index).child("name"), detail));
        }
    }
    errors
}

fn validate_pod_level(pod: &Pod, old: &Pod, spec: &Path) -> ErrorList {
    let path = spec.child("resources");
    match (pod.spec.resources.as_deref(), old.spec.resources.as_deref()) {
        (None, Some(_)) => vec![Error::forbidden(&path, "pod-level resources cannot be removed")],
        (Some(new), Some(old)) => {
            let mut errors = validate_removed(new, old, "pod-level resource", &path);
            if compute_of(new, old) != *old {
                errors.push(Error::forbidden(
                    spec,
                    "only cpu and memory resources are mutable at pod-level",
                ));
            }
            errors
        }
        _ => ErrorList::new(),
    }
}

fn validate_removed(
    new: &ResourceRequirements,
    old: &ResourceRequirements,
    what: &str,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let lists = [
        ("requests", &new.requests, &old.requests),
        ("limits", &new.limits, &old.limits),
    ];
    for (field, new, old) in lists {
        if old.keys().any(|name| !new.contains_key(name)) {
            errors.push(Error::forbidden(
                &path.child(field),
                format!("{what} {field} cannot be removed"),
            ));
        }
    }
    errors
}

/// The container with the CPU and memory of the old one: equal to it if nothing else changed.
fn with_compute_of(new: &Container, old: &Container) -> Container {
    Container {
        resources: compute_of(&new.resources, &old.resources),
        ..new.clone()
    }
}

fn compute_of(new: &ResourceRequirements, old: &ResourceRequirements) -> ResourceRequirements {
    let merge = |new: &BTreeMap<String, Quantity>, old: &BTreeMap<String, Quantity>| {
        let mut merged = new.clone();
        for name in ["cpu", "memory"] {
            merged.remove(name);
            merged.extend(old.get(name).map(|quantity| (name.to_owned(), quantity.clone())));
        }
        merged
    };
    ResourceRequirements {
        limits: merge(&new.limits, &old.limits),
        requests: merge(&new.requests, &old.requests),
        claims: new.claims.clone(),
    }
}
