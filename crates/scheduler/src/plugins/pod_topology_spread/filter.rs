//! `DoNotSchedule`: no domain may hold more than `maxSkew` above the emptiest one.

use std::collections::{BTreeMap, HashMap};

use crate::cache::Cluster;
use crate::framework::{Change, NodeFilter, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, SpreadConstraint};

use super::{counts_node, has_all_keys, matching_pods};

const MISMATCH: &str = "node(s) didn't match pod topology spread constraints";
const MISSING_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

pub(super) struct Spread<'a> {
    pod: &'a PodInfo,
    constraints: Vec<SpreadConstraint>,
    /// By constraint.
    domains: Vec<Domains>,
}

/// Matching pods by domain, and how many domains hold how many, so that the minimum stays at hand.
#[derive(Default)]
struct Domains {
    pods: HashMap<String, i64>,
    histogram: BTreeMap<i64, usize>,
}

impl Domains {
    fn add(&mut self, domain: &str, delta: i64) {
        let count = match self.pods.get_mut(domain) {
            Some(count) => {
                if let Some(holders) = self.histogram.get_mut(count) {
                    *holders -= 1;
                    if *holders == 0 {
                        self.histogram.remove(count);
                    }
                }
                count
            }
            None => self.pods.entry(domain.to_owned()).or_insert(0),
        };
        *count += delta;
        *self.histogram.entry(*count).or_default() += 1;
    }

    /// Pods in the emptiest domain; with fewer domains than asked for, those that are missing count as empty.
    fn minimum(&self, min_domains: usize) -> i64 {
        if self.pods.len() < min_domains {
            0
        } else {
            self.histogram.keys().next().copied().unwrap_or(0)
        }
    }
}

impl<'a> Spread<'a> {
    pub(super) fn of(constraints: Vec<SpreadConstraint>, pod: &'a PodInfo, cluster: &Cluster) -> Self {
        let mut domains: Vec<_> = constraints.iter().map(|_| Domains::default()).collect();
        for node in cluster
            .nodes
            .iter()
            .filter(|node| has_all_keys(&constraints, node))
        {
            for (constraint, domains) in constraints.iter().zip(&mut domains) {
                if let Some(domain) = node.label(&constraint.topology_key)
                    && counts_node(constraint, pod, node)
                {
                    domains.add(domain, matching_pods(constraint, pod.namespace(), node));
                }
            }
        }
        Self {
            pod,
            constraints,
            domains,
        }
    }
}

impl NodeFilter for Spread<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        for (constraint, domains) in self.constraints.iter().zip(&self.domains) {
            let Some(domain) = node.label(&constraint.topology_key) else {
                return Err(Rejection::unresolvable(MISSING_LABEL));
            };
            let own = i64::from(constraint.selector.matches(&self.pod.pod.metadata.labels));
            let there = domains.pods.get(domain).copied().unwrap_or(0);
            if there + own - domains.minimum(constraint.min_domains) > constraint.max_skew {
                return Err(Rejection::resolvable(MISMATCH));
            }
        }
        Ok(())
    }

    fn simulate(&mut self, other: &PodInfo, node: &NodeInfo, change: Change) {
        if other.namespace() != self.pod.namespace() || !has_all_keys(&self.constraints, node) {
            return;
        }
        for (constraint, domains) in self.constraints.iter().zip(&mut self.domains) {
            if let Some(domain) = node.label(&constraint.topology_key)
                && constraint.selector.matches(&other.pod.metadata.labels)
                && counts_node(constraint, self.pod, node)
            {
                domains.add(domain, change.delta());
            }
        }
    }
}
