//! Cluster states for tests, written as text: a `service` line, then its `endpoint` lines.
//!
//! ```text
//! node zone=z1 cidr=10.0.0.0/8 masquerade-all nodeports=192.0.2.1 service-cidr=172.30.0.0/16
//! service ns1/svc1:p80 tcp 172.30.0.41:80 nodeport=3001 external=Local vip=1.2.3.4 …
//! endpoint 10.180.0.1:80 local terminating
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::local_detector::LocalDetector;
use crate::model::*;
use crate::rules::{Input, NodePortDestinations, Settings};
use crate::topology::NodeTopology;

pub struct Scenario {
    pub settings: Settings,
    pub node: NodeTopology,
    pub service_ports: BTreeMap<ServicePortName, ServicePort>,
    pub endpoints: BTreeMap<ServicePortName, Vec<Endpoint>>,
    pub service_cidrs: Vec<String>,
}

impl Scenario {
    pub fn parse(text: &str) -> Self {
        let mut scenario = Self {
            settings: settings(Family::V4),
            node: NodeTopology {
                name: "node-1".to_owned(),
                zone: String::new(),
            },
            service_ports: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            service_cidrs: Vec::new(),
        };
        let mut current = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "node" => scenario.node_line(rest),
                "service" => current = Some(scenario.service_line(rest)),
                "endpoint" => {
                    let name = current.clone().expect("an endpoint line follows a service line");
                    let endpoints = scenario.endpoints.entry(name).or_default();
                    endpoints.push(endpoint(rest));
                    endpoints.sort_by_key(|e| e.address);
                }
                other => panic!("unknown line: {other}"),
            }
        }
        scenario
    }

    pub fn input(&self) -> Input<'_> {
        Input {
            settings: &self.settings,
            node: &self.node,
            service_ports: &self.service_ports,
            endpoints: &self.endpoints,
            service_cidrs: &self.service_cidrs,
        }
    }

    fn node_line(&mut self, text: &str) {
        let settings = &mut self.settings;
        for word in text.split_whitespace() {
            match word.split_once('=').unwrap_or((word, "")) {
                ("zone", zone) => self.node.zone = zone.to_owned(),
                ("cidr", net) => settings.local_detector = LocalDetector::Cidr(net.parse().unwrap()),
                ("masquerade-all", _) => settings.masquerade_all = true,
                ("localhost", _) => settings.localhost_node_ports = true,
                ("nodeports", ips) => {
                    let ips = ips.split(',').map(|ip| ip.parse().unwrap()).collect();
                    settings.node_ports = NodePortDestinations::Only(ips);
                }
                ("service-cidr", net) => self.service_cidrs.push(net.to_owned()),
                ("family", "IPv6") => *settings = self::settings(Family::V6),
                other => panic!("unknown node word: {other:?}"),
            }
        }
    }

    fn service_line(&mut self, text: &str) -> ServicePortName {
        let mut words = text.split_whitespace();
        let (service, port_name) = split_name(words.next().unwrap());
        let protocol = Protocol::from_api(&words.next().unwrap().to_uppercase()).unwrap();
        let address: SocketAddr = words.next().unwrap().parse().unwrap();
        let name = ServicePortName {
            service,
            port: port_name.into(),
            protocol,
        };
        let mut port = plain_port(address);
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("nodeport", n) => port.node_port = Some(n.parse().unwrap()),
                ("health", n) => port.health_check_node_port = Some(n.parse().unwrap()),
                ("external-ip", ip) => port.external_ips.push(ip.parse().unwrap()),
                ("vip", ip) => port.load_balancer_vips.push(ip.parse().unwrap()),
                ("source", net) => port.source_ranges.push(net.parse().unwrap()),
                ("affinity", seconds) => port.affinity_seconds = Some(seconds.parse().unwrap()),
                ("internal", "Local") => port.internal_policy = TrafficPolicy::Local,
                ("external", "Local") => port.external_policy = TrafficPolicy::Local,
                other => panic!("unknown service word: {other:?}"),
            }
        }
        self.service_ports.insert(name.clone(), port);
        name
    }
}

fn settings(family: Family) -> Settings {
    Settings {
        family,
        masquerade_all: false,
        masquerade_bit: 14,
        local_detector: LocalDetector::Unknown,
        node_ports: NodePortDestinations::AllLocal,
        localhost_node_ports: false,
        conntrack_tcp_liberal: false,
        node_ip: if family == Family::V4 {
            "192.0.2.1"
        } else {
            "2001:db8::1"
        }
        .parse()
        .unwrap(),
        random_fully: true,
    }
}

fn plain_port(address: SocketAddr) -> ServicePort {
    ServicePort {
        cluster_ip: address.ip(),
        port: address.port(),
        node_port: None,
        external_ips: Vec::new(),
        load_balancer_vips: Vec::new(),
        source_ranges: Vec::new(),
        affinity_seconds: None,
        health_check_node_port: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
    }
}

fn split_name(text: &str) -> (ServiceName, &str) {
    let (service, port) = text.split_once(':').unwrap_or((text, ""));
    let (namespace, name) = service.split_once('/').unwrap();
    (ServiceName::new(namespace, name), port)
}

fn endpoint(text: &str) -> Endpoint {
    let mut words = text.split_whitespace();
    let mut endpoint = Endpoint {
        address: words.next().unwrap().parse().unwrap(),
        local: false,
        ready: true,
        serving: true,
        terminating: false,
        zone_hints: [].into(),
        node_hints: [].into(),
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("local", _) => endpoint.local = true,
            ("not-ready", _) => (endpoint.ready, endpoint.serving) = (false, false),
            ("terminating", _) => (endpoint.ready, endpoint.terminating) = (false, true),
            ("zones", list) => endpoint.zone_hints = list.split(',').map(str::to_owned).collect(),
            ("nodes", list) => endpoint.node_hints = list.split(',').map(str::to_owned).collect(),
            other => panic!("unknown endpoint word: {other:?}"),
        }
    }
    endpoint
}
