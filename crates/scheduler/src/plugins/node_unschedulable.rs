//! Keeps pods off nodes that are cordoned, unless they tolerate it.

use api::core::v1::Taint;

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeFilter, Plugin, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct NodeUnschedulable;

struct OnlyOpenNodes;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Filtering<'a> {
        let cordoned = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if api::taints::tolerated(&pod.pod.spec.tolerations, &cordoned) {
            return Filtering::Pass;
        }
        Filtering::Ask(Box::new(OnlyOpenNodes))
    }

    fn is_helped_by(&self, _pod: &PodInfo, event: &Event<'_>) -> bool {
        match event {
            Event::NodeAdded(node) => !node.node.spec.unschedulable,
            Event::NodeChanged { node, change } => change.conditions && !node.node.spec.unschedulable,
            Event::PodChanged { .. } => true,
            _ => false,
        }
    }
}

impl NodeFilter for OnlyOpenNodes {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if !node.node.spec.unschedulable {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) were unschedulable"))
    }
}
