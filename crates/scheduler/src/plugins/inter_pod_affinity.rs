//! Pods that want to be, or must not be, in one topology domain with certain other pods.

mod filter;
mod score;

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeScore, Plugin};
use crate::node_info::NodeInfo;
use crate::pod_info::{NamespaceLabels, PodInfo};

/// What a matching required affinity term of an existing pod adds to a node's score, unless configured.
const DEFAULT_HARD_POD_AFFINITY_WEIGHT: i64 = 1;

pub struct InterPodAffinity {
    /// Weight of an existing pod's required affinity to the pod being scheduled.
    pub hard_pod_affinity_weight: i64,
    /// Leave out what existing pods prefer when the pod itself prefers nothing.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self {
            hard_pod_affinity_weight: DEFAULT_HARD_POD_AFFINITY_WEIGHT,
            ignore_preferred_terms_of_existing_pods: false,
        }
    }
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, cluster: &'a Cluster) -> Filtering<'a> {
        match filter::Counts::of(pod, cluster) {
            Some(counts) => Filtering::Ask(Box::new(counts)),
            None => Filtering::Pass,
        }
    }

    fn score<'a>(
        &'a self,
        pod: &'a PodInfo,
        cluster: &'a Cluster,
        _feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        score::Preference::of(self, pod, cluster).map(|scorer| Box::new(scorer) as Box<dyn NodeScore>)
    }

    fn is_helped_by(&self, pod: &PodInfo, event: &Event<'_>) -> bool {
        // The namespaces' labels are not at hand: a term with a namespace selector is taken to match.
        let selects = |other: &PodInfo| {
            let no_labels = NamespaceLabels::new();
            let of_pod = pod.required_affinity.iter().chain(&pod.required_anti_affinity);
            let of_other = other.required_anti_affinity.iter();
            of_pod
                .clone()
                .chain(of_other.clone())
                .any(|term| term.namespace_selector.is_some())
                || of_pod
                    .into_iter()
                    .any(|term| term.matches(&other.pod, &no_labels))
                || of_other
                    .into_iter()
                    .any(|term| term.matches(&pod.pod, &no_labels))
        };
        match event {
            Event::NodeAdded(_) => true,
            Event::NodeChanged { change, .. } => change.labels,
            Event::AssignedPodAdded(other) | Event::AssignedPodDeleted(other) => selects(other),
            Event::AssignedPodChanged { old, new } => {
                old.pod.metadata.labels != new.pod.metadata.labels && (selects(old) || selects(new))
            }
            Event::PodChanged { old } => old.pod.metadata.labels != pod.pod.metadata.labels,
            _ => false,
        }
    }
}
