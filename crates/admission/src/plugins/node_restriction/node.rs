//! What a kubelet may change of its node.

use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::Node;
use apimachinery::status::Status;

use super::Case;
use crate::Operation;

/// Labels of Kubernetes' own domains that kubelets set.
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
const KUBELET_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
const RESTRICTED_DOMAIN: &str = "node-restriction.kubernetes.io";

impl Case<'_, '_> {
    pub(super) fn node(&self) -> Result<(), Status> {
        let (node, name) = (self.node, self.name());
        if name != node {
            return self.refuse(format!("node {node:?} is not allowed to modify node {name:?}"));
        }
        match (
            self.attributes.operation,
            self.review.object_as::<Node>(),
            self.review.old_as::<Node>(),
        ) {
            (Operation::Create, Some(new), _) => self.node_create(new),
            (Operation::Update, Some(new), Some(old)) => self.node_update(new, old),
            _ => Ok(()),
        }
    }

    fn node_create(&self, new: &Node) -> Result<(), Status> {
        let node = self.node;
        if new.spec.config_source.is_some() {
            return self.refuse(format!(
                "node {node:?} is not allowed to create pods with a non-nil configSource"
            ));
        }
        let none = BTreeMap::new();
        let labels = forbidden_labels(&new.metadata.labels, &none);
        if labels.is_empty() {
            return Ok(());
        }
        self.refuse(format!(
            "node {node:?} is not allowed to set the following labels: {}",
            join(&labels)
        ))
    }

    fn node_update(&self, new: &Node, old: &Node) -> Result<(), Status> {
        let node = self.node;
        if new.spec.config_source.is_some() && new.spec.config_source != old.spec.config_source {
            return self.refuse(format!(
                "node {node:?} is not allowed to update configSource to a new non-nil configSource"
            ));
        }
        if new.spec.taints != old.spec.taints {
            return self.refuse(format!("node {node:?} is not allowed to modify taints"));
        }
        if new.metadata.owner_references != old.metadata.owner_references {
            return self.refuse(format!("node {node:?} is not allowed to modify ownerReferences"));
        }
        let labels = forbidden_labels(&new.metadata.labels, &old.metadata.labels);
        if labels.is_empty() {
            Ok(())
        } else {
            self.refuse(format!("is not allowed to modify labels: {}", join(&labels)))
        }
    }
}

fn join(labels: &BTreeSet<&String>) -> String {
    labels
        .iter()
        .map(|label| label.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The labels that differ and are not a kubelet's to set.
fn forbidden_labels<'a>(
    new: &'a BTreeMap<String, String>,
    old: &'a BTreeMap<String, String>,
) -> BTreeSet<&'a String> {
    let differs = |label: &&String| new.get(*label) != old.get(*label);
    new.keys()
        .chain(old.keys())
        .filter(differs)
        .filter(|label| is_forbidden(label))
        .collect()
}

fn is_forbidden(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let within = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|head| head.ends_with('.'));
    let allowed = KUBELET_LABELS.contains(&label) || KUBELET_DOMAINS.iter().any(|domain| within(domain));
    within(RESTRICTED_DOMAIN) || ((within("kubernetes.io") || within("k8s.io")) && !allowed)
}
