//! A pod that names its node runs there or nowhere.

use crate::cache::Cluster;
use crate::framework::{Event, Filtering, NodeFilter, Plugin, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct NodeName;

struct Wanted<'a>(&'a str);

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter<'a>(&'a self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Filtering<'a> {
        match pod.pod.spec.node_name.as_str() {
            "" => Filtering::Pass,
            name => Filtering::Ask(Box::new(Wanted(name))),
        }
    }

    fn is_helped_by(&self, _pod: &PodInfo, event: &Event<'_>) -> bool {
        matches!(event, Event::NodeAdded(_))
    }
}

impl NodeFilter for Wanted<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if node.name() == self.0 {
            return Ok(());
        }
        Err(Rejection::unresolvable(
            "node(s) didn't match the requested node name",
        ))
    }
}
