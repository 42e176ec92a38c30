//! What claims of devices use, by device class and by the extended resource that a class stands for.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use apimachinery::quantity::{Format, Quantity};
use apimachinery::time::Time;

use super::pods::{self, DEVICE_CLASS, REQUESTS};
use super::{Devices, ResourceList};
use crate::core::v1::Pod;
use crate::meta::v1::OwnerReference;
use crate::resource::v1::{DeviceRequest, ResourceClaim};

/// After the name of a class: devices of it.
const DEVICES_OF_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
/// The scheduler made the claim for a pod that asks for extended resources.
const FOR_EXTENDED_RESOURCES: &str = "resource.kubernetes.io/extended-resource-claim";
/// Most devices that a request can be given.
const MOST_DEVICES: i64 = 32;

pub(super) fn is_resource(name: &str, devices: &dyn Devices) -> bool {
    if name.ends_with(DEVICES_OF_CLASS) {
        return true;
    }
    let Some(request) = name.strip_prefix(REQUESTS) else {
        return false;
    };
    match request.strip_prefix(DEVICE_CLASS) {
        Some(class) if devices.extended_resource(class).is_some() => true,
        _ => pods::is_extended(request) && devices.has_class_for(request),
    }
}

pub(super) fn usage(claim: &ResourceClaim, devices: &dyn Devices, now: Time) -> ResourceList {
    let mut by_class = BTreeMap::new();
    for request in &claim.spec.devices.requests {
        for (class, count) in most_of(request) {
            *by_class.entry(class).or_insert(0_i64) += count;
        }
    }
    let mut usage = ResourceList::new();
    for (class, count) in by_class {
        add_class(&mut usage, class, count, devices);
    }
    let charged = charged_to_pod(claim, devices, now);
    usage.retain(|name, quantity| {
        let is_device_count = name.ends_with(DEVICES_OF_CLASS);
        if let Some(charged) = charged.get(name).filter(|_| !is_device_count) {
            quantity.sub(charged);
        }
        is_device_count || quantity.sign() > 0
    });
    usage
}

fn add_class(usage: &mut ResourceList, class: &str, count: i64, devices: &dyn Devices) {
    let quantity = Quantity::from_i64(count, Format::DecimalSi);
    usage.insert(format!("{class}{DEVICES_OF_CLASS}"), quantity.clone());
    if class.is_empty() {
        return;
    }
    usage.insert(format!("{REQUESTS}{DEVICE_CLASS}{class}"), quantity.clone());
    if let Some(resource) = devices.extended_resource(class) {
        // Of two classes for one resource, the later by name tells, as none adds to the other.
        usage.insert(format!("{REQUESTS}{resource}"), quantity);
    }
}

/// The most devices of each class that the request may get, whichever alternative is chosen.
fn most_of(request: &DeviceRequest) -> BTreeMap<&str, i64> {
    let mut most = BTreeMap::new();
    let mut raise = |class, count: i64| {
        let entry = most.entry(class).or_insert(0);
        *entry = count.max(*entry);
    };
    if request.first_available.is_empty() {
        if let Some(exact) = &request.exactly {
            raise(
                exact.device_class_name.as_str(),
                number(&exact.allocation_mode, exact.count),
            );
        }
        return most;
    }
    for alternative in &request.first_available {
        let count = number(&alternative.allocation_mode, alternative.count);
        raise(alternative.device_class_name.as_str(), count);
    }
    most.retain(|_, count| *count > 0);
    most
}

fn number(mode: &str, count: i64) -> i64 {
    match mode {
        "ExactCount" => count,
        "All" => MOST_DEVICES,
        // Of a later release: such devices are not counted.
        _ => 0,
    }
}

/// What the pod that the claim was made for is charged already.
fn charged_to_pod(claim: &ResourceClaim, devices: &dyn Devices, now: Time) -> ResourceList {
    let pod = made_for(claim).and_then(|owner| {
        let pod = devices.pod(&claim.metadata.namespace, &owner.name)?;
        (pod.metadata.uid == owner.uid && acknowledges(&pod, claim, devices)).then_some(pod)
    });
    pod.map(|pod| pods::usage(&pod, now)).unwrap_or_default()
}

fn made_for(claim: &ResourceClaim) -> Option<&OwnerReference> {
    let marked = claim
        .metadata
        .annotations
        .get(FOR_EXTENDED_RESOURCES)
        .is_some_and(|mark| mark == "true");
    let owners = claim.metadata.owner_references.iter();
    owners
        .filter(|_| marked)
        .find(|owner| owner.controller == Some(true))
        .filter(|owner| owner.kind == "Pod" && owner.api_version == "v1")
}

/// Anybody may write such an annotation: the pod must name the claim, or the claim must be the first of its kind.
fn acknowledges(pod: &Pod, claim: &ResourceClaim, devices: &dyn Devices) -> bool {
    if let Some(status) = &pod.status.extended_resource_claim_status {
        return status.resource_claim_name == claim.metadata.name;
    }
    let is_earlier = |other: &ResourceClaim| {
        let (theirs, ours) = (&other.metadata, &claim.metadata);
        match theirs.creation_timestamp.cmp(&ours.creation_timestamp) {
            Ordering::Less => true,
            Ordering::Equal => theirs.name < ours.name,
            Ordering::Greater => false,
        }
    };
    let claims = devices.claims(&claim.metadata.namespace);
    !claims
        .iter()
        .filter(|other| made_for(other).is_some_and(|owner| owner.uid == pod.metadata.uid))
        .any(|other| is_earlier(other))
}
