//! The rules of one service port: capture in the shared chains, then its own chains.

use std::net::IpAddr;

use super::chain_names::{self as chains, ServiceChains, endpoint_chain};
use super::rules::{Comments, RuleSet};
use crate::local_detector::Origin;
use crate::model::{Endpoint, TrafficPolicy};
use crate::rules::{Disposition, Routing, Settings};

/// Writes everything `routing` asks for.
pub fn write_service(rules: &mut RuleSet, routing: &Routing<'_>, settings: &Settings, comments: Comments) {
    let chains = ServiceChains::new(routing.name);
    let mut writer = Writer {
        rules,
        routing,
        settings,
        chains: &chains,
        comments,
    };
    writer.capture_cluster_ip();
    writer.capture_external_addresses();
    writer.capture_node_port();
    writer.accept_health_checks();
    if routing.uses_external_chain() {
        writer.write_external_chain();
    }
    if routing.endpoints.any && routing.has_firewall() {
        writer.write_firewall_chain();
    }
    if routing.uses_cluster_chain() {
        writer.write_balancing(&chains.cluster, &routing.endpoints.cluster);
    }
    if routing.uses_local_chain() {
        writer.write_balancing(&chains.local, &routing.endpoints.local);
    }
    writer.write_endpoint_chains();
}

struct Writer<'a> {
    rules: &'a mut RuleSet,
    routing: &'a Routing<'a>,
    settings: &'a Settings,
    chains: &'a ServiceChains,
    comments: Comments,
}

/// Target and comment of the filter rule that refuses traffic.
fn refusal(disposition: Disposition) -> Option<(&'static str, &'static str)> {
    match disposition {
        Disposition::Serve(_) => None,
        Disposition::Reject => Some(("REJECT", "has no endpoints")),
        Disposition::Drop => Some(("DROP", "has no local endpoints")),
    }
}

impl Writer<'_> {
    fn policy_chain(&self, policy: TrafficPolicy) -> &str {
        match policy {
            TrafficPolicy::Cluster => &self.chains.cluster,
            TrafficPolicy::Local => &self.chains.local,
        }
    }

    /// Matches the service port on one of its addresses.
    fn destination(&self, ip: IpAddr) -> String {
        let protocol = self.routing.protocol();
        format!(
            "-m {protocol} -p {protocol} -d {ip} --dport {}",
            self.routing.port.port
        )
    }

    fn capture_cluster_ip(&mut self) {
        let name = self.routing.name;
        let destination = self.destination(self.routing.port.cluster_ip);
        let Disposition::Serve(policy) = self.routing.internal else {
            if let Some((target, why)) = refusal(self.routing.internal) {
                self.rules.filter.append(
                    chains::SERVICES,
                    format_args!("-m comment --comment \"{name} {why}\" {destination} -j {target}"),
                );
            }
            return;
        };
        let chain = self.policy_chain(policy).to_owned();
        let matched = format!("-m comment --comment \"{name} cluster IP\" {destination}");
        self.rules
            .nat
            .append(chains::SERVICES, format_args!("{matched} -j {chain}"));
        // Traffic from outside the pods may come by a route to the service range through this node; the answer
        // has to come back the same way, even if the endpoint is elsewhere.
        if self.settings.masquerade_all {
            self.rules
                .nat
                .append(&chain, format_args!("{matched} -j {}", chains::MARK_MASQ));
        } else if let Some(not_local) = self.settings.local_detector.iptables(Origin::NotLocal) {
            self.rules.nat.append(
                &chain,
                format_args!("{matched} {not_local} -j {}", chains::MARK_MASQ),
            );
        }
    }

    fn capture_external_addresses(&mut self) {
        let port = self.routing.port;
        for ip in &port.external_ips {
            self.capture_external(*ip, "external IP", &self.chains.external);
        }
        let firewall = self.routing.endpoints.any && self.routing.has_firewall();
        let chain = if firewall {
            &self.chains.firewall
        } else {
            &self.chains.external
        };
        for ip in &port.load_balancer_vips {
            self.capture_external(*ip, "loadbalancer IP", chain);
            if firewall {
                let (name, destination) = (self.routing.name, self.destination(*ip));
                self.rules.filter.append(
                    chains::PROXY_FIREWALL,
                    format_args!(
                        "-m comment --comment \"{name} traffic not accepted by {chain}\" {destination} -j DROP"
                    ),
                );
            }
        }
    }

    fn capture_external(&mut self, ip: IpAddr, what: &str, chain: &str) {
        let (name, destination) = (self.routing.name, self.destination(ip));
        if self.routing.endpoints.any {
            self.rules.nat.append(
                chains::SERVICES,
                format_args!("-m comment --comment \"{name} {what}\" {destination} -j {chain}"),
            );
        }
        if let Some((target, why)) = refusal(self.routing.external) {
            self.rules.filter.append(
                chains::EXTERNAL_SERVICES,
                format_args!("-m comment --comment \"{name} {why}\" {destination} -j {target}"),
            );
        }
    }

    fn capture_node_port(&mut self) {
        let Some(node_port) = self.routing.port.node_port else {
            return;
        };
        let (name, protocol) = (self.routing.name, self.routing.protocol());
        if self.routing.endpoints.any {
            let chain = &self.chains.external;
            self.rules.nat.append(
                chains::NODE_PORTS,
                format_args!(
                    "-m comment --comment {name} -m {protocol} -p {protocol} --dport {node_port} -j {chain}"
                ),
            );
        }
        if let Some((target, why)) = refusal(self.routing.external) {
            self.rules.filter.append(
                chains::EXTERNAL_SERVICES,
                format_args!(
                    "-m comment --comment \"{name} {why}\" -m addrtype --dst-type LOCAL \
                     -m {protocol} -p {protocol} --dport {node_port} -j {target}"
                ),
            );
        }
    }

    fn accept_health_checks(&mut self) {
        let Some(port) = self.routing.port.health_check_node_port else {
            return;
        };
        let name = self.routing.name;
        self.rules.filter.append(
            chains::NODE_PORTS,
            format_args!(
                "-m comment --comment \"{name} health check node port\" -m tcp -p tcp --dport {port} -j ACCEPT"
            ),
        );
    }

    fn write_external_chain(&mut self) {
        let (name, chain) = (self.routing.name, &self.chains.external);
        let nat = &mut self.rules.nat;
        nat.ensure(chain);
        match self.routing.port.external_policy {
            // The endpoint may be on another node, and its answer has to pass here to be translated back.
            TrafficPolicy::Cluster => nat.append(
                chain,
                format_args!(
                    "-m comment --comment \"masquerade traffic for {name} external destinations\" -j {}",
                    chains::MARK_MASQ
                ),
            ),
            TrafficPolicy::Local => self.write_short_circuits(),
        }
        if let Disposition::Serve(policy) = self.routing.external {
            let target = self.policy_chain(policy).to_owned();
            self.rules.nat.append(chain, format_args!("-j {target}"));
        }
    }

    /// Pods and the node itself reach every endpoint even when outsiders only reach local ones, as if they went
    /// out to the load balancer and came back in at the right node.
    fn write_short_circuits(&mut self) {
        let (name, chain, cluster) = (self.routing.name, &self.chains.external, &self.chains.cluster);
        let nat = &mut self.rules.nat;
        if let Some(local) = self.settings.local_detector.iptables(Origin::Local) {
            nat.append(
                chain,
                format_args!(
                    "-m comment --comment \"pod traffic for {name} external destinations\" {local} -j {cluster}"
                ),
            );
        }
        nat.append(
            chain,
            format_args!(
                "-m comment --comment \"masquerade LOCAL traffic for {name} external destinations\" \
                 -m addrtype --src-type LOCAL -j {}",
                chains::MARK_MASQ
            ),
        );
        nat.append(
            chain,
            format_args!(
                "-m comment --comment \"route LOCAL traffic for {name} external destinations\" \
                 -m addrtype --src-type LOCAL -j {cluster}"
            ),
        );
    }

    fn write_firewall_chain(&mut self) {
        let (name, chain, target) = (self.routing.name, &self.chains.firewall, &self.chains.external);
        let nat = &mut self.rules.nat;
        let mut admit = |source: String| {
            nat.append(
                chain,
                format_args!("-m comment --comment \"{name} loadbalancer IP\" -s {source} -j {target}"),
            );
        };
        for range in &self.routing.port.source_ranges {
            admit(range.to_string());
        }
        if self.routing.firewall_admits_node(self.settings.node_ip) {
            for vip in &self.routing.port.load_balancer_vips {
                admit(vip.to_string());
            }
        }
        nat.append(
            chain,
            format_args!(
                "-m comment --comment \"other traffic to {name} will be dropped by {}\"",
                chains::PROXY_FIREWALL
            ),
        );
    }

    /// One rule an endpoint, each taken with the probability that makes all equally likely.
    fn write_balancing(&mut self, chain: &str, endpoints: &[&Endpoint]) {
        self.rules.nat.ensure(chain);
        if let Some(seconds) = self.routing.port.affinity_seconds {
            for endpoint in endpoints {
                let target = endpoint_chain(self.routing.name, endpoint.address);
                let comment = self.endpoint_comment(endpoint);
                self.rules.nat.append(
                    chain,
                    format_args!(
                        "{comment}-m recent --name {target} --rcheck --seconds {seconds} --reap -j {target}"
                    ),
                );
            }
        }
        for (i, endpoint) in endpoints.iter().enumerate() {
            let target = endpoint_chain(self.routing.name, endpoint.address);
            let comment = self.endpoint_comment(endpoint);
            let chance = match endpoints.len() - i {
                1 => String::new(),
                n => format!("-m statistic --mode random --probability {:.10} ", 1.0 / n as f64),
            };
            self.rules
                .nat
                .append(chain, format_args!("{comment}{chance}-j {target}"));
        }
    }

    fn endpoint_comment(&self, endpoint: &Endpoint) -> String {
        match self.comments {
            Comments::Omit => String::new(),
            Comments::Write => {
                format!(
                    "-m comment --comment \"{} -> {}\" ",
                    self.routing.name, endpoint.address
                )
            }
        }
    }

    fn write_endpoint_chains(&mut self) {
        let (name, protocol) = (self.routing.name, self.routing.protocol());
        let comment = match self.comments {
            Comments::Omit => String::new(),
            Comments::Write => format!("-m comment --comment {name} "),
        };
        for endpoint in &self.routing.endpoints.reachable {
            let (address, ip) = (endpoint.address, endpoint.address.ip());
            let chain = endpoint_chain(name, address);
            let nat = &mut self.rules.nat;
            // An endpoint that reaches itself through the service must not see its own address as the source.
            nat.append(&chain, format_args!("{comment}-s {ip} -j {}", chains::MARK_MASQ));
            let remember = match self.routing.port.affinity_seconds {
                Some(_) => format!("-m recent --name {chain} --set "),
                None => String::new(),
            };
            nat.append(
                &chain,
                format_args!(
                    "{comment}{remember}-m {protocol} -p {protocol} -j DNAT --to-destination {address}"
                ),
            );
        }
    }
}
