//! What pods were given, and which resize is tried first. Pure. Upstream: `allocation_manager.go`.

use crate::pod;
use api::{
    core::v1::{Container, Pod, ResourceRequirements},
    qos::Class,
};
use apimachinery::time::Time;
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// The resources of a pod and its containers, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodResources {
    pub containers: BTreeMap<String, ResourceRequirements>,
    pub pod: Option<ResourceRequirements>,
}

/// The containers that can be resized: those that run as long as their pod.
pub fn resizable(spec: &Pod) -> impl Iterator<Item = &Container> {
    let sidecars = spec
        .spec
        .init_containers
        .iter()
        .filter(|container| pod::is_sidecar(container));
    sidecars.chain(&spec.spec.containers)
}

/// What a pod asks for.
pub fn of(spec: &Pod) -> PodResources {
    PodResources {
        containers: resizable(spec)
            .map(|container| (container.name.clone(), container.resources.clone()))
            .collect(),
        pod: spec.spec.resources.as_deref().cloned(),
    }
}

/// The pod as if it asked for what it was given; the same pod where that is so.
pub fn apply(spec: &Arc<Pod>, given: &PodResources) -> Arc<Pod> {
    let differs = |container: &Container| {
        given
            .containers
            .get(&container.name)
            .is_some_and(|resources| *resources != container.resources)
    };
    let containers = || spec.spec.init_containers.iter().chain(&spec.spec.containers);
    if !containers().any(differs) && given.pod.as_ref() == spec.spec.resources.as_deref() {
        return spec.clone();
    }
    let mut pod = Pod::clone(spec);
    pod.spec.resources = given.pod.clone().map(Box::new);
    for container in pod
        .spec
        .init_containers
        .iter_mut()
        .chain(&mut pod.spec.containers)
    {
        if let Some(resources) = given.containers.get(&container.name) {
            container.resources = resources.clone();
        }
    }
    Arc::new(pod)
}

/// How one amount changed, as metrics name it.
fn operation(old: i64, new: i64) -> Option<&'static str> {
    match (old, new) {
        _ if old == new => None,
        (_, 0) => Some("remove"),
        (0, _) => Some("add"),
        _ if new < old => Some("decrease"),
        _ => Some("increase"),
    }
}

/// What a new version of a pod changes: resource, requirement and operation, container by container.
pub fn changes(old: &Pod, new: &Pod) -> Vec<[&'static str; 3]> {
    let mut changes = Vec::new();
    for container in resizable(new) {
        let Some(before) = resizable(old).find(|other| other.name == container.name) else {
            continue;
        };
        for resource in ["memory", "cpu"] {
            let amount = |list: &BTreeMap<String, _>| super::plan::amount(list, resource);
            let (old, new) = (&before.resources, &container.resources);
            let requests = operation(amount(&old.requests), amount(&new.requests));
            let limits = operation(amount(&old.limits), amount(&new.limits));
            changes.extend(requests.map(|operation| [resource, "requests", operation]));
            changes.extend(limits.map(|operation| [resource, "limits", operation]));
        }
    }
    changes
}

/// Whether a pod asks for more than it was given.
pub fn increases(spec: &Pod, allocated: &Pod) -> bool {
    let (old, new) = (
        api::pod_requests::spec_requests(allocated),
        api::pod_requests::spec_requests(spec),
    );
    ["cpu", "memory"]
        .iter()
        .any(|resource| super::plan::amount(&new, resource) > super::plan::amount(&old, resource))
}

/// The place of a resize among those that wait; the least is tried first.
pub fn urgency(spec: &Pod, allocated: &Pod, since: Option<Time>) -> impl Ord + use<> {
    (
        increases(spec, allocated),
        Reverse(spec.spec.priority.unwrap_or(0)),
        api::qos::class(spec) != Class::Guaranteed,
        since.is_none(),
        since.map(|time| time.timestamp()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    fn pod(cpu: &str, priority: i32) -> Arc<Pod> {
        let json = format!(
            r#"{{"spec":{{"priority":{priority},"containers":[
                {{"name":"a","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]}}}}"#
        );
        Arc::new(Pod::from_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn pods_are_as_given() {
        let (small, large) = (pod("1", 0), pod("2", 0));
        let given = apply(&large, &of(&small));
        assert_eq!(given.spec, small.spec);
        assert!(Arc::ptr_eq(&apply(&large, &of(&large)), &large));
        assert!(increases(&large, &small) && !increases(&small, &large));
        assert_eq!(changes(&small, &large), [["cpu", "requests", "increase"]]);
    }

    #[test]
    fn who_is_tried_first() {
        let given = pod("1", 0);
        let at = |second| Time::from_unix(second, 0);
        let mut waiting = [
            ("low", urgency(&pod("2", 1), &given, at(1))),
            ("late", urgency(&pod("2", 9), &given, at(9))),
            ("new", urgency(&pod("2", 9), &given, None)),
            ("early", urgency(&pod("2", 9), &given, at(3))),
            ("smaller", urgency(&pod("1", 0), &given, at(5))),
        ];
        waiting.sort_by(|a, b| a.1.cmp(&b.1));
        assert_eq!(
            waiting.map(|(name, _)| name),
            ["smaller", "early", "late", "new", "low"]
        );
    }
}
