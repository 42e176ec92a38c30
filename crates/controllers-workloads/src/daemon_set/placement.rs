//! Which nodes a daemon set is for, and the pod for one of them. Pure.
//!
//! Upstream: pkg/controller/daemon/util, daemon_controller.go (NodeShouldRunDaemonPod)

use api::apps::v1::DaemonSet;
use api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec,
    PodTemplateSpec, Taint, Toleration,
};
use api::node_affinity::pod_matches_node;
use api::taints::tolerated;

use crate::revisions::HASH_LABEL;

const NAME_FIELD: &str = "metadata.name";

/// Taints that no daemon pod minds: its node's troubles are its own.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";

/// What a set has to do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// A pod is to run there.
    Run,
    /// No pod is to be started, but one that is there may stay.
    Stay,
    /// No pod is to be there.
    Leave,
}

pub fn relation(set: &DaemonSet, node: &Node) -> Relation {
    let template = &set.spec.template.spec;
    let named = template.node_name.is_empty() || template.node_name == node.metadata.name;
    let mut spec = template.clone();
    add_tolerations(&mut spec);
    if !named || !pod_matches_node(&spec, node) {
        return Relation::Leave;
    }
    let untolerated = |effects: &[&str]| {
        let mut taints = node
            .spec
            .taints
            .iter()
            .filter(|taint| effects.contains(&taint.effect.as_str()));
        taints.any(|taint: &Taint| !tolerated(&spec.tolerations, taint))
    };
    if !untolerated(&["NoExecute", "NoSchedule"]) {
        Relation::Run
    } else if untolerated(&["NoExecute"]) {
        Relation::Leave
    } else {
        Relation::Stay
    }
}

/// The template of the pod for one node: pinned to it, bearing the hash, and tolerating what nodes go through.
pub fn template_for(set: &DaemonSet, node: &str, hash: &str) -> PodTemplateSpec {
    let mut template = set.spec.template.clone();
    template
        .metadata
        .labels
        .insert(HASH_LABEL.into(), hash.to_owned());
    if let Some(generation) = template_generation(set) {
        template
            .metadata
            .labels
            .insert("pod-template-generation".into(), generation.to_owned());
    }
    add_tolerations(&mut template.spec);
    pin(&mut template.spec, node);
    template
}

/// The generation that releases before hashes told pods apart by.
pub fn template_generation(set: &DaemonSet) -> Option<&str> {
    let annotation = set
        .metadata
        .annotations
        .get("deprecated.daemonset.template.generation")?;
    annotation.parse::<i64>().ok().map(|_| annotation.as_str())
}

fn add_tolerations(spec: &mut PodSpec) {
    let network = spec.host_network.then_some((NETWORK_UNAVAILABLE, "NoSchedule"));
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let toleration = Toleration {
            key: key.into(),
            operator: "Exists".into(),
            effect: effect.into(),
            ..Toleration::default()
        };
        // One for the same taint with a limit would evict the pod: ours replaces it.
        spec.tolerations
            .retain(|other| !(other.key == key && other.effect == effect));
        spec.tolerations.push(toleration);
    }
}

/// Leaves the scheduler no other node. Required terms of the template were checked when the node was chosen.
fn pin(spec: &mut PodSpec, node: &str) {
    let term = NodeSelectorTerm {
        match_fields: vec![NodeSelectorRequirement {
            key: NAME_FIELD.into(),
            operator: "In".into(),
            values: vec![node.to_owned()],
        }],
        ..NodeSelectorTerm::default()
    };
    let affinity = spec.affinity.get_or_insert_with(|| Box::new(Affinity::default()));
    let affinity = affinity
        .node_affinity
        .get_or_insert_with(|| Box::new(NodeAffinity::default()));
    affinity.required_during_scheduling_ignored_during_execution = Some(Box::new(NodeSelector {
        node_selector_terms: vec![term],
    }));
}

/// The node that a daemon pod is on or meant for.
pub fn target(pod: &Pod) -> Option<&str> {
    if !pod.spec.node_name.is_empty() {
        return Some(&pod.spec.node_name);
    }
    let affinity = pod.spec.affinity.as_deref()?.node_affinity.as_deref()?;
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_deref()?;
    let mut fields = required
        .node_selector_terms
        .iter()
        .flat_map(|term| &term.match_fields);
    let field = fields.find(|field| field.key == NAME_FIELD && field.operator == "In")?;
    field.values.first().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edit: impl FnOnce(&mut DaemonSet, &mut Node), expected: Relation) {
        let (mut set, mut node) = (DaemonSet::default(), Node::default());
        node.metadata.name = "n".into();
        edit(&mut set, &mut node);
        assert_eq!(relation(&set, &node), expected);
    }

    fn taint(node: &mut Node, key: &str, effect: &str) {
        node.spec.taints.push(Taint {
            key: key.into(),
            effect: effect.into(),
            ..Taint::default()
        });
    }

    #[test]
    fn nodes_are_chosen_by_name_labels_and_taints() {
        check(|_, _| {}, Relation::Run);
        check(
            |set, _| set.spec.template.spec.node_name = "other".into(),
            Relation::Leave,
        );
        check(
            |set, _| {
                drop(
                    set.spec
                        .template
                        .spec
                        .node_selector
                        .insert("disk".into(), "ssd".into()),
                )
            },
            Relation::Leave,
        );
        check(|_, node| taint(node, "mine", "NoSchedule"), Relation::Stay);
        check(|_, node| taint(node, "mine", "NoExecute"), Relation::Leave);
        check(
            |_, node| taint(node, "node.kubernetes.io/unreachable", "NoExecute"),
            Relation::Run,
        );
        check(
            |_, node| taint(node, "node.kubernetes.io/unschedulable", "NoSchedule"),
            Relation::Run,
        );
        check(
            |_, node| taint(node, NETWORK_UNAVAILABLE, "NoSchedule"),
            Relation::Stay,
        );
        check(
            |set, node| {
                set.spec.template.spec.host_network = true;
                taint(node, NETWORK_UNAVAILABLE, "NoSchedule");
            },
            Relation::Run,
        );
    }

    #[test]
    fn pods_are_pinned_to_their_node() {
        let template = template_for(&DaemonSet::default(), "n1", "h");
        let pod = Pod {
            spec: template.spec.clone(),
            ..Pod::default()
        };
        assert_eq!(target(&pod), Some("n1"));
        assert_eq!(template.metadata.labels[HASH_LABEL], "h");
        assert_eq!(template.spec.tolerations.len(), 6);
    }
}
