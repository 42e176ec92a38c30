//! What controllers read from and write to nodes and the pods on them.

pub mod taints;

use api::core::v1::{Node, NodeCondition, Pod, PodCondition};
use apimachinery::time::Time;
use client::{Client, Error, Patch, PatchParams};
use controller_runtime::{Informer, Store};
use serde_json::json;

/// The index of pods by the node that they are on.
pub const NODE_INDEX: &str = "node";

/// Adds the index; asking again is harmless.
pub fn index_by_node(pods: &Informer<Pod>) -> Store<Pod> {
    let store = pods.store();
    store.add_index(NODE_INDEX, |pod: &Pod| {
        Some(pod.spec.node_name.clone())
            .filter(|node| !node.is_empty())
            .into_iter()
            .collect()
    });
    store
}

pub fn condition<'a>(node: &'a Node, type_: &str) -> Option<&'a NodeCondition> {
    node.status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

/// Sets a condition of a pod through its status, and optionally its phase, if that changes anything.
pub async fn patch_pod_condition(
    client: &Client,
    pod: &Pod,
    condition: Option<PodCondition>,
    phase: Option<&str>,
    now: Time,
) -> Result<(), Error> {
    let mut status = serde_json::Map::new();
    if let Some(phase) = phase.filter(|phase| *phase != pod.status.phase) {
        status.insert("phase".into(), phase.into());
    }
    if let Some(mut condition) = condition {
        let old = api::pod_conditions::condition(&pod.status, &condition.type_);
        let same = old.is_some_and(|old| {
            old.status == condition.status
                && old.reason == condition.reason
                && old.message == condition.message
        });
        if !same {
            let kept = old.filter(|old| old.status == condition.status);
            condition.last_transition_time =
                kept.map_or(Some(now.truncated()), |old| old.last_transition_time);
            condition.observed_generation = pod.metadata.generation;
            status.insert(
                "conditions".into(),
                json!([client::dynamic::to_value(&condition)?]),
            );
        }
    }
    if status.is_empty() {
        return Ok(());
    }
    let patch = Patch::Strategic(json!({"metadata": {"uid": pod.metadata.uid}, "status": status}));
    let pods = client.api::<Pod>().namespace(&pod.metadata.namespace);
    pods.patch_status(&pod.metadata.name, &patch, &PatchParams::default())
        .await
        .map(drop)
}
