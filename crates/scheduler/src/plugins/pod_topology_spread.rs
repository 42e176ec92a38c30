//! Spreads the pods that a selector matches evenly over the domains of a topology.

mod filter;
mod score;

use apimachinery::labels::Selector;

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeScore, Plugin};
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, SpreadConstraint};

use super::taint_toleration::untolerated;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// What holds for pods that bring no constraints of their own.
#[derive(Clone, Debug)]
pub enum Defaults {
    /// Upstream's: prefer an even spread over hosts (skew 3) and zones (skew 5).
    System,
    /// The profile's list, with `whenUnsatisfiable` of each; the selector is that of the pod's service or owner.
    List(Vec<(String, SpreadConstraint)>),
}

pub struct PodTopologySpread {
    pub defaults: Defaults,
}

impl Default for PodTopologySpread {
    fn default() -> Self {
        Self {
            defaults: Defaults::System,
        }
    }
}

impl PodTopologySpread {
    /// The constraints of one kind that hold for the pod.
    fn constraints(
        &self,
        pod: &PodInfo,
        cluster: &Cluster,
        when_unsatisfiable: &str,
    ) -> Vec<SpreadConstraint> {
        if !pod.pod.spec.topology_spread_constraints.is_empty() {
            return SpreadConstraint::of_pod(&pod.pod, when_unsatisfiable);
        }
        let mut constraints = self.default_constraints(when_unsatisfiable);
        if !constraints.is_empty() {
            let selector = cluster.owners.default_selector(&pod.pod);
            if selector.is_everything() {
                return Vec::new();
            }
            for constraint in &mut constraints {
                constraint.selector = selector.clone();
            }
        }
        constraints
    }

    fn default_constraints(&self, when_unsatisfiable: &str) -> Vec<SpreadConstraint> {
        match &self.defaults {
            Defaults::System if when_unsatisfiable == "ScheduleAnyway" => {
                [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)]
                    .map(|(key, skew)| default_over(key, skew))
                    .into()
            }
            Defaults::System => Vec::new(),
            Defaults::List(list) => {
                let of_kind = list.iter().filter(|(when, _)| when == when_unsatisfiable);
                of_kind.map(|(_, constraint)| constraint.clone()).collect()
            }
        }
    }
}

fn default_over(topology_key: &str, max_skew: i64) -> SpreadConstraint {
    SpreadConstraint {
        max_skew,
        min_domains: 1,
        topology_key: topology_key.to_owned(),
        selector: Selector::nothing(),
        honor_affinity: true,
        honor_taints: false,
    }
}

/// Whether the node is one of those over which the constraint spreads this pod.
fn counts_node(constraint: &SpreadConstraint, pod: &PodInfo, node: &NodeInfo) -> bool {
    (!constraint.honor_affinity || api::node_affinity::pod_matches_node(&pod.pod.spec, &node.node))
        && (!constraint.honor_taints || untolerated(&pod.pod.spec.tolerations, node).is_none())
}

fn has_all_keys(constraints: &[SpreadConstraint], node: &NodeInfo) -> bool {
    constraints
        .iter()
        .all(|constraint| node.label(&constraint.topology_key).is_some())
}

/// How many pods of the namespace on the node match; terminating ones are as good as gone.
fn matching_pods(constraint: &SpreadConstraint, namespace: &str, node: &NodeInfo) -> i64 {
    if constraint.selector.is_everything() {
        return 0;
    }
    let living = node
        .pods
        .iter()
        .filter(|other| !other.is_terminating() && other.namespace() == namespace);
    living
        .filter(|other| constraint.selector.matches(&other.pod.metadata.labels))
        .count() as i64
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, cluster: &'a Cluster) -> Filtering<'a> {
        let constraints = self.constraints(pod, cluster, "DoNotSchedule");
        if constraints.is_empty() {
            return Filtering::Pass;
        }
        Filtering::Ask(Box::new(filter::Spread::of(constraints, pod, cluster)))
    }

    fn score<'a>(
        &'a self,
        pod: &'a PodInfo,
        cluster: &'a Cluster,
        feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        let constraints = self.constraints(pod, cluster, "ScheduleAnyway");
        if constraints.is_empty() {
            return None;
        }
        // With the system's defaults, a node without a zone is still spread by host.
        let own = !pod.pod.spec.topology_spread_constraints.is_empty();
        let needs_all_keys = own || !matches!(self.defaults, Defaults::System);
        Some(Box::new(score::Preference::of(
            constraints,
            needs_all_keys,
            pod,
            cluster,
            feasible,
        )))
    }

    fn is_helped_by(&self, pod: &PodInfo, event: &Event<'_>) -> bool {
        let concerns = |other: &PodInfo| other.namespace() == pod.namespace();
        match event {
            Event::NodeAdded(_) => true,
            Event::NodeChanged { change, .. } => change.labels || change.taints,
            Event::AssignedPodAdded(other) | Event::AssignedPodDeleted(other) => concerns(other),
            Event::AssignedPodChanged { old, new } => {
                concerns(new) && old.pod.metadata.labels != new.pod.metadata.labels
            }
            Event::PodChanged { old } => {
                old.pod.metadata.labels != pod.pod.metadata.labels
                    || old.pod.spec.topology_spread_constraints != pod.pod.spec.topology_spread_constraints
            }
            _ => false,
        }
    }
}
