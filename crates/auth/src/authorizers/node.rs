//! The Node authorizer: a kubelet may read what the pods on its node use, and little else.
//!
//! [`graph`] knows which objects belong to which node; [`policy`] has the rules of each resource.

pub mod graph;
mod policy;

use std::sync::{RwLock, RwLockReadGuard};

use api::core::v1::{PersistentVolume, Pod};
use api::rbac::v1::PolicyRule;
use api::resource::v1::ResourceSlice;
use api::storage::v1::VolumeAttachment;
use futures_util::future::BoxFuture;

use crate::attributes::UserRules;
use crate::{Attributes, Authorizer, Change, Decision, Follower, UserInfo};
use graph::Graph;

const NODE_USER_PREFIX: &str = "system:node:";

pub struct NodeAuthorizer {
    graph: RwLock<Graph>,
    /// What every node may do, for resources that are not divided by node.
    rules: Vec<PolicyRule>,
}

impl NodeAuthorizer {
    /// `rules` are those of the cluster role `system:node`.
    pub fn new(rules: Vec<PolicyRule>) -> Self {
        Self {
            graph: RwLock::default(),
            rules,
        }
    }

    fn decide(&self, attributes: &Attributes) -> Decision {
        let user = &attributes.user;
        match user.node_name() {
            None => Decision::no_opinion(),
            Some("") => Decision::NoOpinion {
                reason: format!("unknown node for user {:?}", user.name),
            },
            Some(node) => policy::decide(node, attributes, &self.read(), &self.rules),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Graph> {
        self.graph
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Authorizer for NodeAuthorizer {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(self.decide(attributes)))
    }

    fn rules_for(&self, user: &UserInfo, _namespace: &str) -> UserRules {
        if user.node_name().is_none() {
            return UserRules::default();
        }
        let evaluation_error = "node authorizer does not support user rule resolution".to_owned();
        UserRules {
            incomplete: true,
            evaluation_error,
            ..UserRules::default()
        }
    }
}

/// What does not lead to other objects, and is large.
const UNREAD_OF_PODS: &[&str] = &[
    "spec.affinity",
    "spec.tolerations",
    "spec.topologySpreadConstraints",
    "spec.containers.name",
    "spec.containers.image",
    "spec.containers.command",
    "spec.containers.args",
    "spec.containers.ports",
    "spec.containers.env.name",
    "spec.containers.env.value",
    "spec.containers.resources",
    "spec.containers.volumeMounts",
    "spec.containers.livenessProbe",
    "spec.containers.readinessProbe",
    "spec.containers.startupProbe",
    "spec.containers.lifecycle",
    "status.conditions",
    "status.containerStatuses",
    "status.initContainerStatuses",
    "status.ephemeralContainerStatuses",
];

impl Follower for NodeAuthorizer {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("", "pods"),
            ("", "persistentvolumes"),
            ("storage.k8s.io", "volumeattachments"),
            ("resource.k8s.io", "resourceslices"),
        ]
    }

    fn unread(&self, _group: &str, resource: &str) -> &'static [&'static str] {
        if resource == "pods" { UNREAD_OF_PODS } else { &[] }
    }

    fn apply(&self, change: Change<'_>) {
        let mut graph = self
            .graph
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let object = change.object();
        let there = matches!(change, Change::Set(_));
        let metadata = object.metadata();
        if let Some(pod) = object.downcast_ref::<Pod>() {
            graph.set_pod(&metadata.namespace, &metadata.name, there.then_some(pod));
        } else if let Some(volume) = object.downcast_ref::<PersistentVolume>() {
            graph.set_volume(&metadata.name, there.then_some(volume));
        } else if let Some(attachment) = object.downcast_ref::<VolumeAttachment>() {
            graph.set_attachment(
                &metadata.name,
                there.then_some(attachment.spec.node_name.as_str()),
            );
        } else if let Some(slice) = object.downcast_ref::<ResourceSlice>() {
            let node = slice.spec.node_name.as_deref().filter(|_| there);
            graph.set_slice(&metadata.name, node);
        }
    }
}

/// The user name of a node's kubelet.
pub fn user_of(node: &str) -> String {
    format!("{NODE_USER_PREFIX}{node}")
}

#[cfg(test)]
mod tests;
