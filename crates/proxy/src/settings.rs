//! From the configuration, the Node object and the machine to the settings that rules are compiled with. They are
//! worked out for every sync, so that a node that moves or gets its pod range late needs no restart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{Config, DetectLocal, Mode, NodePortAddresses};
use crate::local_detector::LocalDetector;
use crate::model::Family;
use crate::node::NodeInfo;
use crate::rules::{NodePortDestinations, Settings};

/// What the machine says, at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub conntrack_tcp_liberal: bool,
    pub random_fully: bool,
    /// `route_localnet` could be set.
    pub localhost_routed: bool,
}

/// Whether the configuration asks for node ports on 127.0.0.1.
pub fn wants_localhost_node_ports(config: &Config) -> bool {
    let covers_loopback = match &config.node_port_addresses {
        NodePortAddresses::All => true,
        NodePortAddresses::Primary => false,
        NodePortAddresses::Ranges(ranges) => {
            let own = |net: &ipnet::IpNet| Family::of_net(net) == Family::V4;
            !ranges.iter().any(own)
                || ranges
                    .iter()
                    .any(|net| net.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)))
        }
    };
    config.mode == Mode::IpTables && config.localhost_node_ports && covers_loopback
}

/// The settings for a family; `interfaces` are the machine's own addresses.
pub fn settings(
    config: &Config,
    machine: Machine,
    node: &NodeInfo,
    interfaces: &[IpAddr],
    family: Family,
) -> Settings {
    Settings {
        family,
        masquerade_all: config.masquerade_all,
        masquerade_bit: config.masquerade_bit,
        local_detector: local_detector(&config.detect_local, node, family),
        node_ports: node_port_destinations(&config.node_port_addresses, node, interfaces, family),
        localhost_node_ports: family == Family::V4
            && machine.localhost_routed
            && wants_localhost_node_ports(config),
        conntrack_tcp_liberal: machine.conntrack_tcp_liberal,
        node_ip: node_ip(config, node, family),
        random_fully: machine.random_fully,
    }
}

/// The bind address overrides the Node's; loopback when neither is known.
fn node_ip(config: &Config, node: &NodeInfo, family: Family) -> IpAddr {
    let bind = Some(config.bind_address).filter(|ip| !ip.is_unspecified() && Family::of(*ip) == family);
    bind.or_else(|| node.ip(family)).unwrap_or(match family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    })
}

/// The family that the node's first address has.
pub fn primary_family(config: &Config, node: &NodeInfo) -> Family {
    match config.bind_address {
        bind if !bind.is_unspecified() => Family::of(bind),
        _ => node.ips.first().map_or(Family::V4, |ip| Family::of(*ip)),
    }
}

fn local_detector(detect: &DetectLocal, node: &NodeInfo, family: Family) -> LocalDetector {
    let cidr = |net: Option<ipnet::IpNet>| net.map_or(LocalDetector::Unknown, LocalDetector::Cidr);
    match detect {
        DetectLocal::ClusterCidr(nets) => {
            cidr(nets.iter().copied().find(|net| Family::of_net(net) == family))
        }
        DetectLocal::NodeCidr => cidr(node.pod_cidr(family)),
        DetectLocal::BridgeInterface(name) => LocalDetector::BridgeInterface(name.clone()),
        DetectLocal::InterfaceNamePrefix(prefix) => LocalDetector::InterfaceNamePrefix(prefix.clone()),
    }
}

/// Ranges of the other family say nothing about this one, which then has no restriction.
fn node_port_destinations(
    addresses: &NodePortAddresses,
    node: &NodeInfo,
    interfaces: &[IpAddr],
    family: Family,
) -> NodePortDestinations {
    match addresses {
        NodePortAddresses::All => NodePortDestinations::AllLocal,
        NodePortAddresses::Primary => match node.ip(family) {
            Some(ip) => NodePortDestinations::Only(vec![ip]),
            None => NodePortDestinations::AllLocal,
        },
        NodePortAddresses::Ranges(ranges) => {
            let own: Vec<_> = ranges
                .iter()
                .filter(|net| Family::of_net(net) == family)
                .collect();
            if own.is_empty() || own.iter().any(|net| net.prefix_len() == 0) {
                return NodePortDestinations::AllLocal;
            }
            let mut ips: Vec<IpAddr> = interfaces
                .iter()
                .copied()
                .filter(|ip| own.iter().any(|net| net.contains(ip)))
                .collect();
            ips.sort();
            ips.dedup();
            NodePortDestinations::Only(ips)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ips: &[&str]) -> NodeInfo {
        NodeInfo {
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..NodeInfo::default()
        }
    }

    fn destinations(addresses: NodePortAddresses, family: Family) -> String {
        let interfaces: Vec<IpAddr> = ["127.0.0.1", "192.0.2.1", "198.51.100.1", "::1"]
            .iter()
            .map(|ip| ip.parse().unwrap())
            .collect();
        format!(
            "{:?}",
            node_port_destinations(&addresses, &node(&["192.0.2.1"]), &interfaces, family)
        )
    }

    #[test]
    fn node_ports_open_on_the_addresses_asked_for() {
        let ranges = |net: &str| NodePortAddresses::Ranges(vec![net.parse().unwrap()]);
        assert_eq!(destinations(NodePortAddresses::All, Family::V4), "AllLocal");
        assert_eq!(
            destinations(NodePortAddresses::Primary, Family::V4),
            "Only([192.0.2.1])"
        );
        assert_eq!(destinations(NodePortAddresses::Primary, Family::V6), "AllLocal");
        assert_eq!(
            destinations(ranges("198.51.100.0/24"), Family::V4),
            "Only([198.51.100.1])"
        );
        assert_eq!(destinations(ranges("198.51.100.0/24"), Family::V6), "AllLocal");
        assert_eq!(destinations(ranges("0.0.0.0/0"), Family::V4), "AllLocal");
    }

    #[test]
    fn localhost_works_only_where_it_can() {
        let machine = Machine {
            localhost_routed: true,
            ..Machine::default()
        };
        let works =
            |config: &Config, family| settings(config, machine, &node(&[]), &[], family).localhost_node_ports;
        let config = Config::default();
        assert!(works(&config, Family::V4));
        assert!(!works(&config, Family::V6));
        assert!(!works(
            &Config {
                mode: Mode::NfTables,
                ..config.clone()
            },
            Family::V4
        ));
        let elsewhere = NodePortAddresses::Ranges(vec!["192.0.2.0/24".parse().unwrap()]);
        assert!(!works(
            &Config {
                node_port_addresses: elsewhere,
                ..config
            },
            Family::V4
        ));
    }

    #[test]
    fn the_bind_address_names_the_node() {
        let bound = Config {
            bind_address: "2001:db8::7".parse().unwrap(),
            ..Config::default()
        };
        let node = node(&["192.0.2.1"]);
        assert_eq!(primary_family(&bound, &node), Family::V6);
        assert_eq!(node_ip(&bound, &node, Family::V6).to_string(), "2001:db8::7");
        assert_eq!(node_ip(&bound, &node, Family::V4).to_string(), "192.0.2.1");
        assert_eq!(primary_family(&Config::default(), &node), Family::V4);
    }
}
