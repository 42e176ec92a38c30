//! `ScheduleAnyway`: the fewer matching pods in a node's domains, the better.

use std::collections::{HashMap, HashSet};

use crate::cache::Cluster;
use crate::framework::{MAX_SCORE, NodeScore};
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, SpreadConstraint};

use super::{HOSTNAME, counts_node, has_all_keys, matching_pods};

pub(super) struct Preference<'a> {
    pod: &'a PodInfo,
    constraints: Vec<Weighted>,
    /// Feasible nodes that lack a topology key: they are not preferred at all.
    ignored: HashSet<&'a str>,
}

struct Weighted {
    constraint: SpreadConstraint,
    /// Grows with the number of domains, so that few large domains don't drown many small ones.
    weight: f64,
    /// Matching pods by domain, for the domains of feasible nodes; hosts are counted when scored.
    pods: HashMap<String, i64>,
}

impl<'a> Preference<'a> {
    pub(super) fn of(
        constraints: Vec<SpreadConstraint>,
        needs_all_keys: bool,
        pod: &'a PodInfo,
        cluster: &Cluster,
        feasible: &[&'a NodeInfo],
    ) -> Self {
        let usable = |node: &NodeInfo| !needs_all_keys || has_all_keys(&constraints, node);
        let ignored: HashSet<_> = feasible
            .iter()
            .filter(|node| !usable(node))
            .map(|node| node.name())
            .collect();
        let candidates: Vec<_> = feasible.iter().copied().filter(|node| usable(node)).collect();
        let eligible: Vec<_> = cluster.nodes.iter().filter(|node| usable(node)).collect();
        let weigh = |constraint: &SpreadConstraint| weigh(constraint.clone(), pod, &candidates, &eligible);
        Self {
            pod,
            constraints: constraints.iter().map(weigh).collect(),
            ignored,
        }
    }
}

fn weigh(
    constraint: SpreadConstraint,
    pod: &PodInfo,
    candidates: &[&NodeInfo],
    eligible: &[&NodeInfo],
) -> Weighted {
    let mut pods = HashMap::new();
    let mut size = candidates.len();
    if constraint.topology_key != HOSTNAME {
        for node in candidates {
            pods.entry(
                node.label(&constraint.topology_key)
                    .unwrap_or_default()
                    .to_owned(),
            )
            .or_insert(0);
        }
        size = pods.len();
        for node in eligible.iter().filter(|node| counts_node(&constraint, pod, node)) {
            if let Some(count) = pods.get_mut(node.label(&constraint.topology_key).unwrap_or_default()) {
                *count += matching_pods(&constraint, pod.namespace(), node);
            }
        }
    }
    Weighted {
        constraint,
        weight: ((size + 2) as f64).ln(),
        pods,
    }
}

impl NodeScore for Preference<'_> {
    /// A cost: [`NodeScore::normalize`] turns it round.
    fn score(&self, node: &NodeInfo) -> i64 {
        if self.ignored.contains(node.name()) {
            return 0;
        }
        let cost = |weighted: &Weighted| {
            let constraint = &weighted.constraint;
            let domain = node.label(&constraint.topology_key)?;
            let pods = if constraint.topology_key == HOSTNAME {
                matching_pods(constraint, self.pod.namespace(), node)
            } else {
                weighted.pods.get(domain).copied().unwrap_or(0)
            };
            Some(pods as f64 * weighted.weight + (constraint.max_skew - 1) as f64)
        };
        self.constraints.iter().filter_map(cost).sum::<f64>().round() as i64
    }

    fn normalize(&self, nodes: &[&NodeInfo], scores: &mut [i64]) {
        let counted = |i: &usize| !self.ignored.contains(nodes[*i].name());
        let counted_scores = || (0..scores.len()).filter(counted).map(|i| scores[i]);
        let min = counted_scores().min().unwrap_or(0);
        let max = counted_scores().max().unwrap_or(0).max(0);
        for (node, score) in nodes.iter().zip(scores.iter_mut()) {
            *score = if self.ignored.contains(node.name()) {
                0
            } else if max == 0 {
                MAX_SCORE
            } else {
                MAX_SCORE * (max + min - *score) / max
            };
        }
    }
}
