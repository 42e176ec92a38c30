//! Which daemon pods to create and delete. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::apps::v1::DaemonSet;
use api::core::v1::{Node, Pod};
use api::pod_conditions::{is_available, is_ready};
use apimachinery::time::Time;

use super::placement::{self, Relation};
use super::rolling;
use crate::revisions::HASH_LABEL;

pub const FAILED: &str = "FailedDaemonPod";
pub const SUCCEEDED: &str = "SucceededDaemonPod";

pub struct Observed {
    pub set: DaemonSet,
    /// The hash of the present template.
    pub hash: String,
    pub nodes: Vec<Arc<Node>>,
    /// The set's pods, ended and going ones too.
    pub pods: Vec<Arc<Pod>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Names of nodes to create a pod for.
    pub create: Vec<String>,
    pub delete: Vec<Arc<Pod>>,
    /// Reasons and messages.
    pub events: Vec<(&'static str, String)>,
}

impl Observed {
    /// The pods by the node that they are on or meant for, oldest first.
    pub fn pods_by_node(&self) -> BTreeMap<&str, Vec<&Arc<Pod>>> {
        let mut by_node: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
        for pod in &self.pods {
            if let Some(node) = placement::target(pod) {
                by_node.entry(node).or_default().push(pod);
            }
        }
        for pods in by_node.values_mut() {
            // A pod that has a node before one that only wants it.
            pods.sort_by_key(|pod| {
                (
                    pod.spec.node_name.is_empty(),
                    pod.metadata.creation_timestamp,
                    pod.metadata.name.clone(),
                )
            });
        }
        by_node
    }

    pub fn is_current(&self, pod: &Pod) -> bool {
        let by_hash = pod.metadata.labels.get(HASH_LABEL) == Some(&self.hash);
        let generation = placement::template_generation(&self.set).map(str::to_owned);
        by_hash
            || (generation.is_some()
                && pod.metadata.labels.get("pod-template-generation") == generation.as_ref())
    }

    pub fn min_ready_seconds(&self) -> i32 {
        self.set.spec.min_ready_seconds
    }
}

pub fn plan(observed: &Observed, now: Time) -> Plan {
    let mut plan = Plan::default();
    let by_node = observed.pods_by_node();
    for node in &observed.nodes {
        let pods = by_node
            .get(node.metadata.name.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        plan_node(observed, node, pods, now, &mut plan);
    }
    delete_strays(observed, &by_node, &mut plan);
    // Replacing waits until every node has its pod.
    if plan.create.is_empty()
        && plan.delete.is_empty()
        && observed.set.spec.update_strategy.type_ == "RollingUpdate"
    {
        rolling::plan(observed, &by_node, now, &mut plan);
    }
    plan
}

fn plan_node(observed: &Observed, node: &Node, pods: &[&Arc<Pod>], now: Time, plan: &mut Plan) {
    let name = &node.metadata.name;
    match (placement::relation(&observed.set, node), pods.is_empty()) {
        (Relation::Run, true) => plan.create.push(name.clone()),
        (Relation::Run | Relation::Stay, false) => {
            let running = weed_out_ended(name, pods, plan);
            keep_one(observed, node, &running, now, plan);
        }
        (Relation::Leave, false) => {
            let leaving = pods
                .iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none());
            plan.delete.extend(leaving.map(|pod| (*pod).clone()));
        }
        (Relation::Stay | Relation::Leave, true) => {}
    }
}

/// Deletes pods that have ended, so that new ones can come; gives those that run.
fn weed_out_ended<'a>(node: &str, pods: &[&'a Arc<Pod>], plan: &mut Plan) -> Vec<&'a Arc<Pod>> {
    let mut running = Vec::new();
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let (reason, word) = match pod.status.phase.as_str() {
            "Failed" => (FAILED, "failed"),
            "Succeeded" => (SUCCEEDED, "succeeded"),
            _ => {
                running.push(*pod);
                continue;
            }
        };
        let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
        let message =
            format!("Found {word} daemon pod {namespace}/{name} on node {node}, will try to delete it");
        plan.events.push((reason, message));
        plan.delete.push((*pod).clone());
    }
    running
}

fn keep_one(observed: &Observed, node: &Node, running: &[&Arc<Pod>], now: Time, plan: &mut Plan) {
    if !rolling::allows_surge(&observed.set) {
        plan.delete
            .extend(running.iter().skip(1).map(|pod| (*pod).clone()));
        return;
    }
    if running.is_empty() {
        // An old pod on its way out doesn't hold up its successor.
        if placement::relation(&observed.set, node) == Relation::Run {
            plan.create.push(node.metadata.name.clone());
        }
        return;
    }
    let (new, old): (Vec<&Arc<Pod>>, Vec<&Arc<Pod>>) =
        running.iter().copied().partition(|pod| observed.is_current(pod));
    plan.delete.extend(
        new.iter()
            .skip(1)
            .chain(old.iter().skip(1))
            .map(|pod| (*pod).clone()),
    );
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!is_ready(old) || is_available(new, observed.min_ready_seconds(), now))
    {
        plan.delete.push((*old).clone());
    }
}

/// Pods meant for nodes that are gone, which no scheduler will ever place.
fn delete_strays(observed: &Observed, by_node: &BTreeMap<&str, Vec<&Arc<Pod>>>, plan: &mut Plan) {
    let known: HashMap<&str, ()> = observed
        .nodes
        .iter()
        .map(|node| (node.metadata.name.as_str(), ()))
        .collect();
    let strays = by_node
        .iter()
        .filter(|(node, _)| !known.contains_key(**node))
        .flat_map(|(_, pods)| pods);
    let unplaced =
        strays.filter(|pod| pod.spec.node_name.is_empty() && pod.metadata.deletion_timestamp.is_none());
    plan.delete.extend(unplaced.map(|pod| (*pod).clone()));
}

#[cfg(test)]
mod tests;
