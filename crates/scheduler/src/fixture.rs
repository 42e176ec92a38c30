//! Nodes and pods for tests, in a line each.

use std::sync::Arc;

use api::core::v1::{
    Affinity, Container, ContainerImage, ContainerPort, Node, Pod, PodAffinity, PodAffinityTerm,
    PodAntiAffinity, Taint, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use api::meta::v1::{LabelSelector, OwnerReference};
use apimachinery::quantity::Quantity;

use crate::cache::Cache;
use crate::pod_info::PodInfo;

pub struct NodeFixture(Node);
pub struct PodFixture(Pod);

/// A node of 4 cores, 8 GiB and 110 pods, labelled with its host name.
pub fn node(name: &str) -> NodeFixture {
    let mut node = Node::default();
    node.metadata.name = name.to_owned();
    NodeFixture(node)
        .label("kubernetes.io/hostname", name)
        .amount("cpu", "4")
        .amount("memory", "8Gi")
        .amount("pods", "110")
}

/// A pod of one container without requests; its uid is its name.
pub fn pod(name: &str) -> PodFixture {
    let mut pod = Pod::default();
    pod.metadata.name = name.to_owned();
    pod.metadata.uid = name.to_owned();
    pod.metadata.namespace = "default".to_owned();
    pod.spec.scheduler_name = "default-scheduler".to_owned();
    pod.spec.containers.push(Container {
        name: "main".to_owned(),
        image: "web:1".to_owned(),
        ..Container::default()
    });
    PodFixture(pod)
}

pub fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).expect("a valid quantity")
}

impl NodeFixture {
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.metadata.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn amount(mut self, resource: &str, amount: &str) -> Self {
        self.0
            .status
            .allocatable
            .insert(resource.to_owned(), quantity(amount));
        self
    }

    pub fn cpu(self, amount: &str) -> Self {
        self.amount("cpu", amount)
    }

    pub fn taint(mut self, key: &str, effect: &str) -> Self {
        self.0.spec.taints.push(Taint {
            key: key.to_owned(),
            effect: effect.to_owned(),
            ..Taint::default()
        });
        self
    }

    pub fn cordoned(mut self) -> Self {
        self.0.spec.unschedulable = true;
        self
    }

    pub fn image(mut self, name: &str, megabytes: i64) -> Self {
        let size_bytes = megabytes * 1024 * 1024;
        self.0.status.images.push(ContainerImage {
            names: vec![name.to_owned()],
            size_bytes,
        });
        self
    }

    pub fn arc(self) -> Arc<Node> {
        Arc::new(self.0)
    }
}

impl PodFixture {
    pub fn amount(mut self, resource: &str, amount: &str) -> Self {
        self.0.spec.containers[0]
            .resources
            .requests
            .insert(resource.to_owned(), quantity(amount));
        self
    }

    pub fn cpu(self, amount: &str) -> Self {
        self.amount("cpu", amount)
    }

    pub fn on(mut self, node: &str) -> Self {
        self.0.spec.node_name = node.to_owned();
        self
    }

    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.metadata.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn priority(mut self, priority: i32) -> Self {
        self.0.spec.priority = Some(priority);
        self
    }

    pub fn host_port(mut self, port: i32) -> Self {
        self.0.spec.containers[0].ports.push(ContainerPort {
            host_port: port,
            ..ContainerPort::default()
        });
        self
    }

    pub fn node_selector(mut self, key: &str, value: &str) -> Self {
        self.0.spec.node_selector.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn owner(mut self, api_version: &str, kind: &str, name: &str) -> Self {
        self.0.metadata.owner_references.push(OwnerReference {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        });
        self
    }

    fn affinity(&mut self) -> &mut Affinity {
        self.0.spec.affinity.get_or_insert_default()
    }

    pub fn with(mut self, key: &str, value: &str, topology_key: &str) -> Self {
        let term = term(key, value, topology_key);
        let together: &mut PodAffinity = self.affinity().pod_affinity.get_or_insert_default();
        together
            .required_during_scheduling_ignored_during_execution
            .push(term);
        self
    }

    pub fn apart(mut self, key: &str, value: &str, topology_key: &str) -> Self {
        let term = term(key, value, topology_key);
        let apart: &mut PodAntiAffinity = self.affinity().pod_anti_affinity.get_or_insert_default();
        apart
            .required_during_scheduling_ignored_during_execution
            .push(term);
        self
    }

    pub fn rather_with(mut self, key: &str, value: &str, topology_key: &str, weight: i32) -> Self {
        let term = WeightedPodAffinityTerm {
            weight,
            pod_affinity_term: term(key, value, topology_key),
        };
        let together: &mut PodAffinity = self.affinity().pod_affinity.get_or_insert_default();
        together
            .preferred_during_scheduling_ignored_during_execution
            .push(term);
        self
    }

    pub fn spread(mut self, key: &str, value: &str, topology_key: &str, max_skew: i32) -> Self {
        self.0
            .spec
            .topology_spread_constraints
            .push(TopologySpreadConstraint {
                max_skew,
                topology_key: topology_key.to_owned(),
                when_unsatisfiable: "DoNotSchedule".to_owned(),
                label_selector: Some(Box::new(selector(key, value))),
                ..TopologySpreadConstraint::default()
            });
        self
    }

    pub fn edit(mut self, edit: impl FnOnce(&mut Pod)) -> Self {
        edit(&mut self.0);
        self
    }

    pub fn info(self) -> Arc<PodInfo> {
        Arc::new(PodInfo::new(Arc::new(self.0)))
    }
}

fn selector(key: &str, value: &str) -> LabelSelector {
    let mut selector = LabelSelector::default();
    selector.match_labels.insert(key.to_owned(), value.to_owned());
    selector
}

fn term(key: &str, value: &str, topology_key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        label_selector: Some(Box::new(selector(key, value))),
        topology_key: topology_key.to_owned(),
        ..PodAffinityTerm::default()
    }
}

/// A cache of these nodes and bound pods.
pub fn cache(nodes: Vec<NodeFixture>, pods: Vec<PodFixture>) -> Cache {
    let mut cache = Cache::default();
    for node in nodes {
        cache.set_node(node.arc());
    }
    for pod in pods {
        cache.set_pod(pod.info());
    }
    cache
}
