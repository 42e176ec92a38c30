//! What objects count for in resource quotas: shared by admission, which charges, and the controller, which
//! recounts.
//!
//! Upstream: `pkg/quota/v1`.

mod arithmetic;
mod claims;
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

pub use arithmetic::{add, exceeded, mask, negative, subtract_to_zero, without_zeros};
pub use pods::is_charged as pod_is_charged;

pub type ResourceList = BTreeMap<String, Quantity>;

/// An object with the names that its resource is counted by.
#[derive(Clone, Copy)]
pub struct Counted<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    /// Plural.
    pub resource: &'a str,
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

impl Counted<'_> {
    /// What the object uses.
    pub fn usage(&self, now: Time) -> ResourceList {
        let one = || Quantity::from_i64(1, Format::DecimalSi);
        let mut usage = ResourceList::new();
        usage.insert(count_name(self.group, self.resource), one());
        if self.group.is_empty() && PLAIN_COUNTS.contains(&self.resource) {
            usage.insert(self.resource.to_owned(), one());
        }
        if let Some(pod) = self.object.downcast_ref::<Pod>() {
            add(&mut usage, &pods::usage(pod, now));
        } else if let Some(claim) = self.object.downcast_ref::<PersistentVolumeClaim>() {
            add(&mut usage, &claims::usage(claim));
        } else if let Some(service) = self.object.downcast_ref::<Service>() {
            add(&mut usage, &services::usage(service));
        }
        usage
    }

    /// Those of the names that this kind of object can use.
    pub fn matching<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<String> {
        let count = count_name(self.group, self.resource);
        let of_kind = |name: &str| match (self.group, self.resource) {
            ("", "pods") => pods::is_resource(name),
            ("", "persistentvolumeclaims") => claims::is_resource(name),
            ("", "services") => services::is_resource(name),
            ("", resource) => PLAIN_COUNTS.contains(&resource) && name == resource,
            _ => false,
        };
        names
            .filter(|name| **name == count || of_kind(name))
            .cloned()
            .collect()
    }

    /// Does the quota apply to this object?
    pub fn matches(&self, quota: &ResourceQuota) -> bool {
        let scopes = scopes::of(quota);
        let in_scope = scopes
            .iter()
            .all(|scope| match self.object.downcast_ref::<Pod>() {
                Some(pod) => scopes::has_pod(scope, pod),
                None => scopes::has_other(scope, self.object),
            });
        in_scope && !self.matching(quota.status.hard.keys()).is_empty()
    }

    /// What the object must state since a quota limits it: the refusal, if it does not.
    pub fn missing(&self, limited: &[String]) -> Option<String> {
        pods::missing(self.object.downcast_ref::<Pod>()?, limited)
    }
}
