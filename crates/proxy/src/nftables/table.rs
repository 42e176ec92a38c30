//! The fixed part of the table: hooks, dispatch, refusal, firewall, masquerading.

use std::collections::BTreeMap;

use super::names::*;
use super::rules::{Chain, Container, ContainerKind, Elements, RuleSet};
use crate::local_detector::Origin;
use crate::model::Family;
use crate::rules::{Input, NodePortDestinations, Settings};

/// Base chain, its hook, and the jumps in it.
type Hook = (&'static str, &'static str, &'static [&'static str]);

/// Rejecting is only allowed in input, forward and output; the firewall has to see addresses before they are
/// translated.
const HOOKS: &[Hook] = &[
    (
        "filter-prerouting-pre-dnat",
        "type filter hook prerouting priority dstnat - 10;",
        &["ct state new jump firewall-check"],
    ),
    (
        "filter-output-pre-dnat",
        "type filter hook output priority -110;",
        &["ct state new jump firewall-check"],
    ),
    (
        "filter-input",
        "type filter hook input priority filter;",
        &[
            "ct state new jump nodeport-endpoints-check",
            "ct state new jump service-endpoints-check",
        ],
    ),
    (
        "filter-forward",
        "type filter hook forward priority filter;",
        &[
            "ct state new jump service-endpoints-check",
            "ct state new jump cluster-ips-check",
        ],
    ),
    (
        "filter-output",
        "type filter hook output priority filter;",
        &[
            "ct state new jump service-endpoints-check",
            "ct state new jump cluster-ips-check",
        ],
    ),
    (
        "nat-prerouting",
        "type nat hook prerouting priority dstnat;",
        &["jump services"],
    ),
    (
        "nat-output",
        "type nat hook output priority -100;",
        &["jump services"],
    ),
    (
        "nat-postrouting",
        "type nat hook postrouting priority srcnat;",
        &["jump masquerading"],
    ),
];

pub fn write(rules: &mut RuleSet, input: &Input<'_>) {
    for (name, hook, jumps) in HOOKS {
        let jumps = jumps.iter().map(|jump| (*jump).to_owned()).collect();
        rules.chains.insert(
            (*name).to_owned(),
            Chain {
                hook: Some(hook),
                rules: jumps,
            },
        );
    }
    declare_containers(rules, input.settings);
    write_masquerading(rules, input.settings);
    write_cluster_ips_check(rules, input);
    write_refusals(rules, input.settings);
    write_dispatch(rules, input.settings);
}

fn declare_containers(rules: &mut RuleSet, settings: &Settings) {
    let address = address_type(settings.family);
    let destination = format!("type {address} . inet_proto . inet_service : verdict;");
    let node_port = "type inet_proto . inet_service : verdict;";
    let hairpin = format!("type {address} . {address} . inet_proto . inet_service;");
    let addresses = format!("type {address};");
    let all: [(&str, ContainerKind, &str); 7] = [
        (SERVICE_IPS, ContainerKind::Map, &destination),
        (NO_ENDPOINT_SERVICES, ContainerKind::Map, &destination),
        (FIREWALL_IPS, ContainerKind::Map, &destination),
        (SERVICE_NODE_PORTS, ContainerKind::Map, node_port),
        (NO_ENDPOINT_NODE_PORTS, ContainerKind::Map, node_port),
        (HAIRPIN_CONNECTIONS, ContainerKind::Set, &hairpin),
        (CLUSTER_IPS, ContainerKind::Set, &addresses),
    ];
    for (name, kind, definition) in all {
        declare(rules, name, kind, definition);
    }
    if let NodePortDestinations::Only(ips) = &settings.node_ports {
        declare(rules, NODE_PORT_IPS, ContainerKind::Set, &addresses);
        for ip in ips.iter().filter(|ip| !ip.is_loopback()) {
            rules.element(NODE_PORT_IPS, ip.to_string(), String::new());
        }
    }
}

fn declare(rules: &mut RuleSet, name: &str, kind: ContainerKind, definition: &str) {
    let elements = Elements::Listed(BTreeMap::new());
    rules.containers.insert(
        name.to_owned(),
        Container {
            kind,
            definition: definition.to_owned(),
            elements,
        },
    );
}

fn write_masquerading(rules: &mut RuleSet, settings: &Settings) {
    let (ip, mark) = (family(settings.family), settings.masquerade_mark());
    // The mark is cleared, so that a packet that passes twice (a tunnel, say) isn't masqueraded twice.
    rules.rule(
        MASQUERADING,
        format!("meta mark and {mark} != 0 meta mark set meta mark xor {mark} masquerade fully-random"),
    );
    // An endpoint that reaches itself through a service must not see its own address as the source.
    rules.rule(
        MASQUERADING,
        format!(
            "ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport @{HAIRPIN_CONNECTIONS} \
             masquerade fully-random"
        ),
    );
}

fn write_cluster_ips_check(rules: &mut RuleSet, input: &Input<'_>) {
    let ip = family(input.settings.family);
    rules.rule(
        CLUSTER_IPS_CHECK,
        format!("{ip} daddr @{CLUSTER_IPS} reject comment \"Reject traffic to invalid ports of ClusterIPs\""),
    );
    if !input.service_cidrs.is_empty() {
        let ranges = input.service_cidrs.join(", ");
        rules.rule(
            CLUSTER_IPS_CHECK,
            format!("{ip} daddr {{ {ranges} }} drop comment \"Drop traffic to unallocated ClusterIPs\""),
        );
    }
}

/// Matches node port traffic by its address; translation happens before `input`, so that only untranslated
/// traffic is still addressed to a node port there.
fn node_port_match(settings: &Settings) -> String {
    let ip = family(settings.family);
    match &settings.node_ports {
        NodePortDestinations::Only(_) => format!("{ip} daddr @{NODE_PORT_IPS}"),
        NodePortDestinations::AllLocal if settings.family == Family::V4 => {
            "ip daddr != 127.0.0.0/8".to_owned()
        }
        NodePortDestinations::AllLocal => "ip6 daddr != ::1".to_owned(),
    }
}

fn write_refusals(rules: &mut RuleSet, settings: &Settings) {
    let ip = family(settings.family);
    rules.rule(REJECT, "reject");
    rules.rule(
        SERVICE_ENDPOINTS_CHECK,
        format!("{ip} daddr . meta l4proto . th dport vmap @{NO_ENDPOINT_SERVICES}"),
    );
    rules.rule(
        NODE_PORT_ENDPOINTS_CHECK,
        format!(
            "{} meta l4proto . th dport vmap @{NO_ENDPOINT_NODE_PORTS}",
            node_port_match(settings)
        ),
    );
    rules.rule(
        FIREWALL_CHECK,
        format!("{ip} daddr . meta l4proto . th dport vmap @{FIREWALL_IPS}"),
    );
}

fn write_dispatch(rules: &mut RuleSet, settings: &Settings) {
    let ip = family(settings.family);
    let masquerade = masquerade(settings);
    if settings.masquerade_all {
        rules.rule(
            SERVICES,
            format!("{ip} daddr @{CLUSTER_IPS} {masquerade} comment \"masquerade all clusterIP traffic\""),
        );
    } else if let Some(not_local) = settings.local_detector.nftables(Origin::NotLocal) {
        // Outsiders may reach the service range by a route through this node, and the answer has to come back
        // the same way.
        rules.rule(
            SERVICES,
            format!(
                "{ip} daddr @{CLUSTER_IPS} {not_local} {masquerade} \
                 comment \"masquerade clusterIP traffic from outside cluster\""
            ),
        );
    }
    rules.rule(
        SERVICES,
        format!("{ip} daddr . meta l4proto . th dport vmap @{SERVICE_IPS}"),
    );
    let local = match settings.node_ports {
        NodePortDestinations::AllLocal => "fib daddr type local ",
        NodePortDestinations::Only(_) => "",
    };
    rules.rule(
        SERVICES,
        format!(
            "{local}{} meta l4proto . th dport vmap @{SERVICE_NODE_PORTS}",
            node_port_match(settings)
        ),
    );
}

/// The statement that asks `masquerading` for source NAT.
pub fn masquerade(settings: &Settings) -> String {
    format!("meta mark set meta mark or {}", settings.masquerade_mark())
}
