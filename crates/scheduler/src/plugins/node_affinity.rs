//! `nodeSelector` and node affinity: the pod's, and those that the profile adds.

use std::collections::BTreeSet;

use api::core::v1::{NodeAffinity as Affinity, NodeSelector, PreferredSchedulingTerm};

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeFilter, NodeScore, Plugin, Rejection, normalize_to_max};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

const MISMATCH: &str = "node(s) didn't match Pod's node affinity/selector";
const ENFORCED_MISMATCH: &str = "node(s) didn't match scheduler-enforced node affinity";
const CONFLICT: &str = "pod affinity terms conflict";

#[derive(Default)]
pub struct NodeAffinity {
    /// The profile's `addedAffinity`: holds for every pod, beside its own.
    pub added: Option<Affinity>,
}

struct Required<'a> {
    pod: &'a PodInfo,
    added: Option<&'a NodeSelector>,
}

struct Preferred<'a>(Vec<&'a PreferredSchedulingTerm>);

fn pod_affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.pod.spec.affinity.as_deref()?.node_affinity.as_deref()
}

fn required(affinity: Option<&Affinity>) -> Option<&NodeSelector> {
    affinity?
        .required_during_scheduling_ignored_during_execution
        .as_deref()
}

/// The names that the terms pin the pod to; `None` if some term pins none.
fn pinned_names(selector: &NodeSelector) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for term in &selector.node_selector_terms {
        let by_name = term
            .match_fields
            .iter()
            .filter(|r| r.key == "metadata.name" && r.operator == "In");
        let sets = by_name.map(|r| r.values.iter().cloned().collect::<BTreeSet<_>>());
        names.extend(sets.reduce(|a, b| a.intersection(&b).cloned().collect())?);
    }
    Some(names)
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Filtering<'a> {
        let own = required(pod_affinity(pod));
        let added = required(self.added.as_ref());
        if own.is_none() && added.is_none() && pod.pod.spec.node_selector.is_empty() {
            return Filtering::Pass;
        }
        let filter = Box::new(Required { pod, added });
        match own
            .filter(|selector| !selector.node_selector_terms.is_empty())
            .and_then(pinned_names)
        {
            None => Filtering::Ask(filter),
            Some(names) if names.is_empty() => Filtering::Reject(Rejection::unresolvable(CONFLICT)),
            Some(names) => Filtering::AskOnly(names, filter),
        }
    }

    fn score<'a>(
        &'a self,
        pod: &'a PodInfo,
        _cluster: &'a Cluster,
        _feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        let both = pod_affinity(pod).into_iter().chain(&self.added);
        let terms: Vec<_> = both
            .flat_map(|a| &a.preferred_during_scheduling_ignored_during_execution)
            .collect();
        if terms.is_empty() {
            None
        } else {
            Some(Box::new(Preferred(terms)))
        }
    }

    fn is_helped_by(&self, pod: &PodInfo, event: &Event<'_>) -> bool {
        let fits = |node: &NodeInfo| {
            Required {
                pod,
                added: required(self.added.as_ref()),
            }
            .check(node)
            .is_ok()
        };
        match event {
            Event::NodeAdded(node) => fits(node),
            Event::NodeChanged { node, change } => change.labels && fits(node),
            _ => false,
        }
    }
}

impl NodeFilter for Required<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if self
            .added
            .is_some_and(|selector| !api::node_affinity::selector_matches(selector, &node.node))
        {
            return Err(Rejection::unresolvable(ENFORCED_MISMATCH));
        }
        if !api::node_affinity::pod_matches_node(&self.pod.pod.spec, &node.node) {
            return Err(Rejection::unresolvable(MISMATCH));
        }
        Ok(())
    }
}

impl NodeScore for Preferred<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let fits =
            |term: &&&PreferredSchedulingTerm| api::node_affinity::term_matches(&term.preference, &node.node);
        self.0
            .iter()
            .filter(fits)
            .map(|term| i64::from(term.weight))
            .sum()
    }

    fn normalize(&self, _nodes: &[&NodeInfo], scores: &mut [i64]) {
        normalize_to_max(scores, false);
    }
}
