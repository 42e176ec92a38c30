//! Nodes.

use std::collections::BTreeSet;

use api::core::v1::Node;
use jiff::Timestamp;
use serde_json::Value;

use super::{NONE, UNKNOWN, age};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub fn row(node: &Node, now: Timestamp) -> Vec<Value> {
    let info = &node.status.node_info;
    let kernel = match (info.kernel_version.as_str(), info.architecture.as_str()) {
        (kernel, "") => or_unknown(kernel).to_owned(),
        (kernel, architecture) => format!("{} ({architecture})", or_unknown(kernel)),
    };
    crate::cells![
        node.metadata.name.as_str(),
        status(node),
        roles(node),
        age(&node.metadata, now),
        info.kubelet_version.as_str(),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        or_unknown(&info.os_image),
        kernel,
        or_unknown(&info.container_runtime_version),
    ]
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { UNKNOWN } else { text }
}

fn status(node: &Node) -> String {
    // The last condition of the type counts, as upstream's map has it.
    let ready = node
        .status
        .conditions
        .iter()
        .rev()
        .find(|condition| condition.type_ == "Ready");
    let mut status = match ready {
        None => "Unknown",
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
    }
    .to_owned();
    if node.spec.unschedulable {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(node: &Node) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in &node.metadata.labels {
        if let Some(role) = key.strip_prefix(ROLE_PREFIX).filter(|role| !role.is_empty()) {
            roles.insert(role);
        } else if key == ROLE_LABEL && !value.is_empty() {
            roles.insert(value);
        }
    }
    if roles.is_empty() {
        NONE.to_owned()
    } else {
        roles.into_iter().collect::<Vec<_>>().join(",")
    }
}

fn address<'n>(node: &'n Node, type_: &str) -> &'n str {
    let found = node
        .status
        .addresses
        .iter()
        .find(|address| address.type_ == type_);
    found.map_or(NONE, |address| &address.address)
}
