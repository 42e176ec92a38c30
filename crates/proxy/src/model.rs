//! What the rules are made from: services and endpoints of one IP family, reduced to the fields that shape packets.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

/// An IP family. A proxier works on one; a dual-stack node runs two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub fn of_net(net: &IpNet) -> Self {
        Family::of(net.addr())
    }

    /// The name the API and the `ip_family` metric label use.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// From the API's spelling; an absent protocol means TCP.
    pub fn from_api(name: &str) -> Option<Self> {
        match name {
            "" | "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }

    /// The lower-case name that iptables, nftables and the hashes in chain names use.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `namespace/name` of a Service. Cloned into every key, hence shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ServiceName {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One port of a Service: the unit of load balancing. `Display` is `ns/name:port`, without the colon when the
/// port has no name; that text is hashed into chain names and shown in rule comments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortName {
    pub service: ServiceName,
    pub port: Arc<str>,
    pub protocol: Protocol,
}

impl fmt::Display for ServicePortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.port {
            "" => write!(f, "{}", self.service),
            port => write!(f, "{}:{port}", self.service),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficPolicy {
    Cluster,
    Local,
}

/// What a Service says about one of its ports, in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub cluster_ip: IpAddr,
    pub port: u16,
    pub node_port: Option<u16>,
    pub external_ips: Vec<IpAddr>,
    /// Load balancer addresses that the node itself serves (`ipMode: VIP`).
    pub load_balancer_vips: Vec<IpAddr>,
    /// Who may reach the load balancer; empty means anyone.
    pub source_ranges: Vec<IpNet>,
    /// Seconds a client sticks to its endpoint (`sessionAffinity: ClientIP`).
    pub affinity_seconds: Option<u32>,
    pub health_check_node_port: Option<u16>,
    pub internal_policy: TrafficPolicy,
    pub external_policy: TrafficPolicy,
}

impl ServicePort {
    /// Whether something other than the cluster IP leads here.
    pub fn externally_accessible(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.load_balancer_vips.is_empty()
    }

    /// Whether any traffic follows the `Cluster` policy. Pods and the node itself bypass an external `Local`
    /// policy, so every externally reachable port needs its cluster endpoints too.
    pub fn uses_cluster_endpoints(&self) -> bool {
        self.internal_policy == TrafficPolicy::Cluster || self.externally_accessible()
    }

    pub fn uses_local_endpoints(&self) -> bool {
        self.internal_policy == TrafficPolicy::Local
            || (self.external_policy == TrafficPolicy::Local && self.externally_accessible())
    }
}

/// A backend of a service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Runs on this node.
    pub local: bool,
    /// May receive traffic: ready and not terminating, or published although not ready.
    pub ready: bool,
    /// Answers, terminating or not.
    pub serving: bool,
    pub terminating: bool,
    pub zone_hints: Arc<[String]>,
    pub node_hints: Arc<[String]>,
}

impl Endpoint {
    /// The last resort when no endpoint is ready: it still answers while it goes away (KEP-1669).
    pub fn serving_terminating(&self) -> bool {
        self.serving && self.terminating
    }
}
