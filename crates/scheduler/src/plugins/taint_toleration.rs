//! Keeps pods off nodes whose taints they don't tolerate, and away from those tainted `PreferNoSchedule`.

use api::core::v1::{Taint, Toleration};

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeFilter, NodeScore, Plugin, Rejection, normalize_to_max};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct TaintToleration;

struct Hard<'a>(&'a [Toleration]);
struct Soft<'a>(Vec<&'a Toleration>);

/// The first taint that keeps a pod from being scheduled.
pub fn untolerated<'n>(tolerations: &[Toleration], node: &'n NodeInfo) -> Option<&'n Taint> {
    let hard = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    node.node
        .spec
        .taints
        .iter()
        .filter(hard)
        .find(|taint| !api::taints::tolerated(tolerations, taint))
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Filtering<'a> {
        Filtering::Ask(Box::new(Hard(&pod.pod.spec.tolerations)))
    }

    fn score<'a>(
        &'a self,
        pod: &'a PodInfo,
        _cluster: &'a Cluster,
        _feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        // An empty effect tolerates all effects.
        let soft = |t: &&Toleration| t.effect.is_empty() || t.effect == "PreferNoSchedule";
        Some(Box::new(Soft(
            pod.pod.spec.tolerations.iter().filter(soft).collect(),
        )))
    }

    fn is_helped_by(&self, pod: &PodInfo, event: &Event<'_>) -> bool {
        match event {
            Event::NodeAdded(node) => untolerated(&pod.pod.spec.tolerations, node).is_none(),
            Event::NodeChanged { node, change } => {
                change.taints && untolerated(&pod.pod.spec.tolerations, node).is_none()
            }
            Event::PodChanged { old } => old.pod.spec.tolerations != pod.pod.spec.tolerations,
            _ => false,
        }
    }
}

impl NodeFilter for Hard<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        match untolerated(self.0, node) {
            None => Ok(()),
            Some(_) => Err(Rejection::unresolvable("node(s) had untolerated taint(s)")),
        }
    }
}

impl NodeScore for Soft<'_> {
    /// How many taints the pod would rather avoid.
    fn score(&self, node: &NodeInfo) -> i64 {
        let soft = node
            .node
            .spec
            .taints
            .iter()
            .filter(|taint| taint.effect == "PreferNoSchedule");
        soft.filter(|taint| {
            !self
                .0
                .iter()
                .any(|toleration| api::taints::tolerates(toleration, taint))
        })
        .count() as i64
    }

    fn normalize(&self, _nodes: &[&NodeInfo], scores: &mut [i64]) {
        normalize_to_max(scores, true);
    }
}
