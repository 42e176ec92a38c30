//! No two pods of a node may claim the same host port.

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeFilter, Plugin, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::{HostPort, PodInfo};

pub struct NodePorts;

struct Wanted<'a>(&'a [HostPort]);

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Filtering<'a> {
        if pod.ports.is_empty() {
            Filtering::Pass
        } else {
            Filtering::Ask(Box::new(Wanted(&pod.ports)))
        }
    }

    fn is_helped_by(&self, pod: &PodInfo, event: &Event<'_>) -> bool {
        match event {
            Event::NodeAdded(_) => true,
            Event::AssignedPodDeleted(gone) => gone.ports.iter().any(|held| {
                pod.ports
                    .iter()
                    .any(|p| p.port == held.port && p.protocol == held.protocol)
            }),
            _ => false,
        }
    }
}

impl NodeFilter for Wanted<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if self.0.iter().any(|port| node.holds_port(port)) {
            return Err(Rejection::resolvable(
                "node(s) didn't have free ports for the requested pod ports",
            ));
        }
        Ok(())
    }
}
