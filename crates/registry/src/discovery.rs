//! EndpointSlices.

use std::collections::BTreeSet;

use api::discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{
    is_dns1123_label, is_fully_qualified_domain_name, is_ip, is_ip_legacy, is_qualified_name,
    is_valid_label_value, name_is_dns_subdomain,
};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::validation::one_of;
use crate::core::service::validation::{PROTOCOLS, validate_endpoint_ip};
use crate::metadata::{immutable_text, messages};
use crate::rules::Rules;
use crate::{table, warnings};

const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_ENDPOINTS: usize = 1000;
const MAX_HINTS: usize = 8;
const MAX_TOPOLOGY: usize = 16;
const HOST_NAME: &str = "kubernetes.io/hostname";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// They write no odd addresses, and often.
const CONTROLLERS: [&str; 2] = [
    "endpointslice-controller.k8s.io",
    "endpointslicemirroring-controller.k8s.io",
];
const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

/// EndpointSlices. The generation counts all changes but those of metadata, and changes of labels.
pub struct EndpointSlices;

impl Rules for EndpointSlices {
    type Object = EndpointSlice;
    const GENERATION: bool = true;

    fn default(slice: &mut EndpointSlice) {
        for port in &mut slice.ports {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
    }

    fn prepare_create(_cx: &Context<'_>, slice: &mut EndpointSlice) {
        slice
            .endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.deprecated_topology.clear());
    }

    fn prepare_update(_cx: &Context<'_>, slice: &mut EndpointSlice, old: &EndpointSlice) {
        if slice.endpoints != old.endpoints {
            drop_topology(slice, old);
        }
    }

    fn is_new_generation(slice: &EndpointSlice, old: &EndpointSlice) -> bool {
        slice.address_type != old.address_type
            || slice.endpoints != old.endpoints
            || slice.ports != old.ports
            || slice.metadata.labels != old.metadata.labels
    }

    fn validate(slice: &EndpointSlice) -> ErrorList {
        let mut errors = validate_head(slice);
        errors.extend(validate_endpoints(slice, &Path::new("endpoints")));
        errors
    }

    fn validate_update(_cx: &Context<'_>, slice: &EndpointSlice, old: &EndpointSlice) -> ErrorList {
        let mut errors = validate_head(slice);
        // What is stored may be older than the rules.
        if slice.endpoints != old.endpoints {
            errors.extend(validate_endpoints(slice, &Path::new("endpoints")));
        }
        errors.extend(immutable_text(
            &slice.address_type,
            &old.address_type,
            &Path::new("addressType"),
        ));
        errors
    }

    fn warnings(slice: &EndpointSlice, old: Option<&EndpointSlice>) -> Vec<String> {
        let mut all = Vec::new();
        if old.is_none() && slice.address_type == "FQDN" {
            all.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
        }
        let manager = slice.metadata.labels.get(MANAGED_BY).map(String::as_str);
        if manager.is_some_and(|name| CONTROLLERS.contains(&name)) {
            return all;
        }
        for (index, endpoint) in slice.endpoints.iter().enumerate() {
            let path = Path::new("endpoints").index(index).child("addresses");
            let addresses = endpoint.addresses.iter().enumerate();
            all.extend(addresses.filter_map(|(index, own)| warnings::address(own, &path.index(index))));
        }
        all
    }

    fn row(slice: &EndpointSlice, now: Timestamp) -> Vec<Value> {
        table::network::endpoint_slice(slice, now)
    }
}

/// Topology is no longer written. Where it used to name the node, that name moves to the field that has taken its place.
fn drop_topology(slice: &mut EndpointSlice, old: &EndpointSlice) {
    let known = |name: &str| {
        let mut names = old.endpoints.iter();
        names.any(|endpoint| endpoint.deprecated_topology.get(HOST_NAME).map(String::as_str) == Some(name))
    };
    for endpoint in &mut slice.endpoints {
        let topology = std::mem::take(&mut endpoint.deprecated_topology);
        let node = topology
            .get(HOST_NAME)
            .filter(|name| !name.is_empty() && known(name) && name_is_dns_subdomain(name, false).is_empty());
        if endpoint.node_name.is_none() {
            endpoint.node_name = node.cloned();
        }
    }
}

fn validate_head(slice: &EndpointSlice) -> ErrorList {
    let mut errors: ErrorList = one_of(&slice.address_type, &ADDRESS_TYPES, &Path::new("addressType"))
        .into_iter()
        .collect();
    errors.extend(validate_ports(&slice.ports, &Path::new("ports")));
    errors
}

fn validate_ports(ports: &[EndpointPort], path: &Path) -> ErrorList {
    if ports.len() > MAX_PORTS {
        return vec![Error::too_many(path, ports.len(), MAX_PORTS)];
    }
    let mut errors = ErrorList::new();
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            errors.extend(messages(&path.child("name"), name, is_dns1123_label(name)));
        }
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), Some(name)));
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        if !PROTOCOLS.contains(&protocol) {
            errors.push(Error::not_supported(
                &path.child("protocol"),
                protocol,
                &PROTOCOLS,
            ));
        }
        if let Some(protocol) = &port.app_protocol {
            errors.extend(messages(
                &path.child("appProtocol"),
                protocol,
                is_qualified_name(protocol),
            ));
        }
    }
    errors
}

fn validate_endpoints(slice: &EndpointSlice, path: &Path) -> ErrorList {
    if slice.endpoints.len() > MAX_ENDPOINTS {
        return vec![Error::too_many(path, slice.endpoints.len(), MAX_ENDPOINTS)];
    }
    let endpoints = slice.endpoints.iter().enumerate();
    endpoints
        .flat_map(|(index, endpoint)| validate_endpoint(endpoint, &slice.address_type, &path.index(index)))
        .collect()
}

fn validate_endpoint(endpoint: &Endpoint, type_: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let addresses = path.child("addresses");
    match endpoint.addresses.len() {
        0 => errors.push(Error::required(&addresses, "must contain at least 1 address")),
        count if count > MAX_ADDRESSES => errors.push(Error::too_many(&addresses, count, MAX_ADDRESSES)),
        _ => {}
    }
    for (index, address) in endpoint.addresses.iter().enumerate() {
        errors.extend(validate_address(
            address,
            type_,
            &addresses.index(index),
            &addresses,
        ));
    }
    if let Some(node) = &endpoint.node_name {
        errors.extend(messages(
            &path.child("nodeName"),
            node,
            name_is_dns_subdomain(node, false),
        ));
    }
    let topology = path.child("deprecatedTopology");
    if endpoint.deprecated_topology.len() > MAX_TOPOLOGY {
        errors.push(Error::too_many(
            &topology,
            endpoint.deprecated_topology.len(),
            MAX_TOPOLOGY,
        ));
    }
    errors.extend(crate::metadata::validate_labels(
        &endpoint.deprecated_topology,
        &topology,
    ));
    if let Some(name) = &endpoint.hostname {
        errors.extend(messages(&path.child("hostname"), name, is_dns1123_label(name)));
    }
    if let Some(hints) = &endpoint.hints {
        errors.extend(validate_hints(hints, &path.child("hints")));
    }
    errors
}

fn validate_address(address: &str, type_: &str, path: &Path, list: &Path) -> ErrorList {
    let wanted_v6 = match type_ {
        "IPv4" => false,
        "IPv6" => true,
        "FQDN" => return is_fully_qualified_domain_name(path, address),
        _ => return ErrorList::new(),
    };
    let mut errors = if wanted_v6 {
        is_ip(path, address)
    } else {
        is_ip_legacy(path, address, &[])
    };
    if !errors.is_empty() {
        return errors;
    }
    if address.contains(':') != wanted_v6 {
        let detail = if wanted_v6 {
            "must be an IPv6 address"
        } else {
            "must be an IPv4 address"
        };
        errors.push(Error::invalid(list, address, detail));
    }
    errors.extend(validate_endpoint_ip(address, path));
    errors
}

fn validate_hints(hints: &EndpointHints, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let zones: Vec<&str> = hints.for_zones.iter().map(|zone| zone.name.as_str()).collect();
    let nodes: Vec<&str> = hints.for_nodes.iter().map(|node| node.name.as_str()).collect();
    let node_rule: fn(&str) -> Vec<String> = |name| name_is_dns_subdomain(name, false);
    for (field, names, rule) in [
        ("forZones", zones, is_valid_label_value as fn(&str) -> Vec<String>),
        ("forNodes", nodes, node_rule),
    ] {
        let path = path.child(field);
        if names.len() > MAX_HINTS {
            errors.push(Error::too_many(&path, names.len(), MAX_HINTS));
            return errors;
        }
        let mut seen = BTreeSet::new();
        for (index, name) in names.into_iter().enumerate() {
            let path = path.index(index).child("name");
            if !seen.insert(name) {
                errors.push(Error::duplicate(&path, name));
            }
            errors.extend(messages(&path, name, rule(name)));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::json;

    #[test]
    fn topology_is_dropped_when_endpoints_change() {
        let slice = |endpoints: Value| {
            parse::<EndpointSlice>(&json!({"addressType": "IPv4", "endpoints": endpoints}))
        };
        let old = json!([{"addresses": ["10.0.0.1"], "deprecatedTopology": {"kubernetes.io/hostname": "n1", "a": "b"}}]);
        let with = |topology: Value, node: Value| json!([{"addresses": ["10.0.0.2"], "deprecatedTopology": topology, "nodeName": node}]);
        for (new, expected) in [
            (old.clone(), old.clone()),
            (with(json!({"a": "b"}), Value::Null), with(json!({}), Value::Null)),
            (
                with(json!({"kubernetes.io/hostname": "n1"}), Value::Null),
                with(json!({}), json!("n1")),
            ),
            (
                with(json!({"kubernetes.io/hostname": "n1"}), json!("n2")),
                with(json!({}), json!("n2")),
            ),
            (
                with(json!({"kubernetes.io/hostname": "n3"}), Value::Null),
                with(json!({}), Value::Null),
            ),
        ] {
            let (mut new, old) = (slice(new), slice(old.clone()));
            let user = auth::UserInfo::default();
            let cx = Context {
                user: &user,
                namespace: Some("default"),
                group: "discovery.k8s.io",
                subresource: "",
                dry_run: false,
                now: Timestamp::UNIX_EPOCH,
            };
            EndpointSlices::prepare_update(&cx, &mut new, &old);
            assert_eq!(new, slice(expected));
        }
    }
}
