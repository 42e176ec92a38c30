//! NodeResourcesFit: filters by free capacity, scores by the configured strategy.

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeFilter, NodeScore, Plugin, Rejection, Remedy};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::resources::is_extended;

use super::strategy::Strategy;

#[derive(Default)]
pub struct Fit {
    pub strategy: Strategy,
    /// Extended resources that someone else accounts for.
    pub ignored_resources: Vec<String>,
    /// Their domains.
    pub ignored_resource_groups: Vec<String>,
}

struct Free<'a> {
    plugin: &'a Fit,
    pod: &'a PodInfo,
}

/// A resource that a node lacks.
struct Shortage {
    reason: String,
    /// More than the node would have were it empty.
    beyond_capacity: bool,
}

impl Fit {
    fn ignores(&self, resource: &str) -> bool {
        is_extended(resource)
            && (self.ignored_resources.iter().any(|name| name == resource)
                || self
                    .ignored_resource_groups
                    .iter()
                    .any(|group| resource.split('/').next() == Some(group)))
    }

    fn shortages(&self, pod: &PodInfo, node: &NodeInfo) -> Vec<Shortage> {
        let mut out = Vec::new();
        if node.pods.len() as i64 + 1 > node.allocatable.pods {
            out.push(Shortage {
                reason: "Too many pods".to_owned(),
                beyond_capacity: false,
            });
        }
        if pod.requests.is_empty() {
            return out;
        }
        let mut check = |name: &str, wanted: i64| {
            let capacity = node.allocatable.get(name);
            if wanted > 0 && wanted > capacity - node.requested.get(name) {
                out.push(Shortage {
                    reason: format!("Insufficient {name}"),
                    beyond_capacity: wanted > capacity,
                });
            }
        };
        check("cpu", pod.requests.milli_cpu);
        check("memory", pod.requests.memory);
        check("ephemeral-storage", pod.requests.ephemeral_storage);
        for (name, wanted) in pod.requests.scalars().filter(|(name, _)| !self.ignores(name)) {
            check(name, wanted);
        }
        out
    }
}

impl Plugin for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Filtering<'a> {
        Filtering::Ask(Box::new(Free { plugin: self, pod }))
    }

    fn score<'a>(
        &'a self,
        pod: &'a PodInfo,
        _cluster: &'a Cluster,
        _feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        Some(self.strategy.scorer(pod))
    }

    fn is_helped_by(&self, pod: &PodInfo, event: &Event<'_>) -> bool {
        let fits = |node: &NodeInfo| self.shortages(pod, node).is_empty();
        match event {
            Event::NodeAdded(node) => fits(node),
            Event::NodeChanged { node, change } => change.allocatable && fits(node),
            // Whatever it held might be just what is missing; every pod frees a place at least.
            Event::AssignedPodDeleted(_) => true,
            Event::AssignedPodChanged { old, new } => old.requests != new.requests,
            Event::PodChanged { old } => old.requests != pod.requests,
            _ => false,
        }
    }
}

impl NodeFilter for Free<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        let shortages = self.plugin.shortages(self.pod, node);
        if shortages.is_empty() {
            return Ok(());
        }
        let remedy = if shortages.iter().any(|s| s.beyond_capacity) {
            Remedy::None
        } else {
            Remedy::Preemption
        };
        Err(Rejection {
            reasons: shortages.into_iter().map(|s| s.reason).collect(),
            remedy,
        })
    }
}
