//! What the scheduler keeps of a node: the node, the pods on it, and sums over them.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::Node;

use crate::pod_info::{HostPort, PodInfo};
use crate::resources::Resources;

/// A node and the pods that run on it or were assumed to.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    pub node: Arc<Node>,
    pub allocatable: Resources,
    pub requested: Resources,
    /// Sum of the pods' [`PodInfo::scoring_requests`].
    pub scoring_requested: Resources,
    pub pods: Vec<Arc<PodInfo>>,
    pub pods_with_affinity: usize,
    pub pods_with_required_anti_affinity: usize,
    ports: Vec<HostPort>,
    /// Bytes of the images on the node, by each of their names.
    images: Arc<BTreeMap<String, i64>>,
}

impl NodeInfo {
    pub fn new(node: Arc<Node>) -> Self {
        let mut info = Self {
            node: node.clone(),
            allocatable: Resources::default(),
            requested: Resources::default(),
            scoring_requested: Resources::default(),
            pods: Vec::new(),
            pods_with_affinity: 0,
            pods_with_required_anti_affinity: 0,
            ports: Vec::new(),
            images: Arc::default(),
        };
        info.set_node(node);
        info
    }

    pub fn set_node(&mut self, node: Arc<Node>) {
        self.allocatable = Resources::from_list(&node.status.allocatable);
        let images = node.status.images.iter();
        self.images = Arc::new(
            images
                .flat_map(|image| image.names.iter().map(|name| (name.clone(), image.size_bytes)))
                .collect(),
        );
        self.node = node;
    }

    pub fn name(&self) -> &str {
        &self.node.metadata.name
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.node.metadata.labels.get(key).map(String::as_str)
    }

    pub fn images(&self) -> &Arc<BTreeMap<String, i64>> {
        &self.images
    }

    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.scoring_requested.add(&pod.scoring_requests);
        self.ports.extend(pod.ports.iter().cloned());
        self.pods_with_affinity += usize::from(pod.has_affinity());
        self.pods_with_required_anti_affinity += usize::from(!pod.required_anti_affinity.is_empty());
        self.pods.push(pod);
    }

    /// Takes the pod with this uid away, and returns it if it was there.
    pub fn remove_pod(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let at = self.pods.iter().position(|pod| pod.uid() == uid)?;
        let pod = self.pods.swap_remove(at);
        self.requested.subtract(&pod.requests);
        self.scoring_requested.subtract(&pod.scoring_requests);
        for port in &pod.ports {
            if let Some(at) = self.ports.iter().position(|have| have == port) {
                self.ports.swap_remove(at);
            }
        }
        self.pods_with_affinity -= usize::from(pod.has_affinity());
        self.pods_with_required_anti_affinity -= usize::from(!pod.required_anti_affinity.is_empty());
        Some(pod)
    }

    /// Whether a pod here holds a port that `wanted` overlaps: same protocol and port on the same address or on all.
    pub fn holds_port(&self, wanted: &HostPort) -> bool {
        self.ports.iter().any(|held| {
            held.port == wanted.port
                && held.protocol == wanted.protocol
                && (held.ip == wanted.ip || held.ip == "0.0.0.0" || wanted.ip == "0.0.0.0")
        })
    }
}
