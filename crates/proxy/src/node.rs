//! This node, as far as its proxy is concerned.

use std::net::IpAddr;

use api::core::v1::Node;
use ipnet::IpNet;

use crate::health::TO_BE_DELETED_TAINT;
use crate::model::Family;
use crate::topology::NodeTopology;

const LABEL_ZONE: &str = "topology.kubernetes.io/zone";

/// What rules and health depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    pub zone: String,
    /// At most one address a family, the primary family's first.
    pub ips: Vec<IpAddr>,
    pub pod_cidrs: Vec<IpNet>,
    /// Exists, and nobody is deleting it.
    pub eligible: bool,
}

impl NodeInfo {
    pub fn new(node: &Node) -> Self {
        let deleting = node.metadata.deletion_timestamp.is_some();
        let doomed = node
            .spec
            .taints
            .iter()
            .any(|taint| taint.key == TO_BE_DELETED_TAINT);
        Self {
            zone: node.metadata.labels.get(LABEL_ZONE).cloned().unwrap_or_default(),
            ips: host_ips(node),
            pod_cidrs: node
                .spec
                .pod_cidrs
                .iter()
                .filter_map(|cidr| cidr.parse().ok())
                .collect(),
            eligible: !deleting && !doomed,
        }
    }

    pub fn ip(&self, family: Family) -> Option<IpAddr> {
        self.ips.iter().copied().find(|ip| Family::of(*ip) == family)
    }

    pub fn pod_cidr(&self, family: Family) -> Option<IpNet> {
        self.pod_cidrs
            .iter()
            .copied()
            .find(|cidr| Family::of_net(cidr) == family)
    }

    pub fn topology(&self, name: &str) -> NodeTopology {
        NodeTopology {
            name: name.to_owned(),
            zone: self.zone.clone(),
        }
    }
}

/// The node's first address, internal before external, and the first of the other family.
fn host_ips(node: &Node) -> Vec<IpAddr> {
    let of_type = |wanted: &'static str| {
        node.status
            .addresses
            .iter()
            .filter(move |address| address.type_ == wanted)
            .map(|address| &address.address)
    };
    let all: Vec<IpAddr> = of_type("InternalIP")
        .chain(of_type("ExternalIP"))
        .filter_map(|ip| ip.parse().ok())
        .collect();
    let first = all.first().copied();
    let second = first.and_then(|first| {
        all.iter()
            .copied()
            .find(|ip| Family::of(*ip) != Family::of(first))
    });
    first.into_iter().chain(second).collect()
}

#[cfg(test)]
mod tests {
    use api::core::v1::NodeAddress;

    use super::*;

    #[test]
    fn internal_addresses_come_first_and_one_of_each_family_counts() {
        let mut node = Node::default();
        for (type_, address) in [
            ("Hostname", "node-1"),
            ("ExternalIP", "203.0.113.1"),
            ("InternalIP", "192.0.2.1"),
            ("InternalIP", "192.0.2.2"),
            ("ExternalIP", "2001:db8::1"),
        ] {
            node.status.addresses.push(NodeAddress {
                type_: type_.to_owned(),
                address: address.to_owned(),
            });
        }
        let info = NodeInfo::new(&node);
        assert_eq!(format!("{:?}", info.ips), "[192.0.2.1, 2001:db8::1]");
        assert_eq!(info.ip(Family::V6), Some("2001:db8::1".parse().unwrap()));
        assert!(info.eligible);
    }
}
