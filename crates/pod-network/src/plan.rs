//! What this node's network should be, as a function of all nodes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::node::NodeNetwork;

/// How packets for pods of another node travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Unchanged, to the node as the next hop: nodes must share a link.
    HostGateway,
    /// In UDP datagrams to the node, wherever it is. IPv4 only.
    Vxlan,
}

/// The network that a node should have. `None` as a whole while the node has no pod range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub pod_cidrs: Vec<IpNet>,
    pub routes: Vec<PodRoute>,
    /// The tunnel's own end.
    pub tunnel: Option<Tunnel>,
    /// Destinations that see pods' own addresses: the pods' range and the nodes.
    pub unmasqueraded: Vec<IpNet>,
}

/// The way to one range of another node's pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRoute {
    pub destination: IpNet,
    pub node: IpAddr,
    /// The other end of the tunnel, when there is one.
    pub peer: Option<Peer>,
}

/// An end of the tunnel: an address inside it, and the link address it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    pub inner: Ipv4Addr,
    pub mac: [u8; 6],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    pub node: Ipv4Addr,
    pub end: Peer,
}

/// Plans the network of node `name`.
pub fn plan(
    name: &str,
    nodes: &BTreeMap<String, NodeNetwork>,
    cluster_cidrs: &[IpNet],
    backend: Backend,
) -> Option<Plan> {
    let own = nodes.get(name).filter(|node| !node.pod_cidrs.is_empty())?;
    let others = nodes.values().filter(|node| node.name != name);
    let mut routes: Vec<PodRoute> = others
        .flat_map(|node| {
            node.pod_cidrs
                .iter()
                .filter_map(|cidr| route(node, *cidr, backend))
        })
        .collect();
    // Two nodes with one range can't both be right; the order keeps the choice from flapping.
    routes.sort();
    routes.dedup_by_key(|route| route.destination);
    routes.retain(|route| !own.pod_cidrs.contains(&route.destination));
    let tunnel = match backend {
        Backend::HostGateway => None,
        Backend::Vxlan => own.pod_cidrs.iter().find_map(|cidr| {
            let IpAddr::V4(node) = own.internal_ip(cidr.addr())? else {
                return None;
            };
            Some(Tunnel {
                node,
                end: peer(node, *cidr)?,
            })
        }),
    };
    let ranges = nodes
        .values()
        .flat_map(|node| &node.pod_cidrs)
        .chain(cluster_cidrs)
        .copied();
    let addresses = nodes
        .values()
        .flat_map(|node| &node.internal_ips)
        .copied()
        .map(IpNet::from);
    // nftables refuses a set whose ranges overlap.
    let unmasqueraded = IpNet::aggregate(&ranges.chain(addresses).collect());
    Some(Plan {
        pod_cidrs: own.pod_cidrs.clone(),
        routes,
        tunnel,
        unmasqueraded,
    })
}

fn route(node: &NodeNetwork, destination: IpNet, backend: Backend) -> Option<PodRoute> {
    let address = node.internal_ip(destination.addr())?;
    let peer = match (backend, address) {
        (Backend::HostGateway, _) => None,
        (Backend::Vxlan, IpAddr::V4(ip)) => Some(peer(ip, destination)?),
        (Backend::Vxlan, IpAddr::V6(_)) => return None,
    };
    Some(PodRoute {
        destination,
        node: address,
        peer,
    })
}

/// A tunnel's end follows from the node's address and range, so that nodes needn't tell each other: its address is
/// the range's first, which no pod gets, and its link address contains the node's.
fn peer(node: Ipv4Addr, range: IpNet) -> Option<Peer> {
    let IpAddr::V4(inner) = range.network() else {
        return None;
    };
    let [a, b, c, d] = node.octets();
    // The first octet marks a unicast address that is administered locally.
    Some(Peer {
        inner,
        mac: [0x02, 0x6f, a, b, c, d],
    })
}

#[cfg(test)]
mod tests;
