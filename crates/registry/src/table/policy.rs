//! Disruption budgets and device claims.

use api::policy::v1::PodDisruptionBudget;
use api::resource::v1::{ResourceClaim, ResourceSlice};
use apimachinery::int_or_string::IntOrString;
use jiff::Timestamp;
use serde_json::Value;

use super::age;

pub fn disruption_budget(object: &PodDisruptionBudget, now: Timestamp) -> Vec<Value> {
    let shown = |bound: &Option<IntOrString>| bound.as_ref().map_or("N/A".to_owned(), ToString::to_string);
    crate::cells![
        object.metadata.name.as_str(),
        shown(&object.spec.min_available),
        shown(&object.spec.max_unavailable),
        object.status.disruptions_allowed,
        age(&object.metadata, now),
    ]
}

pub fn resource_claim(object: &ResourceClaim, now: Timestamp) -> Vec<Value> {
    let mut states = Vec::new();
    if object.metadata.deletion_timestamp.is_some() {
        states.push("deleted");
    }
    if object.status.allocation.is_some() {
        states.push("allocated");
        if !object.status.reserved_for.is_empty() {
            states.push("reserved");
        }
    } else if object.metadata.deletion_timestamp.is_none() {
        states.push("pending");
    }
    crate::cells![
        object.metadata.name.as_str(),
        states.join(","),
        age(&object.metadata, now)
    ]
}

pub fn resource_slice(object: &ResourceSlice, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.node_name.as_deref().unwrap_or_default(),
        object.spec.driver.as_str(),
        object.spec.pool.name.as_str(),
        age(&object.metadata, now),
    ]
}
