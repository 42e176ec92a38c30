//! NetworkPolicies.

use api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::int_or_string::IntOrString;
use apimachinery::validation::{is_cidr_legacy, is_valid_port_name, is_valid_port_num, parse_cidr_sloppy};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::service::addresses::Cidr;
use crate::metadata::messages;
use crate::rules::Rules;
use crate::{label_selector, table, warnings};

const INGRESS: &str = "Ingress";
const EGRESS: &str = "Egress";
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// NetworkPolicies.
pub struct NetworkPolicies;

impl Rules for NetworkPolicies {
    type Object = NetworkPolicy;

    crate::generation!(spec);

    fn default(policy: &mut NetworkPolicy) {
        let spec = &mut policy.spec;
        let ingress = spec.ingress.iter_mut().flat_map(|rule| &mut rule.ports);
        let egress = spec.egress.iter_mut().flat_map(|rule| &mut rule.ports);
        for port in ingress.chain(egress) {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        if spec.policy_types.is_empty() {
            spec.policy_types.push(INGRESS.to_owned());
            if !spec.egress.is_empty() {
                spec.policy_types.push(EGRESS.to_owned());
            }
        }
    }

    fn validate(policy: &NetworkPolicy) -> ErrorList {
        validate(policy, &[])
    }

    fn validate_update(_cx: &Context<'_>, policy: &NetworkPolicy, old: &NetworkPolicy) -> ErrorList {
        validate(policy, &ranges(old))
    }

    fn warnings(policy: &NetworkPolicy, _old: Option<&NetworkPolicy>) -> Vec<String> {
        let spec = Path::new("spec");
        let mut all = Vec::new();
        for (index, rule) in policy.spec.ingress.iter().enumerate() {
            let path = spec.child("ingress").index(index).child("from");
            all.extend(peer_warnings(&rule.from, &path));
        }
        for (index, rule) in policy.spec.egress.iter().enumerate() {
            let path = spec.child("egress").index(index).child("to");
            all.extend(peer_warnings(&rule.to, &path));
        }
        all
    }

    fn row(object: &NetworkPolicy, now: Timestamp) -> Vec<Value> {
        table::network::network_policy(object, now)
    }
}

/// Every range that the policy names.
fn ranges(policy: &NetworkPolicy) -> Vec<String> {
    let from = policy.spec.ingress.iter().flat_map(|rule| &rule.from);
    let to = policy.spec.egress.iter().flat_map(|rule| &rule.to);
    from.chain(to)
        .filter_map(|peer| peer.ip_block.as_deref())
        .flat_map(|block| std::iter::once(&block.cidr).chain(&block.except))
        .cloned()
        .collect()
}

/// `known`: ranges that the stored policy has; they may be in a form that is no longer taken.
fn validate(policy: &NetworkPolicy, known: &[String]) -> ErrorList {
    let (spec, path) = (&policy.spec, Path::new("spec"));
    let mut errors = label_selector::validate(&spec.pod_selector, &path.child("podSelector"));
    for (index, rule) in spec.ingress.iter().enumerate() {
        let path = path.child("ingress").index(index);
        errors.extend(validate_rule(&rule.ports, &rule.from, known, &path, "from"));
    }
    for (index, rule) in spec.egress.iter().enumerate() {
        let path = path.child("egress").index(index);
        errors.extend(validate_rule(&rule.ports, &rule.to, known, &path, "to"));
    }
    let types = path.child("policyTypes");
    if spec.policy_types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.push(Error::invalid(&types, spec.policy_types.as_slice(), detail));
        return errors;
    }
    for (index, kind) in spec.policy_types.iter().enumerate() {
        if !matches!(kind.as_str(), INGRESS | EGRESS) {
            errors.push(Error::not_supported(
                &types.index(index),
                kind.as_str(),
                &[INGRESS, EGRESS],
            ));
        }
    }
    errors
}

fn validate_rule(
    ports: &[NetworkPolicyPort],
    peers: &[NetworkPolicyPeer],
    known: &[String],
    path: &Path,
    side: &'static str,
) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, port) in ports.iter().enumerate() {
        errors.extend(validate_port(port, &path.child("ports").index(index)));
    }
    for (index, peer) in peers.iter().enumerate() {
        errors.extend(validate_peer(peer, known, &path.child(side).index(index)));
    }
    errors
}

fn validate_port(port: &NetworkPolicyPort, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(protocol) = &port.protocol
        && !PROTOCOLS.contains(&protocol.as_str())
    {
        errors.push(Error::not_supported(
            &path.child("protocol"),
            protocol.as_str(),
            &PROTOCOLS,
        ));
    }
    let (at, end_at) = (path.child("port"), path.child("endPort"));
    let invalid = |path: &Path, number: i32, detail: &str| Error::invalid(path, number, detail);
    match (&port.port, port.end_port) {
        (Some(IntOrString::Int(number)), end) => {
            let wrong = |path: &Path, number: i32| -> ErrorList {
                let wrong = is_valid_port_num(number.into());
                wrong.iter().map(|detail| invalid(path, number, detail)).collect()
            };
            errors.extend(wrong(&at, *number));
            if let Some(end) = end {
                if end < *number {
                    let detail = "must be greater than or equal to `port`";
                    errors.push(invalid(&end_at, *number, detail));
                }
                errors.extend(wrong(&end_at, end));
            }
        }
        (Some(IntOrString::String(name)), end) => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is non-numeric";
                errors.push(invalid(&end_at, end, detail));
            }
            errors.extend(messages(&at, name, is_valid_port_name(name)));
        }
        (None, Some(end)) => {
            let detail = "may not be specified when `port` is not specified";
            errors.push(invalid(&end_at, end, detail));
        }
        (None, None) => {}
    }
    errors
}

fn validate_peer(peer: &NetworkPolicyPeer, known: &[String], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut peers = 0;
    for (selector, field) in [
        (&peer.pod_selector, "podSelector"),
        (&peer.namespace_selector, "namespaceSelector"),
    ] {
        if let Some(selector) = selector {
            peers += 1;
            errors.extend(label_selector::validate(selector, &path.child(field)));
        }
    }
    if let Some(block) = &peer.ip_block {
        peers += 1;
        errors.extend(validate_block(block, known, &path.child("ipBlock")));
    }
    if peers == 0 {
        errors.push(Error::required(path, "must specify a peer"));
    } else if peers > 1 && peer.ip_block.is_some() {
        let detail = "may not specify both ipBlock and another peer";
        errors.push(Error::forbidden(path, detail));
    }
    errors
}

fn validate_block(block: &IPBlock, known: &[String], path: &Path) -> ErrorList {
    let at = path.child("cidr");
    if block.cidr.is_empty() {
        return vec![Error::required(&at, "")];
    }
    let mut errors = is_cidr_legacy(&at, &block.cidr, known);
    let (Some((_, bits)), Some(range)) = (parse_cidr_sloppy(&block.cidr), Cidr::parse(&block.cidr)) else {
        return errors;
    };
    for (index, except) in block.except.iter().enumerate() {
        let at = path.child("except").index(index);
        errors.extend(is_cidr_legacy(&at, except, known));
        let Some((address, except_bits)) = parse_cidr_sloppy(except) else {
            continue;
        };
        if !range.contains(address) || bits >= except_bits {
            let detail = "must be a strict subset of `cidr`";
            errors.push(Error::invalid(&at, except.as_str(), detail));
        }
    }
    errors
}

fn peer_warnings(peers: &[NetworkPolicyPeer], path: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for (index, peer) in peers.iter().enumerate() {
        let Some(block) = &peer.ip_block else { continue };
        let path = path.index(index).child("ipBlock");
        all.extend(warnings::cidr(&block.cidr, &path.child("cidr")));
        for (index, except) in block.except.iter().enumerate() {
            all.extend(warnings::cidr(except, &path.child("except").index(index)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        let mut policy: NetworkPolicy = crate::rules::tests::parse(&serde_json::json!({ "spec": spec }));
        NetworkPolicies::default(&mut policy);
        let errors: Vec<String> = validate(&policy, &[]).iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn defaults_imply_directions_and_protocols() {
        let mut policy: NetworkPolicy = crate::rules::tests::parse(
            &serde_json::json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}}),
        );
        NetworkPolicies::default(&mut policy);
        assert_eq!(policy.spec.policy_types, [INGRESS, EGRESS]);
        assert_eq!(policy.spec.egress[0].ports[0].protocol.as_deref(), Some("TCP"));
    }

    #[test]
    fn says_what_is_wrong() {
        check(serde_json::json!({"podSelector": {}}), &[]);
        check(
            serde_json::json!({"podSelector": {}, "ingress": [{
                "ports": [{"port": 90, "endPort": 80}, {"endPort": 8}, {"port": "UPPER", "protocol": "X"}],
                "from": [{}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}],
            }]}),
            &[
                "spec.ingress[0].ports[0].endPort: Invalid value: 90: must be greater than or equal to `port`",
                "spec.ingress[0].ports[1].endPort: Invalid value: 8: may not be specified when `port` is not specified",
                "spec.ingress[0].ports[2].protocol: Unsupported value: \"X\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
                "spec.ingress[0].ports[2].port: Invalid value: \"UPPER\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "spec.ingress[0].ports[2].port: Invalid value: \"UPPER\": must contain at least one letter (a-z)",
                "spec.ingress[0].from[0]: Required value: must specify a peer",
                "spec.ingress[0].from[1].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
                "spec.ingress[0].from[1]: Forbidden: may not specify both ipBlock and another peer",
            ],
        );
    }
}
