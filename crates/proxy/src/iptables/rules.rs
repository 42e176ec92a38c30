//! The rule set as a value.

use std::collections::BTreeMap;
use std::fmt;

use super::chain_names as chains;
use super::service_rules::write_service;
use crate::model::Family;
use crate::rules::{Input, NoLocalEndpoints, NodePortDestinations, Routing, Settings};

/// Above this many endpoints, comments on per-service rules are left out: they are a third of the text.
const LARGE_CLUSTER_ENDPOINTS: usize = 1000;

/// The rules of one chain, as `-A` lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub text: String,
    pub rules: usize,
}

/// The chains of one table that belong to the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub chains: BTreeMap<String, Chain>,
}

impl Table {
    /// Makes the chain exist, even if no rule follows.
    pub fn ensure(&mut self, chain: &str) {
        if !self.chains.contains_key(chain) {
            self.chains.insert(chain.to_owned(), Chain::default());
        }
    }

    /// Appends a rule: what follows `-A CHAIN `.
    pub fn append(&mut self, chain: &str, rule: fmt::Arguments<'_>) {
        self.ensure(chain);
        if let Some(entry) = self.chains.get_mut(chain) {
            entry.text.push_str("-A ");
            entry.text.push_str(chain);
            entry.text.push(' ');
            // Writing to a String cannot fail.
            let _ = fmt::Write::write_fmt(&mut entry.text, rule);
            entry.text.push('\n');
            entry.rules += 1;
        }
    }

    pub fn rules(&self) -> usize {
        self.chains.values().map(|chain| chain.rules).sum()
    }
}

/// Everything the proxy wants in iptables, in one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    pub filter: Table,
    pub nat: Table,
}

/// Compiles the rule set; also says how many services lack local endpoints.
pub fn compile(input: &Input<'_>) -> (RuleSet, NoLocalEndpoints) {
    let mut rules = RuleSet::default();
    let mut missing = NoLocalEndpoints::default();
    write_base(&mut rules, input.settings);
    let total: usize = input
        .service_ports
        .keys()
        .filter_map(|n| input.endpoints.get(n))
        .map(Vec::len)
        .sum();
    let comments = if total > LARGE_CLUSTER_ENDPOINTS {
        Comments::Omit
    } else {
        Comments::Write
    };
    for (name, port) in input.service_ports {
        let routing = Routing::new(name, port, input);
        missing.count(&routing);
        write_service(&mut rules, &routing, input.settings, comments);
    }
    write_node_port_jump(&mut rules, input.settings);
    write_forward(&mut rules, input.settings);
    (rules, missing)
}

/// Whether per-endpoint rules say which service they serve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    Write,
    Omit,
}

fn write_base(rules: &mut RuleSet, settings: &Settings) {
    use chains::*;
    for chain in [SERVICES, EXTERNAL_SERVICES, FORWARD, NODE_PORTS, PROXY_FIREWALL] {
        rules.filter.ensure(chain);
    }
    for chain in [SERVICES, NODE_PORTS] {
        rules.nat.ensure(chain);
    }
    let mark = settings.masquerade_mark();
    let nat = &mut rules.nat;
    nat.append(
        POSTROUTING,
        format_args!("-m mark ! --mark {mark}/{mark} -j RETURN"),
    );
    // The mark is cleared, so that a packet that passes twice (a tunnel, say) isn't masqueraded twice.
    nat.append(POSTROUTING, format_args!("-j MARK --xor-mark {mark}"));
    let random = if settings.random_fully {
        " --random-fully"
    } else {
        ""
    };
    nat.append(
        POSTROUTING,
        format_args!(
            "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE{random}"
        ),
    );
    nat.append(MARK_MASQ, format_args!("-j MARK --or-mark {mark}"));
    if settings.family == Family::V4 && settings.localhost_node_ports {
        // `route_localnet` lets neighbours send to 127.0.0.0/8 (CVE-2020-8558); kubelet makes the same rule.
        rules.filter.append(
            KUBELET_FIREWALL,
            format_args!(
                "-m comment --comment \"block incoming localnet connections\" -d 127.0.0.0/8 ! -s 127.0.0.0/8 \
                 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
            ),
        );
    }
}

/// The way to the node ports: the last rule of the services chain, since it matches every local address.
fn write_node_port_jump(rules: &mut RuleSet, settings: &Settings) {
    const COMMENT: &str = "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\"";
    let mut jump = |destination: &str| {
        rules.nat.append(
            chains::SERVICES,
            format_args!("{COMMENT} {destination} -j {}", chains::NODE_PORTS),
        );
    };
    match &settings.node_ports {
        NodePortDestinations::AllLocal => jump(match settings.family {
            Family::V6 => "-m addrtype --dst-type LOCAL ! -d ::1/128",
            Family::V4 if settings.localhost_node_ports => "-m addrtype --dst-type LOCAL",
            Family::V4 => "-m addrtype --dst-type LOCAL ! -d 127.0.0.0/8",
        }),
        NodePortDestinations::Only(addresses) => {
            let works = |ip: &&std::net::IpAddr| {
                !ip.is_loopback() || (settings.family == Family::V4 && settings.localhost_node_ports)
            };
            for ip in addresses.iter().filter(works) {
                jump(&format!("-d {ip}"));
            }
        }
    }
}

fn write_forward(rules: &mut RuleSet, settings: &Settings) {
    let mark = settings.masquerade_mark();
    let filter = &mut rules.filter;
    if !settings.conntrack_tcp_liberal {
        // Without this, a delayed packet that conntrack calls invalid reaches the client untranslated and
        // resets its connection (kubernetes/kubernetes#74839).
        filter.append(
            chains::FORWARD,
            format_args!("-m conntrack --ctstate INVALID -j DROP"),
        );
    }
    filter.append(
        chains::FORWARD,
        format_args!(
            "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark {mark}/{mark} -j ACCEPT"
        ),
    );
    filter.append(
        chains::FORWARD,
        format_args!(
            "-m comment --comment \"kubernetes forwarding conntrack rule\" \
             -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        ),
    );
}
