//! The decisions that both backends share: where a service port's traffic goes, and when it is refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::local_detector::LocalDetector;
use crate::model::{Endpoint, Family, Protocol, ServicePort, ServicePortName, TrafficPolicy};
use crate::topology::{Categorized, NodeTopology, categorize};

/// Everything a rule set is a function of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub settings: &'a Settings,
    pub node: &'a NodeTopology,
    pub service_ports: &'a BTreeMap<ServicePortName, ServicePort>,
    /// By service port, each list in address order.
    pub endpoints: &'a BTreeMap<ServicePortName, Vec<Endpoint>>,
    /// Service ranges of this family, for dropping traffic to addresses that no Service has (nftables).
    pub service_cidrs: &'a [String],
}

/// What the node's configuration says, for one family.
#[derive(Clone, Debug)]
pub struct Settings {
    pub family: Family,
    pub masquerade_all: bool,
    /// The bit of the packet mark that asks for source NAT.
    pub masquerade_bit: u8,
    pub local_detector: LocalDetector,
    pub node_ports: NodePortDestinations,
    /// `127.0.0.1:nodePort` works (iptables, IPv4 only; needs `route_localnet`).
    pub localhost_node_ports: bool,
    /// The kernel already tolerates out-of-window packets, so invalid ones need no drop rule.
    pub conntrack_tcp_liberal: bool,
    /// This node's primary address in the family, for source ranges that include the node.
    pub node_ip: IpAddr,
    /// Whether iptables knows `--random-fully`.
    pub random_fully: bool,
}

impl Settings {
    /// The masquerade mark, in the form upstream writes it: `0x00004000` for bit 14.
    pub fn masquerade_mark(&self) -> String {
        format!("{:#010x}", 1u32 << u32::from(self.masquerade_bit & 31))
    }
}

/// Which of the node's addresses accept node port traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortDestinations {
    AllLocal,
    Only(Vec<IpAddr>),
}

/// What happens to traffic of one kind (internal or external) to a service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Balanced over the endpoints of the policy.
    Serve(TrafficPolicy),
    /// No endpoint anywhere: the client is told at once.
    Reject,
    /// Endpoints exist, but the policy asks for local ones and there are none: dropped, so that a client that
    /// can reach another node retries there.
    Drop,
}

/// A service port with its endpoints sorted out and its traffic decided.
pub struct Routing<'a> {
    pub name: &'a ServicePortName,
    pub port: &'a ServicePort,
    pub endpoints: Categorized<'a>,
    pub internal: Disposition,
    pub external: Disposition,
}

impl<'a> Routing<'a> {
    pub fn new(name: &'a ServicePortName, port: &'a ServicePort, input: &Input<'a>) -> Self {
        let list = input.endpoints.get(name).map_or(&[][..], Vec::as_slice);
        let endpoints = categorize(list, port, input.node);
        let decide = |policy| match policy {
            _ if !endpoints.any => Disposition::Reject,
            TrafficPolicy::Local if endpoints.local.is_empty() => Disposition::Drop,
            policy => Disposition::Serve(policy),
        };
        let (internal, external) = (decide(port.internal_policy), decide(port.external_policy));
        Self {
            name,
            port,
            endpoints,
            internal,
            external,
        }
    }

    pub fn protocol(&self) -> Protocol {
        self.name.protocol
    }

    pub fn uses_cluster_chain(&self) -> bool {
        self.port.uses_cluster_endpoints() && !self.endpoints.cluster.is_empty()
    }

    pub fn uses_local_chain(&self) -> bool {
        self.port.uses_local_endpoints() && !self.endpoints.local.is_empty()
    }

    /// The chain for external destinations exists whenever any node has an endpoint: even when traffic from
    /// outside is dropped here, pods and the node itself still get through.
    pub fn uses_external_chain(&self) -> bool {
        self.endpoints.any && self.port.externally_accessible()
    }

    pub fn has_firewall(&self) -> bool {
        !self.port.load_balancer_vips.is_empty() && !self.port.source_ranges.is_empty()
    }

    /// A load balancer address is often also local to the node, whose own requests then carry that address.
    pub fn firewall_admits_node(&self, node_ip: IpAddr) -> bool {
        self.port
            .source_ranges
            .iter()
            .any(|range| range.contains(&node_ip))
    }
}

/// Services whose policy is `Local` and that have endpoints, but none here; by kind of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoLocalEndpoints {
    pub internal: usize,
    pub external: usize,
}

impl NoLocalEndpoints {
    pub fn count(&mut self, routing: &Routing<'_>) {
        self.internal += usize::from(routing.internal == Disposition::Drop);
        self.external += usize::from(routing.external == Disposition::Drop);
    }
}
