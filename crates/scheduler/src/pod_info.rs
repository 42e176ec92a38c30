//! What the scheduler keeps of a pod: identity, amounts, and its rules compiled for matching.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::core::v1::{Pod, PodAffinityTerm, TopologySpreadConstraint, WeightedPodAffinityTerm};
use api::meta::v1::LabelSelector;
use apimachinery::labels::{Requirement, Selector};

use crate::resources::{DEFAULT_MEMORY, DEFAULT_MILLI_CPU, Resources};

/// A pod, compiled once when it is first seen.
#[derive(Clone, Debug)]
pub struct PodInfo {
    pub pod: Arc<Pod>,
    pub requests: Resources,
    /// `requests`, with defaults for containers that ask for no CPU or memory: what scoring counts.
    pub scoring_requests: Resources,
    pub ports: Vec<HostPort>,
    pub required_affinity: Vec<AffinityTerm>,
    pub required_anti_affinity: Vec<AffinityTerm>,
    pub preferred_affinity: Vec<WeightedTerm>,
    pub preferred_anti_affinity: Vec<WeightedTerm>,
}

/// A port of the node that a container claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// `0.0.0.0` for every address of the node.
    pub ip: String,
    pub protocol: String,
    pub port: i32,
}

/// Which pods, and what "together" means for them.
#[derive(Clone, Debug)]
pub struct AffinityTerm {
    pub selector: Selector,
    pub namespaces: Vec<String>,
    /// Selects further namespaces by their labels; `None` where the term has no namespace selector.
    pub namespace_selector: Option<Selector>,
    pub topology_key: String,
}

#[derive(Clone, Debug)]
pub struct WeightedTerm {
    pub term: AffinityTerm,
    pub weight: i64,
}

/// Labels of namespaces by name.
pub type NamespaceLabels = HashMap<String, BTreeMap<String, String>>;

impl AffinityTerm {
    /// Whether the term speaks of `pod`.
    pub fn matches(&self, pod: &Pod, namespaces: &NamespaceLabels) -> bool {
        self.covers_namespace(&pod.metadata.namespace, namespaces)
            && self.selector.matches(&pod.metadata.labels)
    }

    fn covers_namespace(&self, namespace: &str, labels: &NamespaceLabels) -> bool {
        self.namespaces.iter().any(|ns| ns == namespace)
            || self
                .namespace_selector
                .as_ref()
                .is_some_and(|selector| match labels.get(namespace) {
                    Some(labels) => selector.matches(labels),
                    None => selector.is_everything(),
                })
    }

    fn compile(term: &PodAffinityTerm, namespace: &str) -> Self {
        let namespaces = if term.namespaces.is_empty() && term.namespace_selector.is_none() {
            vec![namespace.to_owned()]
        } else {
            term.namespaces.clone()
        };
        Self {
            selector: compile_selector(term.label_selector.as_deref()),
            namespaces,
            namespace_selector: term
                .namespace_selector
                .as_deref()
                .map(|selector| compile_selector(Some(selector))),
            topology_key: term.topology_key.clone(),
        }
    }
}

/// The selector of a rule; one that does not parse (validation lets none through) matches nothing, as none does.
pub fn compile_selector(selector: Option<&LabelSelector>) -> Selector {
    match selector {
        None => Selector::nothing(),
        Some(selector) => {
            api::selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing())
        }
    }
}

impl PodInfo {
    pub fn new(pod: Arc<Pod>) -> Self {
        let requests = Resources::from_list(&api::pod_requests::pod_requests(&pod));
        let namespace = pod.metadata.namespace.as_str();
        let affinity = pod.spec.affinity.as_deref();
        let required = |terms: Option<&Vec<PodAffinityTerm>>| -> Vec<AffinityTerm> {
            terms
                .into_iter()
                .flatten()
                .map(|term| AffinityTerm::compile(term, namespace))
                .collect()
        };
        let preferred = |terms: Option<&Vec<WeightedPodAffinityTerm>>| -> Vec<WeightedTerm> {
            let compile = |weighted: &WeightedPodAffinityTerm| WeightedTerm {
                term: AffinityTerm::compile(&weighted.pod_affinity_term, namespace),
                weight: i64::from(weighted.weight),
            };
            terms.into_iter().flatten().map(compile).collect()
        };
        let together = affinity.and_then(|affinity| affinity.pod_affinity.as_deref());
        let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_deref());
        Self {
            scoring_requests: scoring_requests(&pod, &requests),
            ports: host_ports(&pod),
            required_affinity: required(
                together.map(|a| &a.required_during_scheduling_ignored_during_execution),
            ),
            required_anti_affinity: required(
                apart.map(|a| &a.required_during_scheduling_ignored_during_execution),
            ),
            preferred_affinity: preferred(
                together.map(|a| &a.preferred_during_scheduling_ignored_during_execution),
            ),
            preferred_anti_affinity: preferred(
                apart.map(|a| &a.preferred_during_scheduling_ignored_during_execution),
            ),
            requests,
            pod,
        }
    }

    /// A pod that has a node: of its spec and status only what matters to other pods is kept.
    pub fn bound(pod: Pod) -> Self {
        let mut info = Self::new(Arc::new(pod));
        let full = &info.pod;
        let mut slim = Pod::default();
        slim.metadata.name.clone_from(&full.metadata.name);
        slim.metadata.namespace.clone_from(&full.metadata.namespace);
        slim.metadata.uid.clone_from(&full.metadata.uid);
        slim.metadata.labels.clone_from(&full.metadata.labels);
        slim.metadata.deletion_timestamp = full.metadata.deletion_timestamp;
        slim.spec.node_name.clone_from(&full.spec.node_name);
        slim.spec.priority = full.spec.priority;
        slim.status.start_time = full.status.start_time;
        let disruption = full
            .status
            .conditions
            .iter()
            .filter(|condition| condition.type_ == "DisruptionTarget");
        slim.status.conditions = disruption.cloned().collect();
        info.pod = Arc::new(slim);
        info
    }

    pub fn namespace(&self) -> &str {
        &self.pod.metadata.namespace
    }

    pub fn uid(&self) -> &str {
        &self.pod.metadata.uid
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.pod.metadata.namespace, self.pod.metadata.name)
    }

    pub fn priority(&self) -> i32 {
        self.pod.spec.priority.unwrap_or(0)
    }

    pub fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    pub fn has_affinity(&self) -> bool {
        !(self.required_affinity.is_empty()
            && self.required_anti_affinity.is_empty()
            && self.preferred_affinity.is_empty()
            && self.preferred_anti_affinity.is_empty())
    }
}

fn host_ports(pod: &Pod) -> Vec<HostPort> {
    // Sidecars keep their ports for the life of the pod; other init containers are gone when the rest runs.
    let sidecars = pod
        .spec
        .init_containers
        .iter()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = pod
        .spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| &container.ports);
    ports
        .filter(|port| port.host_port > 0)
        .map(|port| HostPort {
            ip: if port.host_ip.is_empty() {
                "0.0.0.0".to_owned()
            } else {
                port.host_ip.clone()
            },
            protocol: if port.protocol.is_empty() {
                "TCP".to_owned()
            } else {
                port.protocol.clone()
            },
            port: port.host_port,
        })
        .collect()
}

fn scoring_requests(pod: &Pod, requests: &Resources) -> Resources {
    let of_pod = |name: &str| {
        pod.spec
            .resources
            .as_deref()
            .is_some_and(|r| r.requests.contains_key(name))
    };
    // How many containers ask for none, where the pod itself does not either.
    let missing = |name: &str| {
        let silent = pod
            .spec
            .containers
            .iter()
            .filter(|c| !c.resources.requests.contains_key(name))
            .count();
        if of_pod(name) { 0 } else { silent as i64 }
    };
    let mut out = requests.clone();
    out.milli_cpu = out.milli_cpu.saturating_add(missing("cpu") * DEFAULT_MILLI_CPU);
    out.memory = out.memory.saturating_add(missing("memory") * DEFAULT_MEMORY);
    out
}

/// A topology spread constraint, compiled for the pod that bears it.
#[derive(Clone, Debug)]
pub struct SpreadConstraint {
    pub max_skew: i64,
    pub min_domains: usize,
    pub topology_key: String,
    pub selector: Selector,
    pub honor_affinity: bool,
    pub honor_taints: bool,
}

impl SpreadConstraint {
    /// The pod's own constraints of one kind: `DoNotSchedule` or `ScheduleAnyway`.
    pub fn of_pod(pod: &Pod, when_unsatisfiable: &str) -> Vec<Self> {
        let wanted = pod.spec.topology_spread_constraints.iter();
        wanted
            .filter(|constraint| constraint.when_unsatisfiable == when_unsatisfiable)
            .map(|constraint| Self::compile(constraint, &pod.metadata.labels))
            .collect()
    }

    pub fn compile(constraint: &TopologySpreadConstraint, pod_labels: &BTreeMap<String, String>) -> Self {
        let mut selector = compile_selector(constraint.label_selector.as_deref());
        for key in &constraint.match_label_keys {
            if let Some(value) = pod_labels.get(key) {
                selector = selector.with(Requirement::equals(key, value));
            }
        }
        Self {
            max_skew: i64::from(constraint.max_skew),
            min_domains: constraint
                .min_domains
                .map_or(1, |n| usize::try_from(n).unwrap_or(1)),
            topology_key: constraint.topology_key.clone(),
            selector,
            honor_affinity: constraint
                .node_affinity_policy
                .as_deref()
                .is_none_or(|policy| policy == "Honor"),
            honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }
}
