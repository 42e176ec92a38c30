//! The elements and chains of one service port.

use std::net::IpAddr;

use super::names::*;
use super::rules::{Container, ContainerKind, Elements, RuleSet};
use super::table::masquerade;
use crate::local_detector::Origin;
use crate::model::{Endpoint, TrafficPolicy};
use crate::rules::{Disposition, Routing, Settings};

/// Writes everything `routing` asks for.
pub fn write_service(rules: &mut RuleSet, routing: &Routing<'_>, settings: &Settings) {
    let chains = ServiceChains::new(routing.name);
    let mut writer = Writer {
        rules,
        routing,
        settings,
        chains: &chains,
    };
    writer.capture_cluster_ip();
    writer.capture_external_addresses();
    writer.capture_node_port();
    writer.note_hairpins();
    if routing.uses_external_chain() {
        writer.write_external_chain();
    }
    if routing.has_firewall() {
        writer.write_firewall_chain();
    }
    if routing.uses_cluster_chain() {
        writer.write_balancing(&chains.cluster, &routing.endpoints.cluster);
    }
    if routing.uses_local_chain() {
        writer.write_balancing(&chains.local, &routing.endpoints.local);
    }
    if let Some(seconds) = routing.port.affinity_seconds {
        writer.write_sticky_endpoints(seconds);
    }
}

struct Writer<'a> {
    rules: &'a mut RuleSet,
    routing: &'a Routing<'a>,
    settings: &'a Settings,
    chains: &'a ServiceChains,
}

/// The verdict that refuses traffic.
fn refusal(disposition: Disposition) -> Option<String> {
    match disposition {
        Disposition::Serve(_) => None,
        Disposition::Reject => Some(format!("goto {REJECT}")),
        Disposition::Drop => Some("drop".to_owned()),
    }
}

impl Writer<'_> {
    fn policy_chain(&self, policy: TrafficPolicy) -> &str {
        match policy {
            TrafficPolicy::Cluster => &self.chains.cluster,
            TrafficPolicy::Local => &self.chains.local,
        }
    }

    fn destination(&self, ip: IpAddr) -> String {
        format!("{ip} . {} . {}", self.routing.protocol(), self.routing.port.port)
    }

    fn capture_cluster_ip(&mut self) {
        let ip = self.routing.port.cluster_ip;
        self.rules.element(CLUSTER_IPS, ip.to_string(), String::new());
        let key = self.destination(ip);
        if let Disposition::Serve(policy) = self.routing.internal {
            let verdict = format!("goto {}", self.policy_chain(policy));
            self.rules.element(SERVICE_IPS, key, verdict);
        } else if let Some(verdict) = refusal(self.routing.internal) {
            self.rules.element(NO_ENDPOINT_SERVICES, key, verdict);
        }
    }

    fn capture_external_addresses(&mut self) {
        let port = self.routing.port;
        for ip in port.external_ips.iter().chain(&port.load_balancer_vips) {
            let key = self.destination(*ip);
            if self.routing.endpoints.any {
                let verdict = format!("goto {}", self.chains.external);
                self.rules.element(SERVICE_IPS, key.clone(), verdict);
            }
            if let Some(verdict) = refusal(self.routing.external) {
                self.rules.element(NO_ENDPOINT_SERVICES, key, verdict);
            }
        }
        if self.routing.has_firewall() {
            for ip in &port.load_balancer_vips {
                let verdict = format!("goto {}", self.chains.firewall);
                self.rules.element(FIREWALL_IPS, self.destination(*ip), verdict);
            }
        }
    }

    fn capture_node_port(&mut self) {
        let Some(node_port) = self.routing.port.node_port else {
            return;
        };
        let key = format!("{} . {node_port}", self.routing.protocol());
        if self.routing.endpoints.any {
            let verdict = format!("goto {}", self.chains.external);
            self.rules.element(SERVICE_NODE_PORTS, key.clone(), verdict);
        }
        if let Some(verdict) = refusal(self.routing.external) {
            self.rules.element(NO_ENDPOINT_NODE_PORTS, key, verdict);
        }
    }

    fn note_hairpins(&mut self) {
        let protocol = self.routing.protocol();
        for endpoint in self.routing.endpoints.reachable.iter().filter(|e| e.local) {
            let (ip, port) = (endpoint.address.ip(), endpoint.address.port());
            let key = format!("{ip} . {ip} . {protocol} . {port}");
            self.rules.element(HAIRPIN_CONNECTIONS, key, String::new());
        }
    }

    fn write_external_chain(&mut self) {
        let chain = &self.chains.external;
        let masquerade = masquerade(self.settings);
        match self.routing.port.external_policy {
            // The endpoint may be on another node, and its answer has to pass here to be translated back.
            TrafficPolicy::Cluster => self
                .rules
                .rule(chain, format!("{masquerade} comment \"masquerade\"")),
            TrafficPolicy::Local => {
                // Pods and the node reach every endpoint even when outsiders only reach local ones.
                let cluster = &self.chains.cluster;
                if let Some(local) = self.settings.local_detector.nftables(Origin::Local) {
                    let rule = format!("{local} goto {cluster} comment \"short-circuit pod traffic\"");
                    self.rules.rule(chain, rule);
                }
                let source = "fib saddr type local";
                self.rules.rule(
                    chain,
                    format!("{source} {masquerade} comment \"masquerade local traffic\""),
                );
                let rule = format!("{source} goto {cluster} comment \"short-circuit local traffic\"");
                self.rules.rule(chain, rule);
            }
        }
        if let Disposition::Serve(policy) = self.routing.external {
            let target = format!("goto {}", self.policy_chain(policy));
            self.rules.rule(&self.chains.external, target);
        }
    }

    fn write_firewall_chain(&mut self) {
        let port = self.routing.port;
        let mut sources: Vec<String> = port.source_ranges.iter().map(ToString::to_string).collect();
        if self.routing.firewall_admits_node(self.settings.node_ip) {
            sources.extend(port.load_balancer_vips.iter().map(ToString::to_string));
        }
        let rule = format!(
            "{} saddr != {{ {} }} drop",
            family(self.settings.family),
            sources.join(", ")
        );
        self.rules.rule(&self.chains.firewall, rule);
    }

    fn write_balancing(&mut self, chain: &str, endpoints: &[&Endpoint]) {
        self.rules.ensure_chain(chain);
        let ip = family(self.settings.family);
        let count = endpoints.len();
        if self.routing.port.affinity_seconds.is_none() {
            let targets: Vec<_> = endpoints
                .iter()
                .enumerate()
                .map(|(i, e)| format!("{i} : {} . {}", e.address.ip(), e.address.port()))
                .collect();
            let rule = format!(
                "meta l4proto {} dnat {ip} addr . port to numgen random mod {count} map {{ {} }}",
                self.routing.protocol(),
                targets.join(", ")
            );
            return self.rules.rule(chain, rule);
        }
        let names: Vec<_> = endpoints
            .iter()
            .map(|e| EndpointNames::new(self.routing.name, e.address))
            .collect();
        for name in &names {
            self.rules.rule(
                chain,
                format!("{ip} saddr @{} goto {}", name.affinity, name.chain),
            );
        }
        let targets: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| format!("{i} : goto {}", name.chain))
            .collect();
        self.rules.rule(
            chain,
            format!("numgen random mod {count} vmap {{ {} }}", targets.join(", ")),
        );
    }

    /// A chain for each endpoint, which remembers the client. The timeout stands in the rule rather than in the
    /// set: a set's timeout can't be changed while rules refer to it.
    fn write_sticky_endpoints(&mut self, seconds: u32) {
        let ip = family(self.settings.family);
        let definition = format!(
            "type {}; flags dynamic, timeout;",
            address_type(self.settings.family)
        );
        for endpoint in &self.routing.endpoints.reachable {
            let names = EndpointNames::new(self.routing.name, endpoint.address);
            let set = Container {
                kind: ContainerKind::Set,
                definition: definition.clone(),
                elements: Elements::Dynamic,
            };
            let remember = format!("update @{} {{ {ip} saddr timeout {seconds}s }}", names.affinity);
            self.rules.containers.insert(names.affinity, set);
            self.rules.rule(&names.chain, remember);
            let translate = format!(
                "meta l4proto {} dnat to {}",
                self.routing.protocol(),
                endpoint.address
            );
            self.rules.rule(&names.chain, translate);
        }
    }
}
