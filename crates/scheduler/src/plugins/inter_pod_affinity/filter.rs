//! Required affinity and anti-affinity, counted once a cycle over all pods, then a look-up a node.

use std::collections::HashMap;

use crate::cache::Cluster;
use crate::framework::{Change, NodeFilter, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::{AffinityTerm, NamespaceLabels, PodInfo};

const AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const EXISTING_ANTI_AFFINITY: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// How often a term matched in a domain: by topology key, then by the domain's value.
#[derive(Default)]
struct Domains(HashMap<String, HashMap<String, i64>>);

impl Domains {
    fn add(&mut self, node: &NodeInfo, key: &str, delta: i64) {
        let Some(value) = node.label(key) else { return };
        let values = match self.0.get_mut(key) {
            Some(values) => values,
            None => self.0.entry(key.to_owned()).or_default(),
        };
        let count = values.get(value).copied().unwrap_or(0) + delta;
        if count == 0 {
            values.remove(value);
        } else {
            values.insert(value.to_owned(), count);
        }
        if values.is_empty() {
            self.0.remove(key);
        }
    }

    fn count(&self, node: &NodeInfo, key: &str) -> i64 {
        let of = |value: &str| self.0.get(key)?.get(value).copied();
        node.label(key).and_then(of).unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The counts that decide whether a node fits one pod.
pub(super) struct Counts<'a> {
    pod: &'a PodInfo,
    namespaces: &'a NamespaceLabels,
    /// Domains that existing pods' anti-affinity closes to the pod.
    closed: Domains,
    /// Existing pods that match *all* of the pod's affinity terms, in each term's domains.
    affinity: Domains,
    /// Existing pods that match one of the pod's anti-affinity terms.
    anti_affinity: Domains,
}

impl<'a> Counts<'a> {
    /// `None` where neither the pod nor any existing pod has a rule that matters.
    pub(super) fn of(pod: &'a PodInfo, cluster: &'a Cluster) -> Option<Self> {
        let mut counts = Self {
            pod,
            namespaces: &cluster.namespaces,
            closed: Domains::default(),
            affinity: Domains::default(),
            anti_affinity: Domains::default(),
        };
        let own_rules = !(pod.required_affinity.is_empty() && pod.required_anti_affinity.is_empty());
        for node in &cluster.nodes {
            if own_rules || node.pods_with_required_anti_affinity > 0 {
                for other in &node.pods {
                    counts.count(other, node, 1);
                }
            }
        }
        (own_rules || !counts.closed.is_empty()).then_some(counts)
    }

    fn count(&mut self, other: &PodInfo, node: &NodeInfo, delta: i64) {
        for term in other
            .required_anti_affinity
            .iter()
            .filter(|term| term.matches(&self.pod.pod, self.namespaces))
        {
            self.closed.add(node, &term.topology_key, delta);
        }
        if matches_all(&self.pod.required_affinity, other, self.namespaces) {
            for term in &self.pod.required_affinity {
                self.affinity.add(node, &term.topology_key, delta);
            }
        }
        for term in self
            .pod
            .required_anti_affinity
            .iter()
            .filter(|term| term.matches(&other.pod, self.namespaces))
        {
            self.anti_affinity.add(node, &term.topology_key, delta);
        }
    }

    fn affinity_holds(&self, node: &NodeInfo) -> bool {
        let terms = &self.pod.required_affinity;
        if !terms.iter().all(|term| node.label(&term.topology_key).is_some()) {
            return false;
        }
        // The first of a series of pods that want to be together has no one to join: it may start anywhere.
        terms
            .iter()
            .all(|term| self.affinity.count(node, &term.topology_key) > 0)
            || self.affinity.is_empty() && matches_all(terms, self.pod, self.namespaces)
    }

    fn anti_affinity_holds(&self, node: &NodeInfo) -> bool {
        let mut terms = self.pod.required_anti_affinity.iter();
        terms.all(|term| self.anti_affinity.count(node, &term.topology_key) <= 0)
    }

    fn is_open(&self, node: &NodeInfo) -> bool {
        self.closed.0.keys().all(|key| self.closed.count(node, key) <= 0)
    }
}

/// Whether the pod matches every term, and there is one.
fn matches_all(terms: &[AffinityTerm], pod: &PodInfo, namespaces: &NamespaceLabels) -> bool {
    !terms.is_empty() && terms.iter().all(|term| term.matches(&pod.pod, namespaces))
}

impl NodeFilter for Counts<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if !self.affinity_holds(node) {
            return Err(Rejection::unresolvable(AFFINITY));
        }
        if !self.anti_affinity_holds(node) {
            return Err(Rejection::resolvable(ANTI_AFFINITY));
        }
        if !self.is_open(node) {
            return Err(Rejection::resolvable(EXISTING_ANTI_AFFINITY));
        }
        Ok(())
    }

    fn simulate(&mut self, other: &PodInfo, node: &NodeInfo, change: Change) {
        self.count(other, node, change.delta());
    }
}
