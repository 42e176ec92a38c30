//! Replaces pods of old templates, a few at a time. Pure.
//!
//! Upstream: pkg/controller/daemon/update.go (rollingUpdate)

use std::collections::BTreeMap;
use std::sync::Arc;

use api::apps::v1::DaemonSet;
use api::core::v1::Pod;
use api::pod_conditions::is_available;
use apimachinery::int_or_string::{IntOrString, Rounding};
use apimachinery::time::Time;

use super::placement::{self, Relation};
use super::plan::{Observed, Plan};

/// An amount as a number of nodes. Both kinds round up.
fn scaled(amount: Option<&IntOrString>, nodes: usize) -> usize {
    let total = i64::try_from(nodes).unwrap_or(i64::MAX);
    // Validation lets no malformed percentage in; should one be stored, it counts as nothing.
    let value = amount.map_or(0, |amount| {
        amount.scaled_value(total, Rounding::Up).unwrap_or_default()
    });
    usize::try_from(value).unwrap_or_default()
}

fn max_surge(set: &DaemonSet, nodes: usize) -> usize {
    if set.spec.update_strategy.type_ != "RollingUpdate" {
        return 0;
    }
    let rolling = set.spec.update_strategy.rolling_update.as_deref();
    scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref()), nodes)
}

fn max_unavailable(set: &DaemonSet, nodes: usize) -> usize {
    let rolling = set.spec.update_strategy.rolling_update.as_deref();
    scaled(
        rolling.and_then(|rolling| rolling.max_unavailable.as_ref()),
        nodes,
    )
}

/// Whether a node may have a new pod beside the old one.
pub fn allows_surge(set: &DaemonSet) -> bool {
    max_surge(set, 1) > 0
}

/// A node's old and new pod, of which there is at most one each when the node is in order.
struct OnNode<'a> {
    node: &'a str,
    new: Option<&'a Arc<Pod>>,
    old: Option<&'a Arc<Pod>>,
}

pub(super) fn plan(
    observed: &Observed,
    by_node: &BTreeMap<&str, Vec<&Arc<Pod>>>,
    now: Time,
    plan: &mut Plan,
) {
    let runs = |node: &str| {
        let found = observed.nodes.iter().find(|other| other.metadata.name == node);
        found.is_some_and(|node| placement::relation(&observed.set, node) == Relation::Run)
    };
    let wanted = observed
        .nodes
        .iter()
        .filter(|node| runs(&node.metadata.name))
        .count();
    let on_nodes: Vec<OnNode<'_>> = by_node
        .iter()
        .map(|(node, pods)| sort_out(observed, node, pods))
        .collect();
    let surge = max_surge(&observed.set, wanted);
    let available = |pod: &Pod| is_available(pod, observed.min_ready_seconds(), now);
    if surge == 0 {
        replace(&on_nodes, max_unavailable(&observed.set, wanted), available, plan);
    } else {
        surge_onto(&on_nodes, surge, wanted, available, runs, plan);
    }
}

fn sort_out<'a>(observed: &Observed, node: &'a str, pods: &[&'a Arc<Pod>]) -> OnNode<'a> {
    let staying = || {
        pods.iter()
            .copied()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    };
    let new = staying().find(|pod| observed.is_current(pod));
    let old = staying().find(|pod| !observed.is_current(pod));
    OnNode { node, new, old }
}

/// Deletes old pods as far as so many may be unavailable; those that are already cost nothing.
fn replace(on_nodes: &[OnNode<'_>], allowed: usize, available: impl Fn(&Pod) -> bool, plan: &mut Plan) {
    let mut unavailable = 0;
    let mut candidates = Vec::new();
    for on_node in on_nodes {
        match (on_node.new, on_node.old) {
            (None, Some(old)) if available(old) => candidates.push(old.clone()),
            (None, Some(old)) => {
                plan.delete.push(old.clone());
                unavailable += 1;
            }
            (Some(new), None) => unavailable += usize::from(!available(new)),
            // Both or none: not settled yet.
            (Some(_), Some(_)) | (None, None) => unavailable += 1,
        }
    }
    plan.delete
        .extend(candidates.into_iter().take(allowed.saturating_sub(unavailable)));
}

/// Creates new pods beside old ones, and deletes an old one once its successor is available.
fn surge_onto(
    on_nodes: &[OnNode<'_>],
    surge: usize,
    wanted: usize,
    available: impl Fn(&Pod) -> bool,
    runs: impl Fn(&str) -> bool,
    plan: &mut Plan,
) {
    let (mut surging, mut serving) = (0, 0);
    let (mut candidates, mut leaving) = (Vec::new(), Vec::new());
    for OnNode { node, new, old } in on_nodes {
        serving += usize::from(old.or(*new).is_some_and(|pod| available(pod)));
        match (new, old) {
            (_, None) => {}
            (Some(new), Some(_)) if !available(new) => surging += 1,
            (Some(_), Some(old)) => plan.delete.push((*old).clone()),
            (None, Some(old)) => match (available(old), runs(node)) {
                (false, false) => plan.delete.push((*old).clone()),
                (false, true) => plan.create.push((*node).to_owned()),
                (true, false) => leaving.push((*old).clone()),
                (true, true) => candidates.push((*node).to_owned()),
            },
        }
    }
    // A pod on a node that the set has left goes only when another serves in its place.
    plan.delete
        .extend(leaving.into_iter().take(serving.saturating_sub(wanted)));
    plan.create
        .extend(candidates.into_iter().take(surge.saturating_sub(surging)));
}
