//! Endpoints.

use api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{
    is_dns1123_label, is_ip_legacy, is_qualified_name, is_valid_port_num, name_is_dns_subdomain,
};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::pod::validation::one_of;
use super::service::validation::{PROTOCOLS, validate_endpoint_ip};
use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::{table, warnings};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";

/// Endpoints.
pub struct EndpointsRules;

impl Rules for EndpointsRules {
    type Object = Endpoints;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const CREATE_ON_UPDATE: bool = true;

    fn default(endpoints: &mut Endpoints) {
        for port in endpoints.subsets.iter_mut().flat_map(|subset| &mut subset.ports) {
            if port.protocol.is_empty() {
                port.protocol = "TCP".to_owned();
            }
        }
    }

    fn validate(endpoints: &Endpoints) -> ErrorList {
        let path = Path::new("subsets");
        let subsets = endpoints.subsets.iter().enumerate();
        subsets
            .flat_map(|(index, subset)| validate_subset(subset, &path.index(index)))
            .collect()
    }

    fn validate_update(_cx: &Context<'_>, endpoints: &Endpoints, old: &Endpoints) -> ErrorList {
        // What is stored may be older than the rules.
        if endpoints.subsets == old.subsets {
            ErrorList::new()
        } else {
            Self::validate(endpoints)
        }
    }

    fn warnings(endpoints: &Endpoints, _old: Option<&Endpoints>) -> Vec<String> {
        // Its controller writes no odd addresses, and often.
        if endpoints
            .metadata
            .labels
            .get(MANAGED_BY)
            .is_some_and(|own| own == CONTROLLER)
        {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (index, subset) in endpoints.subsets.iter().enumerate() {
            let path = Path::new("subsets").index(index);
            for (field, addresses) in [
                ("addresses", &subset.addresses),
                ("notReadyAddresses", &subset.not_ready_addresses),
            ] {
                for (index, address) in addresses.iter().enumerate() {
                    let path = path.child(field).index(index).child("ip");
                    all.extend(warnings::address(&address.ip, &path));
                }
            }
        }
        all
    }

    fn row(endpoints: &Endpoints, now: Timestamp) -> Vec<Value> {
        table::network::endpoints(endpoints, now)
    }
}

fn validate_subset(subset: &EndpointSubset, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if subset.addresses.is_empty() && subset.not_ready_addresses.is_empty() {
        errors.push(Error::required(
            path,
            "must specify `addresses` or `notReadyAddresses`",
        ));
    }
    for (field, list) in [
        ("addresses", &subset.addresses),
        ("notReadyAddresses", &subset.not_ready_addresses),
    ] {
        for (index, address) in list.iter().enumerate() {
            errors.extend(validate_address(address, &path.child(field).index(index)));
        }
    }
    for (index, port) in subset.ports.iter().enumerate() {
        errors.extend(validate_port(
            port,
            subset.ports.len() > 1,
            &path.child("ports").index(index),
        ));
    }
    errors
}

fn validate_address(address: &EndpointAddress, path: &Path) -> ErrorList {
    let ip = path.child("ip");
    let mut errors = is_ip_legacy(&ip, &address.ip, &[]);
    if !address.hostname.is_empty() {
        errors.extend(messages(
            &path.child("hostname"),
            &address.hostname,
            is_dns1123_label(&address.hostname),
        ));
    }
    if let Some(node) = &address.node_name {
        errors.extend(messages(
            &path.child("nodeName"),
            node,
            name_is_dns_subdomain(node, false),
        ));
    }
    errors.extend(validate_endpoint_ip(&address.ip, &ip));
    errors
}

fn validate_port(port: &EndpointPort, needs_name: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = path.child("name");
    if !port.name.is_empty() {
        errors.extend(messages(&name, &port.name, is_dns1123_label(&port.name)));
    } else if needs_name {
        errors.push(Error::required(&name, ""));
    }
    for message in is_valid_port_num(i64::from(port.port)) {
        errors.push(Error::invalid(&path.child("port"), port.port, message));
    }
    errors.extend(one_of(&port.protocol, &PROTOCOLS, &path.child("protocol")));
    if let Some(protocol) = &port.app_protocol {
        errors.extend(messages(
            &path.child("appProtocol"),
            protocol,
            is_qualified_name(protocol),
        ));
    }
    errors
}
