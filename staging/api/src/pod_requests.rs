//! What a pod as a whole asks for and may use at most.
//!
//! Init containers run one after another before the rest, sidecars (init containers that restart always) from
//! their turn on: a pod needs the larger of what it needs while it starts and while it runs, and its overhead.
//! Amounts stated for the pod itself stand in place of those sums (KEP-2837). While a container is being resized in
//! place, the largest of what it wants, was given and uses counts (KEP-1287).
//!
//! Upstream: `k8s.io/component-helpers/resource`.

use std::collections::BTreeMap;

use apimachinery::quantity::Quantity;

use crate::core::v1::{Container, ContainerStatus, Pod, ResourceRequirements};

/// Amounts by resource name.
pub type ResourceList = BTreeMap<String, Quantity>;

/// What the scheduler must find free for the pod: while it is resized, the largest of what it wants, was given and uses.
pub fn pod_requests(pod: &Pod) -> ResourceList {
    let pending = pod
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "PodResizePending");
    let infeasible = pending.is_some_and(|condition| condition.reason == "Infeasible");
    let effective = |wanted: &ResourceList, actual: &ResourceList, allocated: &ResourceList| {
        let mut list = if infeasible {
            ResourceList::new()
        } else {
            wanted.clone()
        };
        raise(&mut list, actual);
        raise(&mut list, allocated);
        list
    };
    let of_container = |container: &Container| {
        let wanted = &container.resources.requests;
        match status_of(pod, container) {
            Some((resources, allocated)) => effective(wanted, &resources.requests, allocated),
            None => wanted.clone(),
        }
    };
    requests(pod, of_container, |wanted| {
        match pod.status.resources.as_deref() {
            Some(resources) => effective(wanted, &resources.requests, &pod.status.allocated_resources),
            None => wanted.clone(),
        }
    })
}

/// What the pod's specification asks for, whatever it was given.
pub fn spec_requests(pod: &Pod) -> ResourceList {
    requests(
        pod,
        |container| container.resources.requests.clone(),
        Clone::clone,
    )
}

fn requests(
    pod: &Pod,
    of_container: impl Fn(&Container) -> ResourceList,
    of_pod: impl Fn(&ResourceList) -> ResourceList,
) -> ResourceList {
    let mut out = aggregate(pod, of_container);
    if let Some(resources) = pod.spec.resources.as_deref() {
        let mut own = of_pod(&resources.requests);
        own.retain(|name, _| resources.requests.contains_key(name));
        override_pod_level(&mut out, &own);
    }
    add(&mut out, &pod.spec.overhead);
    out
}

/// What a container was given, if that may be other than it asks for: containers that end before others start are
/// not resized.
fn status_of<'a>(
    pod: &'a Pod,
    container: &Container,
) -> Option<(&'a ResourceRequirements, &'a ResourceList)> {
    let named =
        |statuses: &'a [ContainerStatus]| statuses.iter().find(|status| status.name == container.name);
    let regular = named(&pod.status.container_statuses);
    let sidecar = || {
        named(&pod.status.init_container_statuses)
            .filter(|_| container.restart_policy.as_deref() == Some("Always"))
    };
    let status = regular.or_else(sidecar)?;
    Some((status.resources.as_deref()?, &status.allocated_resources))
}

/// What the pod may use at most, for resources that every container bounds or the pod bounds itself.
pub fn pod_limits(pod: &Pod) -> ResourceList {
    let mut out = aggregate(pod, |container| container.resources.limits.clone());
    if let Some(resources) = pod.spec.resources.as_deref() {
        override_pod_level(&mut out, &resources.limits);
    }
    // Overhead widens limits that exist; it makes none.
    for (name, overhead) in &pod.spec.overhead {
        if let Some(limit) = out.get_mut(name) {
            limit.add(overhead);
        }
    }
    out
}

/// Sums containers and sidecars, and takes the larger of that and any moment of the start.
fn aggregate(pod: &Pod, of: impl Fn(&Container) -> ResourceList) -> ResourceList {
    let mut running = ResourceList::new();
    for container in &pod.spec.containers {
        add(&mut running, &of(container));
    }
    let mut sidecars = ResourceList::new();
    let mut starting = ResourceList::new();
    for container in &pod.spec.init_containers {
        let mut now = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut running, &now);
            add(&mut sidecars, &now);
            now.clone_from(&sidecars);
        } else {
            add(&mut now, &sidecars);
        }
        raise(&mut starting, &now);
    }
    raise(&mut running, &starting);
    running
}

/// Whether a pod may state its own amount of the resource.
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn override_pod_level(list: &mut ResourceList, own: &ResourceList) {
    for (name, amount) in own.iter().filter(|(name, _)| is_pod_level(name)) {
        list.insert(name.clone(), amount.clone());
    }
}

/// Adds amount by amount.
pub fn add(list: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        match list.get_mut(name) {
            Some(sum) => sum.add(amount),
            None => {
                list.insert(name.clone(), amount.clone());
            }
        }
    }
}

/// Raises each amount to at least the other's.
fn raise(list: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        if list.get(name).is_none_or(|have| have < amount) {
            list.insert(name.clone(), amount.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(cpu: &str, restart: Option<&str>) -> Container {
        let mut out = Container {
            restart_policy: restart.map(str::to_owned),
            ..Container::default()
        };
        out.resources
            .requests
            .insert("cpu".into(), Quantity::parse(cpu).expect("valid"));
        out
    }

    fn check(
        init: &[(&str, Option<&str>)],
        run: &[&str],
        overhead: &str,
        pod_level: Option<&str>,
        expected: &str,
    ) {
        let mut pod = Pod::default();
        pod.spec.init_containers = init
            .iter()
            .map(|(cpu, restart)| container(cpu, *restart))
            .collect();
        pod.spec.containers = run.iter().map(|cpu| container(cpu, None)).collect();
        pod.spec
            .overhead
            .insert("cpu".into(), Quantity::parse(overhead).expect("valid"));
        if let Some(cpu) = pod_level {
            let mut resources = crate::core::v1::ResourceRequirements::default();
            resources
                .requests
                .insert("cpu".into(), Quantity::parse(cpu).expect("valid"));
            pod.spec.resources = Some(Box::new(resources));
        }
        assert_eq!(
            pod_requests(&pod).get("cpu").map(ToString::to_string).as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn the_larger_of_start_and_run_counts() {
        check(&[], &["1", "500m"], "0", None, "1500m");
        check(&[("2", None)], &["1"], "0", None, "2");
        check(&[("2", None)], &["1"], "100m", None, "2100m");
        check(&[("1", Some("Always")), ("2", None)], &["1"], "0", None, "3");
        check(&[("2", None), ("1", Some("Always"))], &["2"], "0", None, "3");
        check(&[], &["1"], "100m", Some("4"), "4100m");
    }

    fn check_resized(status: &str, effective: &str, wanted: &str) {
        let json = format!(
            r#"{{"spec":{{"containers":[{{"name":"a","resources":{{"requests":{{"cpu":"2"}}}}}}]}},"status":{status}}}"#
        );
        let pod = <Pod as crate::Message>::from_json(json.as_bytes()).expect("valid");
        let cpu = |list: ResourceList| list.get("cpu").map(ToString::to_string).unwrap_or_default();
        assert_eq!(cpu(pod_requests(&pod)), effective);
        assert_eq!(cpu(spec_requests(&pod)), wanted);
    }

    #[test]
    fn the_largest_counts_during_a_resize() {
        let given = |allocated: &str, actual: &str| {
            format!(
                r#""containerStatuses":[{{"name":"a","allocatedResources":{{"cpu":"{allocated}"}},
                    "resources":{{"requests":{{"cpu":"{actual}"}}}}}}]"#
            )
        };
        check_resized("{}", "2", "2");
        check_resized(&format!("{{{}}}", given("1", "1")), "2", "2");
        check_resized(&format!("{{{}}}", given("3", "1")), "3", "2");
        check_resized(&format!("{{{}}}", given("1", "4")), "4", "2");
        let infeasible =
            r#""conditions":[{"type":"PodResizePending","status":"True","reason":"Infeasible"}]"#;
        check_resized(&format!("{{{},{infeasible}}}", given("1", "1")), "1", "2");
    }
}
