//! A Node reduced to its addresses.

use std::net::IpAddr;

use api::core::v1::Node;
use ipnet::IpNet;

/// Where a node is and which pod addresses it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeNetwork {
    pub name: String,
    pub pod_cidrs: Vec<IpNet>,
    pub internal_ips: Vec<IpAddr>,
}

impl NodeNetwork {
    pub fn new(node: &Node) -> Self {
        let spec = &node.spec;
        let cidrs = if spec.pod_cidrs.is_empty() {
            std::slice::from_ref(&spec.pod_cidr)
        } else {
            &spec.pod_cidrs
        };
        let internal = node
            .status
            .addresses
            .iter()
            .filter(|address| address.type_ == "InternalIP");
        Self {
            name: node.metadata.name.clone(),
            pod_cidrs: cidrs
                .iter()
                .filter_map(|cidr| cidr.parse().ok())
                .map(|cidr: IpNet| cidr.trunc())
                .collect(),
            internal_ips: internal
                .filter_map(|address| address.address.parse().ok())
                .collect(),
        }
    }

    /// The node's address in the family of `like`.
    pub fn internal_ip(&self, like: IpAddr) -> Option<IpAddr> {
        self.internal_ips
            .iter()
            .copied()
            .find(|ip| ip.is_ipv4() == like.is_ipv4())
    }
}
