//! Services, endpoints, ingresses, and the addresses of services.

use std::collections::BTreeSet;

use api::core::v1::{Endpoints, Service, ServicePort};
use api::discovery::v1::EndpointSlice;
use api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
use jiff::Timestamp;
use serde_json::Value;

use super::{NONE, UNKNOWN, UNSET, age, labels, selector, shortened};

const SHOWN_ENDPOINTS: usize = 3;
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

pub fn service(object: &Service, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = object.spec.ports.iter().map(port).collect();
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.type_.as_str(),
        object.spec.cluster_ips.first().map_or(NONE, |ip| ip.as_str()),
        external_ip(object),
        if ports.is_empty() {
            NONE.to_owned()
        } else {
            ports.join(",")
        },
        age(&object.metadata, now),
        labels(&object.spec.selector),
    ]
}

fn port(port: &ServicePort) -> String {
    if port.node_port > 0 {
        format!("{}:{}/{}", port.port, port.node_port, port.protocol)
    } else {
        format!("{}/{}", port.port, port.protocol)
    }
}

fn external_ip(service: &Service) -> String {
    let own = &service.spec.external_ips;
    match service.spec.type_.as_str() {
        "ClusterIP" | "NodePort" if own.is_empty() => NONE.to_owned(),
        "ClusterIP" | "NodePort" => own.join(","),
        "LoadBalancer" => {
            let ingress = &service.status.load_balancer.ingress;
            let mut all = addresses(
                ingress
                    .iter()
                    .map(|ingress| (ingress.ip.as_str(), ingress.hostname.as_str())),
            );
            all.extend(own.iter().cloned());
            if all.is_empty() {
                "<pending>".to_owned()
            } else {
                all.join(",")
            }
        }
        "ExternalName" => service.spec.external_name.clone(),
        _ => UNKNOWN.to_owned(),
    }
}

/// Addresses of a load balancer, sorted: its IP, or else its name.
fn addresses<'a>(ingress: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let shown = ingress.map(|(ip, hostname)| if ip.is_empty() { hostname } else { ip });
    let shown: BTreeSet<&str> = shown.filter(|address| !address.is_empty()).collect();
    shown.into_iter().map(str::to_owned).collect()
}

pub fn endpoints(object: &Endpoints, now: Timestamp) -> Vec<Value> {
    let shown = if object.subsets.is_empty() {
        NONE.to_owned()
    } else {
        shortened(pairs(object), SHOWN_ENDPOINTS)
    };
    crate::cells![object.metadata.name.as_str(), shown, age(&object.metadata, now)]
}

fn pairs(object: &Endpoints) -> Vec<String> {
    let mut pairs = Vec::new();
    for subset in &object.subsets {
        let ips = || subset.addresses.iter().map(|address| address.ip.as_str());
        if subset.ports.is_empty() {
            pairs.extend(ips().map(str::to_owned));
        }
        for port in &subset.ports {
            pairs.extend(ips().map(|ip| join_host_port(ip, port.port)));
        }
    }
    pairs
}

fn join_host_port(host: &str, port: i32) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

pub fn endpoint_slice(object: &EndpointSlice, now: Timestamp) -> Vec<Value> {
    let port = |port: &api::discovery::v1::EndpointPort| match (port.port, &port.name) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => "*".to_owned(),
    };
    let ports = object.ports.iter().map(port).collect();
    let addresses = object
        .endpoints
        .iter()
        .flat_map(|endpoint| endpoint.addresses.iter().cloned())
        .collect();
    crate::cells![
        object.metadata.name.as_str(),
        object.address_type.as_str(),
        or_unset(shortened(ports, SHOWN_ENDPOINTS)),
        or_unset(shortened(addresses, SHOWN_ENDPOINTS)),
        age(&object.metadata, now),
    ]
}

fn or_unset(text: String) -> String {
    if text.is_empty() { UNSET.to_owned() } else { text }
}

pub fn ingress(object: &Ingress, now: Timestamp) -> Vec<Value> {
    let ingress = &object.status.load_balancer.ingress;
    let balancers = addresses(
        ingress
            .iter()
            .map(|ingress| (ingress.ip.as_str(), ingress.hostname.as_str())),
    );
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.ingress_class_name.as_deref().unwrap_or(NONE),
        hosts(object),
        balancers.join(","),
        if object.spec.tls.is_empty() {
            "80"
        } else {
            "80, 443"
        },
        age(&object.metadata, now),
    ]
}

/// The first hosts. Upstream counts rules without a host among the rest, and so do we.
fn hosts(object: &Ingress) -> String {
    let rules = &object.spec.rules;
    let mut shown = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == SHOWN_ENDPOINTS;
        if !more && !rule.host.is_empty() {
            shown.push(rule.host.as_str());
        }
    }
    match shown.join(",") {
        _ if shown.is_empty() => "*".to_owned(),
        shown if more => format!("{shown} + {} more...", rules.len() - SHOWN_ENDPOINTS),
        shown => shown,
    }
}

pub fn ingress_class(object: &IngressClass, now: Timestamp) -> Vec<Value> {
    let is_default = object
        .metadata
        .annotations
        .get(DEFAULT_CLASS)
        .is_some_and(|value| value == "true");
    let parameters = object
        .spec
        .parameters
        .as_deref()
        .map_or(NONE.to_owned(), |parameters| {
            let group = parameters
                .api_group
                .as_deref()
                .map(|group| format!(".{group}"))
                .unwrap_or_default();
            format!("{}{group}/{}", parameters.kind, parameters.name)
        });
    crate::cells![
        format!(
            "{}{}",
            object.metadata.name,
            if is_default { " (default)" } else { "" }
        ),
        object.spec.controller.as_str(),
        parameters,
        age(&object.metadata, now),
    ]
}

pub fn network_policy(object: &NetworkPolicy, now: Timestamp) -> Vec<Value> {
    let pods = selector(Some(&object.spec.pod_selector));
    crate::cells![object.metadata.name.as_str(), pods, age(&object.metadata, now)]
}

pub fn service_cidr(object: &ServiceCIDR, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.cidrs.join(","),
        age(&object.metadata, now)
    ]
}

pub fn ip_address(object: &IPAddress) -> Vec<Value> {
    let parent = object
        .spec
        .parent_ref
        .as_deref()
        .map_or(NONE.to_owned(), |parent| {
            let group = if parent.group.is_empty() {
                String::new()
            } else {
                format!(".{}", parent.group)
            };
            let resource = format!("{}{group}", parent.resource).to_lowercase();
            let namespace = if parent.namespace.is_empty() {
                String::new()
            } else {
                format!("/{}", parent.namespace)
            };
            format!("{resource}{namespace}/{}", parent.name)
        });
    crate::cells![object.metadata.name.as_str(), parent]
}
