//! What pods use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use apimachinery::quantity::{Format, Quantity};
use apimachinery::time::Time;

use super::ResourceList;
use crate::core::v1::Pod;
use crate::pod_requests::{pod_limits, pod_requests};

const COMPUTE: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];

/// A quota on one of these obliges each container to state it.
const OBLIGATORY: [&str; 6] = [
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];

const HUGE_PAGES: &str = "hugepages-";
pub(super) const REQUESTS: &str = "requests.";
/// Before the name of a class: devices of it, as an extended resource.
pub(super) const DEVICE_CLASS: &str = "deviceclass.resource.kubernetes.io/";

pub(super) fn is_resource(name: &str) -> bool {
    COMPUTE.contains(&name) || name.starts_with(HUGE_PAGES) || is_extended_request(name)
}

/// `requests.example.com/gpu`, `requests.hugepages-2Mi`
fn is_extended_request(name: &str) -> bool {
    name.strip_prefix(REQUESTS)
        .is_some_and(|name| name.starts_with(HUGE_PAGES) || is_extended(name))
}

/// A resource of somebody else's domain, or devices of a class asked for as one (KEP-5004).
pub(super) fn is_extended(name: &str) -> bool {
    name.starts_with(DEVICE_CLASS) || (name.contains('/') && !name.contains("kubernetes.io/"))
}

/// A pod that has ended, or should have been gone by now, uses nothing but its place in the store.
pub fn is_charged(pod: &Pod, now: Time) -> bool {
    if matches!(pod.status.phase.as_str(), "Failed" | "Succeeded") {
        return false;
    }
    match (
        pod.metadata.deletion_timestamp,
        pod.metadata.deletion_grace_period_seconds,
    ) {
        (Some(deleted), Some(grace)) => now <= deleted.plus(Duration::from_secs(grace.max(0) as u64)),
        _ => true,
    }
}

/// A pod with a deadline.
pub(super) fn is_terminating(pod: &Pod) -> bool {
    pod.spec
        .active_deadline_seconds
        .is_some_and(|seconds| seconds >= 0)
}

pub(super) fn usage(pod: &Pod, now: Time) -> ResourceList {
    if is_charged(pod, now) {
        compute(&pod_requests(pod), &pod_limits(pod))
    } else {
        ResourceList::new()
    }
}

fn compute(requests: &ResourceList, limits: &ResourceList) -> ResourceList {
    let mut usage: ResourceList = [("pods".to_owned(), Quantity::from_i64(1, Format::DecimalSi))].into();
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(request) = requests.get(name) {
            usage.insert(name.to_owned(), request.clone());
            usage.insert(format!("{REQUESTS}{name}"), request.clone());
        }
        if let Some(limit) = limits.get(name) {
            usage.insert(format!("limits.{name}"), limit.clone());
        }
    }
    for (name, request) in requests {
        if name.starts_with(HUGE_PAGES) {
            usage.insert(name.clone(), request.clone());
        }
        if name.starts_with(HUGE_PAGES) || is_extended(name) {
            usage.insert(format!("{REQUESTS}{name}"), request.clone());
        }
    }
    usage
}

/// Which containers leave out what the quota obliges them to state.
pub(super) fn missing(pod: &Pod, limited: &[String]) -> Option<String> {
    // Resources of the whole pod make those of its containers optional.
    if pod
        .spec
        .resources
        .as_ref()
        .is_some_and(|resources| !resources.requests.is_empty() || !resources.limits.is_empty())
    {
        return None;
    }
    let obligatory: BTreeSet<&str> = limited
        .iter()
        .map(String::as_str)
        .filter(|name| OBLIGATORY.contains(name))
        .collect();
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
        let stated = compute(&container.resources.requests, &container.resources.limits);
        for name in obligatory.iter().filter(|name| !stated.contains_key(**name)) {
            missing.entry(name).or_default().insert(container.name.as_str());
        }
    }
    if missing.is_empty() {
        return None;
    }
    let of = |(resource, containers): (&str, BTreeSet<&str>)| {
        format!(
            "{resource} for: {}",
            containers.into_iter().collect::<Vec<_>>().join(",")
        )
    };
    Some(format!(
        "must specify {}",
        missing.into_iter().map(of).collect::<Vec<_>>().join("; ")
    ))
}
