//! What objects count for in resource quotas: shared by admission, which charges, and the controller, which
//! recounts.
//!
//! Upstream: `pkg/quota/v1`.

mod arithmetic;
mod changes;
mod claims;
mod device_claims;
mod devices;
mod pods;
mod scopes;
mod services;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use apimachinery::quantity::{Format, Quantity};
use apimachinery::time::Time;

use crate::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use crate::message::Object;
use crate::resource::v1::ResourceClaim;

pub use arithmetic::{add, exceeded, mask, negative, subtract_to_zero, without_zeros};
pub use changes::replenishes;
pub use claims::attributes_classes;
pub use devices::{Devices, NoDevices};
pub use pods::is_charged as pod_is_charged;

pub type ResourceList = BTreeMap<String, Quantity>;

/// Counts the objects of one resource.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    /// Plural.
    pub resource: &'a str,
    pub devices: &'a dyn Devices,
}

/// An object with what counts it.
#[derive(Clone, Copy)]
pub struct Counted<'a> {
    pub evaluator: Evaluator<'a>,
    pub object: &'a dyn Object,
}

/// `count/deployments.apps`, `count/pods`
pub fn count_name(group: &str, resource: &str) -> String {
    if group.is_empty() {
        format!("count/{resource}")
    } else {
        format!("count/{resource}.{group}")
    }
}

/// The old names of counts in the core group.
const PLAIN_COUNTS: [&str; 5] = [
    "configmaps",
    "secrets",
    "replicationcontrollers",
    "resourcequotas",
    "services",
];

impl Evaluator<'_> {
    /// What so many objects use by merely being there.
    pub fn count(&self, objects: usize) -> ResourceList {
        let objects = || Quantity::from_i64(i64::try_from(objects).unwrap_or(i64::MAX), Format::DecimalSi);
        let mut usage = ResourceList::new();
        usage.insert(count_name(self.group, self.resource), objects());
        if self.group.is_empty() && PLAIN_COUNTS.contains(&self.resource) {
            usage.insert(self.resource.to_owned(), objects());
        }
        usage
    }

    /// Those of the names that this kind of object can use.
    pub fn matching<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<String> {
        let count = count_name(self.group, self.resource);
        names
            .filter(|name| **name == count || self.is_of_kind(name))
            .cloned()
            .collect()
    }

    fn is_of_kind(&self, name: &str) -> bool {
        match (self.group, self.resource) {
            ("", "pods") => pods::is_resource(name),
            ("", "persistentvolumeclaims") => claims::is_resource(name),
            ("", "services") => services::is_resource(name),
            ("resource.k8s.io", "resourceclaims") => device_claims::is_resource(name, self.devices),
            ("", resource) => PLAIN_COUNTS.contains(&resource) && name == resource,
            _ => false,
        }
    }
}

impl Counted<'_> {
    /// What the object uses.
    pub fn usage(&self, now: Time) -> ResourceList {
        let mut usage = self.evaluator.count(1);
        if let Some(pod) = self.object.downcast_ref::<Pod>() {
            add(&mut usage, &pods::usage(pod, now));
        } else if let Some(claim) = self.object.downcast_ref::<PersistentVolumeClaim>() {
            add(&mut usage, &claims::usage(claim));
        } else if let Some(service) = self.object.downcast_ref::<Service>() {
            add(&mut usage, &services::usage(service));
        } else if let Some(claim) = self.object.downcast_ref::<ResourceClaim>() {
            add(
                &mut usage,
                &device_claims::usage(claim, self.evaluator.devices, now),
            );
        }
        usage
    }

    /// Those of the names that this kind of object can use.
    pub fn matching<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<String> {
        self.evaluator.matching(names)
    }

    /// Do the quota's scopes take in this object?
    pub fn is_in_scope(&self, quota: &ResourceQuota) -> bool {
        let pod = self.object.downcast_ref::<Pod>();
        scopes::of(quota).iter().all(|scope| match pod {
            Some(pod) => scopes::has_pod(scope, pod),
            None => scopes::has_other(scope, self.object),
        })
    }

    /// Does the quota apply to this object?
    pub fn matches(&self, quota: &ResourceQuota) -> bool {
        self.is_in_scope(quota) && !self.matching(quota.status.hard.keys()).is_empty()
    }

    /// What the object must state since a quota limits it: the refusal, if it does not.
    pub fn missing(&self, limited: &[String]) -> Option<String> {
        pods::missing(self.object.downcast_ref::<Pod>()?, limited)
    }
}

/// Has the quota scopes? Objects of kinds that have none are outside of all.
pub fn is_scoped(quota: &ResourceQuota) -> bool {
    !scopes::of(quota).is_empty()
}
