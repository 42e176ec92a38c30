//! UDP flows that the kernel still sends where the rules no longer do.
//!
//! A flow is translated once, by its first packet. A client that keeps its source port stays with an endpoint that
//! is gone, or with no endpoint at all if it was early. Such flows are forgotten, so that the next packet is judged
//! by the current rules.
//!
//! Upstream: pkg/proxy/conntrack

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use netlink::conntrack::{self, Flow};
use netlink::socket::{Socket, Subsystem};

use crate::model::{Endpoint, Family, Protocol, ServicePort, ServicePortName};

/// Where UDP flows to services may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServingEndpoints {
    by_address: HashMap<SocketAddr, BTreeSet<SocketAddr>>,
    by_node_port: HashMap<u16, BTreeSet<SocketAddr>>,
}

impl ServingEndpoints {
    /// Services without any serving endpoint are left out: they are refused before a flow is tracked.
    pub fn new(
        service_ports: &BTreeMap<ServicePortName, ServicePort>,
        endpoints: &BTreeMap<ServicePortName, Vec<Endpoint>>,
    ) -> Self {
        let mut result = Self::default();
        for (name, port) in service_ports
            .iter()
            .filter(|(name, _)| name.protocol == Protocol::Udp)
        {
            let serving: BTreeSet<SocketAddr> = endpoints
                .get(name)
                .into_iter()
                .flatten()
                .filter(|e| e.serving)
                .map(|e| e.address)
                .collect();
            if serving.is_empty() {
                continue;
            }
            let addresses = port
                .load_balancer_vips
                .iter()
                .chain(&port.external_ips)
                .chain([&port.cluster_ip]);
            for ip in addresses {
                result
                    .by_address
                    .insert(SocketAddr::new(*ip, port.port), serving.clone());
            }
            if let Some(node_port) = port.node_port {
                result.by_node_port.insert(node_port, serving);
            }
        }
        result
    }

    /// Whether the flow goes to a service, and past its endpoints.
    pub fn is_stale(&self, flow: &Flow) -> bool {
        let wrong = |serving: &BTreeSet<SocketAddr>| !serving.contains(&flow.reply_source);
        self.by_address.get(&flow.original_destination).is_some_and(wrong)
            || self
                .by_node_port
                .get(&flow.original_destination.port())
                .is_some_and(wrong)
    }

    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}

/// Forgets stale flows and gives their number. Blocks while the kernel lists its table.
pub fn clean(family: Family, endpoints: &ServingEndpoints) -> Result<usize, netlink::Error> {
    if endpoints.is_empty() {
        return Ok(0);
    }
    let family = match family {
        Family::V4 => conntrack::Family::V4,
        Family::V6 => conntrack::Family::V6,
    };
    let mut socket = Socket::open(Subsystem::Netfilter)?;
    let stale = conntrack::udp_flows(&mut socket, family, |flow| endpoints.is_stale(flow))?;
    for flow in &stale {
        conntrack::delete(&mut socket, family, flow)?;
    }
    Ok(stale.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn flows_past_the_endpoints_are_stale() {
        let scenario = Scenario::parse(
            "service ns/dns udp 10.96.0.10:53 nodeport=30053 external-ip=203.0.113.1
             endpoint 10.0.0.1:5353
             endpoint 10.0.0.2:5353 not-ready
             service ns/empty udp 10.96.0.11:53
             service ns/web tcp 10.96.0.12:80
             endpoint 10.0.0.3:80",
        );
        let endpoints = ServingEndpoints::new(&scenario.service_ports, &scenario.endpoints);
        let stale = |original: &str, reply: &str| {
            endpoints.is_stale(&Flow::example(original.parse().unwrap(), reply.parse().unwrap()))
        };
        assert!(!stale("10.96.0.10:53", "10.0.0.1:5353"), "goes where it should");
        assert!(
            stale("10.96.0.10:53", "10.0.0.2:5353"),
            "the endpoint no longer serves"
        );
        assert!(stale("10.96.0.10:53", "10.96.0.10:53"), "was never translated");
        assert!(stale("203.0.113.1:53", "10.0.0.9:5353"));
        assert!(stale("192.0.2.1:30053", "192.0.2.1:30053"));
        assert!(!stale("192.0.2.1:53", "192.0.2.1:53"), "not a service");
        assert!(
            !stale("10.96.0.11:53", "10.96.0.11:53"),
            "a service without endpoints"
        );
    }
}
