//! Preferred affinity and anti-affinity, both the pod's own and those of the pods that are there.

use std::collections::HashMap;

use crate::cache::Cluster;
use crate::framework::{MAX_SCORE, NodeScore};
use crate::node_info::NodeInfo;
use crate::pod_info::{AffinityTerm, PodInfo};

use super::InterPodAffinity;

/// Summed weights by topology key and domain.
pub(super) struct Preference(HashMap<String, HashMap<String, i64>>);

impl Preference {
    /// `None` where no rule prefers anything.
    pub(super) fn of(plugin: &InterPodAffinity, pod: &PodInfo, cluster: &Cluster) -> Option<Self> {
        let prefers = !(pod.preferred_affinity.is_empty() && pod.preferred_anti_affinity.is_empty());
        if plugin.ignore_preferred_terms_of_existing_pods && !prefers {
            return None;
        }
        let mut out = Self(HashMap::new());
        for node in cluster
            .nodes
            .iter()
            .filter(|node| prefers || node.pods_with_affinity > 0)
        {
            for other in node.pods.iter().filter(|other| prefers || other.has_affinity()) {
                out.weigh_pair(plugin, pod, other, node, cluster);
            }
        }
        (!out.0.is_empty()).then_some(out)
    }

    fn weigh_pair(
        &mut self,
        plugin: &InterPodAffinity,
        pod: &PodInfo,
        other: &PodInfo,
        node: &NodeInfo,
        cluster: &Cluster,
    ) {
        let mut add = |term: &AffinityTerm, subject: &PodInfo, weight: i64| {
            if weight != 0 && term.matches(&subject.pod, &cluster.namespaces) {
                self.add(node, &term.topology_key, weight);
            }
        };
        for wish in &pod.preferred_affinity {
            add(&wish.term, other, wish.weight);
        }
        for wish in &pod.preferred_anti_affinity {
            add(&wish.term, other, -wish.weight);
        }
        for term in &other.required_affinity {
            add(term, pod, plugin.hard_pod_affinity_weight);
        }
        for wish in &other.preferred_affinity {
            add(&wish.term, pod, wish.weight);
        }
        for wish in &other.preferred_anti_affinity {
            add(&wish.term, pod, -wish.weight);
        }
    }

    fn add(&mut self, node: &NodeInfo, key: &str, weight: i64) {
        if let Some(value) = node.label(key) {
            *self
                .0
                .entry(key.to_owned())
                .or_default()
                .entry(value.to_owned())
                .or_default() += weight;
        }
    }
}

impl NodeScore for Preference {
    fn score(&self, node: &NodeInfo) -> i64 {
        let of_key =
            |(key, domains): (&String, &HashMap<String, i64>)| domains.get(node.label(key)?).copied();
        self.0.iter().filter_map(of_key).sum()
    }

    fn normalize(&self, _nodes: &[&NodeInfo], scores: &mut [i64]) {
        let (Some(min), Some(max)) = (scores.iter().copied().min(), scores.iter().copied().max()) else {
            return;
        };
        for score in scores {
            let share = if max > min {
                (*score - min) as f64 / (max - min) as f64
            } else {
                0.0
            };
            *score = (MAX_SCORE as f64 * share) as i64;
        }
    }
}
