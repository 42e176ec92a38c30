//! The cluster as the scheduler knows it.
//!
//! A cycle borrows the [`Cluster`], so that nothing changes while it runs and nothing is copied for it. A pod is
//! *assumed* from the moment a node is chosen until the watch shows it bound (or the bind fails), and counts on its
//! node meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::core::v1::Node;

use crate::node_info::NodeInfo;
use crate::owners::Owners;
use crate::pod_info::{NamespaceLabels, PodInfo};

/// What a scheduling cycle sees.
#[derive(Clone, Default)]
pub struct Cluster {
    /// Every known node, interleaved by zone so that a search that stops early sees all zones.
    pub nodes: Vec<NodeInfo>,
    pub namespaces: NamespaceLabels,
    /// On how many nodes each image is, by each of its names.
    pub image_nodes: HashMap<String, usize>,
    /// What default topology spreading groups pods by.
    pub owners: Owners,
    index: HashMap<String, usize>,
}

impl Cluster {
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.index.get(name).map(|at| &self.nodes[*at])
    }

    fn node_mut(&mut self, name: &str) -> Option<&mut NodeInfo> {
        self.index.get(name).map(|at| &mut self.nodes[*at])
    }

    fn count_images(&mut self, images: &BTreeMap<String, i64>, on: bool) {
        for image in images.keys() {
            let count = self.image_nodes.entry(image.clone()).or_default();
            *count = if on { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.image_nodes.remove(image);
            }
        }
    }

    /// Orders the nodes in turn from each zone.
    fn interleave_zones(&mut self) {
        let mut zones: BTreeMap<String, Vec<NodeInfo>> = BTreeMap::new();
        for node in std::mem::take(&mut self.nodes) {
            zones.entry(zone(&node.node)).or_default().push(node);
        }
        let mut queues: Vec<_> = zones
            .into_values()
            .map(|mut nodes| {
                nodes.sort_by(|a, b| a.name().cmp(b.name()));
                nodes.into_iter()
            })
            .collect();
        while !queues.is_empty() {
            queues.retain_mut(|queue| queue.next().map(|node| self.nodes.push(node)).is_some());
        }
        self.reindex();
    }

    fn reindex(&mut self) {
        self.index = self
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (node.name().to_owned(), at))
            .collect();
    }
}

/// The cluster with the bookkeeping that keeps it true.
#[derive(Default)]
pub struct Cache {
    cluster: Cluster,
    /// Pods whose node is not (or no longer) known, by node.
    strays: HashMap<String, Vec<Arc<PodInfo>>>,
    /// Where each pod counts, by uid.
    pods: HashMap<String, Placement>,
    /// A node came, went or changed zone since the nodes were last put in order.
    unordered: bool,
}

struct Placement {
    node: String,
    pod: Arc<PodInfo>,
    assumed: bool,
}

impl Cache {
    /// The cluster as of now, its nodes in search order.
    pub fn cluster(&mut self) -> &Cluster {
        if std::mem::take(&mut self.unordered) {
            self.cluster.interleave_zones();
        }
        &self.cluster
    }

    /// Adds or replaces a node.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone();
        let Some(info) = self.cluster.node_mut(&name) else {
            return self.add_node(name, node);
        };
        self.unordered |= zone(&info.node) != zone(&node);
        let before = info.images().clone();
        info.set_node(node);
        let after = info.images().clone();
        if before != after {
            self.cluster.count_images(&before, false);
            self.cluster.count_images(&after, true);
        }
    }

    fn add_node(&mut self, name: String, node: Arc<Node>) {
        let mut info = NodeInfo::new(node);
        for pod in self.strays.remove(&name).into_iter().flatten() {
            info.add_pod(pod);
        }
        self.cluster.count_images(info.images(), true);
        self.cluster.index.insert(name, self.cluster.nodes.len());
        self.cluster.nodes.push(info);
        self.unordered = true;
    }

    /// Forgets a node; pods that still count on it keep their place until they go.
    pub fn remove_node(&mut self, name: &str) {
        let Some(at) = self.cluster.index.get(name).copied() else {
            return;
        };
        let info = self.cluster.nodes.remove(at);
        self.cluster.count_images(info.images(), false);
        self.cluster.reindex();
        self.unordered = true;
        if !info.pods.is_empty() {
            self.strays.insert(name.to_owned(), info.pods);
        }
    }

    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.cluster.node(name)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.cluster.nodes.iter()
    }

    /// The watch shows the pod on a node: confirms an assumption, or replaces what was known of the pod.
    pub fn set_pod(&mut self, pod: Arc<PodInfo>) {
        self.remove_pod(pod.uid());
        self.place(pod.pod.spec.node_name.clone(), pod, false);
    }

    /// Counts the pod on a node that was chosen for it.
    pub fn assume(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove_pod(pod.uid());
        self.place(node.to_owned(), pod, true);
    }

    /// Takes an assumption back; returns whether there was one.
    pub fn forget(&mut self, uid: &str) -> bool {
        let assumed = self.is_assumed(uid);
        if assumed {
            self.remove_pod(uid);
        }
        assumed
    }

    pub fn is_assumed(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|placement| placement.assumed)
    }

    pub fn remove_pod(&mut self, uid: &str) {
        let Some(placement) = self.pods.remove(uid) else {
            return;
        };
        if let Some(info) = self.cluster.node_mut(&placement.node) {
            info.remove_pod(uid);
        } else if let Some(strays) = self.strays.get_mut(&placement.node) {
            strays.retain(|pod| pod.uid() != uid);
            if strays.is_empty() {
                self.strays.remove(&placement.node);
            }
        }
    }

    /// The pod that counts under this uid.
    pub fn pod(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(uid).map(|placement| &placement.pod)
    }

    /// Uids of the pods that count.
    pub fn pod_uids(&self) -> impl Iterator<Item = &str> {
        self.pods.keys().map(String::as_str)
    }

    pub fn set_namespace(&mut self, name: String, labels: BTreeMap<String, String>) {
        self.cluster.namespaces.insert(name, labels);
    }

    pub fn remove_namespace(&mut self, name: &str) {
        self.cluster.namespaces.remove(name);
    }

    pub fn retain_namespaces(&mut self, keep: impl Fn(&str) -> bool) {
        self.cluster.namespaces.retain(|name, _| keep(name));
    }

    pub fn namespace_labels(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.cluster.namespaces.get(name)
    }

    pub fn owners_mut(&mut self) -> &mut Owners {
        &mut self.cluster.owners
    }

    fn place(&mut self, node: String, pod: Arc<PodInfo>, assumed: bool) {
        match self.cluster.node_mut(&node) {
            Some(info) => info.add_pod(pod.clone()),
            None => self.strays.entry(node.clone()).or_default().push(pod.clone()),
        }
        self.pods
            .insert(pod.uid().to_owned(), Placement { node, pod, assumed });
    }
}

/// Region and zone of a node in one word.
fn zone(node: &Node) -> String {
    let label = |key: &str| node.metadata.labels.get(key).map_or("", String::as_str);
    format!(
        "{}:{}",
        label("topology.kubernetes.io/region"),
        label("topology.kubernetes.io/zone")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{node, pod};

    fn used(cache: &Cache, node: &str) -> Option<i64> {
        cache.node(node).map(|info| info.requested.milli_cpu)
    }

    #[test]
    fn an_assumed_pod_counts_until_forgotten_and_is_confirmed_by_the_watch() {
        let mut cache = Cache::default();
        cache.set_node(node("a").cpu("4").arc());
        cache.assume(pod("p").cpu("1").info(), "a");
        assert!(cache.is_assumed("p"));
        assert_eq!(used(&cache, "a"), Some(1000));
        assert!(cache.forget("p"));
        assert_eq!(used(&cache, "a"), Some(0));

        cache.assume(pod("p").cpu("1").info(), "a");
        cache.set_pod(pod("p").cpu("1").on("a").info());
        assert!(!cache.is_assumed("p"));
        assert!(!cache.forget("p"), "a bound pod is not an assumption");
        assert_eq!(used(&cache, "a"), Some(1000));
    }

    #[test]
    fn pods_of_an_unknown_node_are_kept_until_they_go() {
        let mut cache = Cache::default();
        cache.set_pod(pod("early").cpu("1").on("a").info());
        cache.set_pod(pod("gone").cpu("1").on("a").info());
        assert!(cache.node("a").is_none(), "a pod does not make its node known");
        cache.remove_pod("gone");
        cache.set_node(node("a").arc());
        assert_eq!(used(&cache, "a"), Some(1000));
        cache.remove_node("a");
        assert_eq!(cache.cluster().nodes.len(), 0);
        cache.set_node(node("a").arc());
        assert_eq!(used(&cache, "a"), Some(1000));
    }

    #[test]
    fn nodes_are_interleaved_by_zone() {
        let mut cache = Cache::default();
        for (name, zone) in [("c1", "c"), ("a2", "a"), ("a1", "a"), ("a3", "a"), ("b1", "b")] {
            cache.set_node(node(name).label("topology.kubernetes.io/zone", zone).arc());
        }
        let names: Vec<_> = cache
            .cluster()
            .nodes
            .iter()
            .map(|n| n.name().to_owned())
            .collect();
        assert_eq!(names, ["a1", "b1", "c1", "a2", "a3"]);
        assert_eq!(cache.node("a3").map(NodeInfo::name), Some("a3"));
    }

    #[test]
    fn images_are_counted_over_nodes() {
        let mut cache = Cache::default();
        cache.set_node(node("a").image("web:1", 10).arc());
        cache.set_node(node("b").image("web:1", 10).arc());
        assert_eq!(cache.cluster().image_nodes.get("web:1"), Some(&2));
        cache.set_node(node("b").arc());
        cache.remove_node("a");
        assert_eq!(cache.cluster().image_nodes.get("web:1"), None);
    }
}
