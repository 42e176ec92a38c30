//! What Services may say.

use std::collections::BTreeSet;

use api::core::v1::{Service, ServicePort, SessionAffinityConfig};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::int_or_string::IntOrString;
use apimachinery::validation::{
    self, is_cidr_legacy, is_dns1123_label, is_dns1123_subdomain, is_ip_legacy, is_qualified_name,
    is_valid_port_name, is_valid_port_num, parse_ip_sloppy,
};

use super::cluster_ips;
use super::fields::{is_externally_accessible, is_headless, needs_health_check};
use crate::internal::shown;
use crate::metadata::{messages, validate_labels};

const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const MAX_AFFINITY_SECONDS: i64 = 86_400;
pub(crate) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub fn validate(service: &Service, old: Option<&Service>) -> ErrorList {
    let (path, spec) = (Path::new("spec"), &service.spec);
    let mut errors = validate_topology(service);
    errors.extend(validate_type_fields(service, &path));
    errors.extend(validate_ports(service, &path.child("ports")));
    errors.extend(validate_labels(&spec.selector, &path.child("selector")));
    errors.extend(validate_affinity(service, &path));
    errors.extend(cluster_ips::validate(service, old));
    errors.extend(validate_external_ips(service, old, &path.child("externalIPs")));
    if spec.type_.is_empty() {
        errors.push(Error::required(&path.child("type"), ""));
    } else if !TYPES.contains(&spec.type_.as_str()) {
        errors.push(Error::not_supported(&path.child("type"), &spec.type_, &TYPES));
    }
    errors.extend(validate_port_numbers(service, &path.child("ports")));
    errors.extend(validate_source_ranges(service, old, &path));
    if spec.allocate_load_balancer_node_ports.is_some() && spec.type_ != "LoadBalancer" {
        let path = path.child("allocateLoadBalancerNodePorts");
        errors.push(Error::forbidden(
            &path,
            "may only be used when `type` is 'LoadBalancer'",
        ));
    }
    if spec.allocate_load_balancer_node_ports.is_none() && spec.type_ == "LoadBalancer" {
        errors.push(Error::required(&Path::new("allocateLoadBalancerNodePorts"), ""));
    }
    errors.extend(validate_class(service, None));
    errors.extend(validate_traffic_policies(service, &path));
    errors
}

pub fn validate_update(service: &Service, old: &Service) -> ErrorList {
    let mut errors = cluster_ips::validate_change(service, old);
    errors.extend(cluster_ips::validate_family_change(service, old));
    errors.extend(validate_class(service, Some(old)));
    let changed = service.spec.health_check_node_port != old.spec.health_check_node_port;
    if needs_health_check(service) && needs_health_check(old) && changed {
        errors.push(Error::forbidden(
            &Path::new("spec").child("healthCheckNodePort"),
            "field is immutable",
        ));
    }
    errors.extend(validate(service, Some(old)));
    errors
}

fn validate_topology(service: &Service) -> ErrorList {
    let annotations = &service.metadata.annotations;
    match (annotations.get(TOPOLOGY_MODE), annotations.get(TOPOLOGY_HINTS)) {
        (Some(mode), Some(hints)) if mode != hints => {
            let path = Path::new("metadata").child("annotations").key(TOPOLOGY_MODE);
            let detail = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
            vec![Error::invalid(&path, mode, detail)]
        }
        _ => Vec::new(),
    }
}

fn validate_type_fields(service: &Service, path: &Path) -> ErrorList {
    let spec = &service.spec;
    let mut errors = ErrorList::new();
    let type_ = spec.type_.as_str();
    if spec.ports.is_empty() && !is_headless(service) && type_ != "ExternalName" {
        errors.push(Error::required(&path.child("ports"), ""));
    }
    if matches!(type_, "LoadBalancer" | "NodePort") && is_headless(service) {
        let detail = format!("may not be set to 'None' for {type_} services");
        errors.push(Error::invalid(
            &path.child("clusterIPs").index(0),
            &spec.cluster_ips[0],
            detail,
        ));
    }
    if type_ == "ExternalName" {
        let set = [
            ("clusterIPs", !spec.cluster_ips.is_empty()),
            ("ipFamilies", !spec.ip_families.is_empty()),
            ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
        ];
        for (field, _) in set.into_iter().filter(|(_, set)| *set) {
            errors.push(Error::forbidden(
                &path.child(field),
                "may not be set for ExternalName services",
            ));
        }
        let (path, name) = (
            path.child("externalName"),
            spec.external_name.trim_end_matches('.'),
        );
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
        } else {
            errors.extend(messages(&path, name, is_dns1123_subdomain(name)));
        }
    }
    errors
}

fn validate_ports(service: &Service, path: &Path) -> ErrorList {
    let ports = &service.spec.ports;
    let mut names = BTreeSet::new();
    let mut errors = ErrorList::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let at = path.child("name");
        if port.name.is_empty() {
            errors.extend((ports.len() > 1).then(|| Error::required(&at, "")));
        } else {
            errors.extend(messages(&at, &port.name, is_dns1123_label(&port.name)));
            errors.extend((!names.insert(&port.name)).then(|| Error::duplicate(&at, &port.name)));
        }
        errors.extend(validate_port(port, &path));
    }
    errors
}

fn validate_port(port: &ServicePort, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for message in is_valid_port_num(i64::from(port.port)) {
        errors.push(Error::invalid(&path.child("port"), port.port, message));
    }
    if port.protocol.is_empty() {
        errors.push(Error::required(&path.child("protocol"), ""));
    } else if !PROTOCOLS.contains(&port.protocol.as_str()) {
        errors.push(Error::not_supported(
            &path.child("protocol"),
            &port.protocol,
            &PROTOCOLS,
        ));
    }
    errors.extend(validate_port_num_or_name(
        &port.target_port,
        &path.child("targetPort"),
    ));
    if let Some(protocol) = &port.app_protocol {
        errors.extend(messages(
            &path.child("appProtocol"),
            protocol,
            is_qualified_name(protocol),
        ));
    }
    errors
}

/// A port by number or by the name that a container gives it.
pub(crate) fn validate_port_num_or_name(port: &IntOrString, path: &Path) -> ErrorList {
    match port {
        IntOrString::Int(number) => {
            let wrong = is_valid_port_num(i64::from(*number)).into_iter();
            wrong
                .map(|message| Error::invalid(path, *number, message))
                .collect()
        }
        IntOrString::String(name) => messages(path, name, is_valid_port_name(name)).collect(),
    }
}

/// Node ports and service ports are unique within their protocol.
fn validate_port_numbers(service: &Service, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let ports = || service.spec.ports.iter().enumerate();
    if service.spec.type_ == "ClusterIP" {
        for (index, _) in ports().filter(|(_, port)| port.node_port != 0) {
            let path = path.index(index).child("nodePort");
            errors.push(Error::forbidden(
                &path,
                "may not be used when `type` is 'ClusterIP'",
            ));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports().filter(|(_, port)| port.node_port != 0) {
        if !seen.insert((port.protocol.as_str(), port.node_port)) {
            errors.push(Error::duplicate(
                &path.index(index).child("nodePort"),
                port.node_port,
            ));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports() {
        if !seen.insert((port.protocol.as_str(), port.port)) {
            let key = ServicePort {
                protocol: port.protocol.clone(),
                port: port.port,
                ..ServicePort::default()
            };
            errors.push(Error::duplicate(&path.index(index), shown(&key)));
        }
    }
    errors
}

fn validate_affinity(service: &Service, path: &Path) -> ErrorList {
    let spec = &service.spec;
    let (at, config) = (path.child("sessionAffinity"), path.child("sessionAffinityConfig"));
    match spec.session_affinity.as_str() {
        "" => vec![Error::required(&at, "")],
        "ClientIP" => validate_client_ip(spec.session_affinity_config.as_deref(), &config),
        "None" if spec.session_affinity_config.is_some() => {
            vec![Error::forbidden(
                &config,
                "must not be set when session affinity is None",
            )]
        }
        "None" => Vec::new(),
        other => vec![Error::not_supported(&at, other, &["ClientIP", "None"])],
    }
}

fn validate_client_ip(config: Option<&SessionAffinityConfig>, path: &Path) -> ErrorList {
    let required = |path: &Path| vec![Error::required(path, "when session affinity type is ClientIP")];
    let Some(config) = config else {
        return required(path);
    };
    let path = path.child("clientIP");
    let Some(client) = config.client_ip.as_deref() else {
        return required(&path);
    };
    let path = path.child("timeoutSeconds");
    let Some(seconds) = client.timeout_seconds else {
        return required(&path);
    };
    if (1..=MAX_AFFINITY_SECONDS).contains(&i64::from(seconds)) {
        return Vec::new();
    }
    vec![Error::invalid(
        &path,
        seconds,
        format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}"),
    )]
}

fn validate_external_ips(service: &Service, old: Option<&Service>, path: &Path) -> ErrorList {
    let known = old
        .map(|old| old.spec.external_ips.as_slice())
        .unwrap_or_default();
    let mut errors = ErrorList::new();
    for (index, ip) in service.spec.external_ips.iter().enumerate() {
        let path = path.index(index);
        let wrong = is_ip_legacy(&path, ip, known);
        errors.extend(if wrong.is_empty() {
            validate_endpoint_ip(ip, &path)
        } else {
            wrong
        });
    }
    errors
}

/// An address that traffic may be sent to from another machine.
pub(crate) fn validate_endpoint_ip(text: &str, path: &Path) -> ErrorList {
    let Some(ip) = parse_ip_sloppy(text).map(validation::canonical_ip) else {
        return vec![Error::invalid(path, text, "must be a valid IP address")];
    };
    let (link_local, link_local_multicast) = match ip {
        std::net::IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    let mut details = Vec::new();
    if ip.is_unspecified() {
        details.push(format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        details.push("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned());
    }
    if link_local {
        details.push("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned());
    }
    if link_local_multicast {
        details.push("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned());
    }
    messages(path, text, details).collect()
}

fn validate_source_ranges(service: &Service, old: Option<&Service>, path: &Path) -> ErrorList {
    let balanced = service.spec.type_ == "LoadBalancer";
    let only_balanced = |path: &Path| {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        (!balanced).then(|| Error::forbidden(path, detail))
    };
    let mut errors = ErrorList::new();
    let ranges = &service.spec.load_balancer_source_ranges;
    if !ranges.is_empty() {
        let path = path.child("LoadBalancerSourceRanges");
        errors.extend(only_balanced(&path));
        let trimmed = |ranges: &[String]| {
            ranges
                .iter()
                .map(|range| range.trim().to_owned())
                .collect::<Vec<_>>()
        };
        let known = old
            .map(|old| trimmed(&old.spec.load_balancer_source_ranges))
            .unwrap_or_default();
        for (index, range) in ranges.iter().enumerate() {
            errors.extend(is_cidr_legacy(&path.index(index), range.trim(), &known));
        }
    } else if let Some(ranges) = service.metadata.annotations.get(SOURCE_RANGES) {
        let path = Path::new("metadata").child("annotations").key(SOURCE_RANGES);
        errors.extend(only_balanced(&path));
        let unchanged = old.is_some_and(|old| old.metadata.annotations.get(SOURCE_RANGES) == Some(ranges));
        if !unchanged && !ranges.trim().is_empty() {
            errors.extend(
                ranges
                    .split(',')
                    .flat_map(|range| is_cidr_legacy(&path, range.trim(), &[])),
            );
        }
    }
    errors
}

fn validate_class(service: &Service, old: Option<&Service>) -> ErrorList {
    let path = Path::new("spec").child("loadBalancerClass");
    let class = &service.spec.load_balancer_class;
    let balanced = service.spec.type_ == "LoadBalancer";
    let mut errors = ErrorList::new();
    if let Some(old) = old
        && balanced
        && old.spec.type_ == "LoadBalancer"
        && old.spec.load_balancer_class != *class
    {
        errors.push(Error::invalid(&path, class.clone(), "may not change once set"));
    }
    match class {
        None => {}
        Some(class) if balanced => errors.extend(messages(&path, class, is_qualified_name(class))),
        Some(_) => errors.push(Error::forbidden(
            &path,
            "may only be used when `type` is 'LoadBalancer'",
        )),
    }
    errors
}

fn validate_traffic_policies(service: &Service, path: &Path) -> ErrorList {
    let spec = &service.spec;
    let mut errors = ErrorList::new();
    let at = path.child("externalTrafficPolicy");
    match (
        is_externally_accessible(service),
        spec.external_traffic_policy.as_str(),
    ) {
        (false, "") | (true, "Cluster" | "Local") => {}
        (false, policy) => {
            errors.push(Error::invalid(
                &at,
                policy,
                "may only be set for externally-accessible services",
            ));
        }
        (true, "") => errors.push(Error::required(&at, "")),
        (true, policy) => errors.push(Error::not_supported(&at, policy, &["Cluster", "Local"])),
    }
    let at = path.child("healthCheckNodePort");
    match (needs_health_check(service), spec.health_check_node_port) {
        (false, 0) => {}
        (false, port) => {
            let detail =
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(Error::invalid(&at, port, detail));
        }
        (true, 0) => errors.push(Error::required(&at, "")),
        (true, port) => {
            let wrong = is_valid_port_num(i64::from(port)).into_iter();
            errors.extend(wrong.map(|message| Error::invalid(&at, port, message)));
        }
    }
    let at = path.child("internalTrafficPolicy");
    match spec.internal_traffic_policy.as_deref() {
        None if matches!(spec.type_.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") => {
            errors.push(Error::required(&at, ""));
        }
        None | Some("Cluster" | "Local") => {}
        Some(policy) => errors.push(Error::not_supported(&at, policy, &["Cluster", "Local"])),
    }
    let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if let Some(distribution) = spec
        .traffic_distribution
        .as_ref()
        .filter(|value| !known.contains(&value.as_str()))
    {
        errors.push(Error::not_supported(
            &path.child("trafficDistribution"),
            distribution,
            &known,
        ));
    }
    errors
}

/// Errors of the addresses that a load balancer reports.
pub fn validate_status(service: &Service, old: &Service) -> ErrorList {
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let ingress = &service.status.load_balancer.ingress;
    if service.spec.type_ != "LoadBalancer" && !ingress.is_empty() {
        return vec![Error::forbidden(
            &path,
            "may only be used when `spec.type` is 'LoadBalancer'",
        )];
    }
    let known = old
        .status
        .load_balancer
        .ingress
        .iter()
        .map(|ingress| ingress.ip.clone());
    let known: Vec<String> = known.filter(|ip| !ip.is_empty()).collect();
    let mut errors = ErrorList::new();
    for (index, ingress) in ingress.iter().enumerate() {
        let path = path.index(index);
        if !ingress.ip.is_empty() {
            errors.extend(is_ip_legacy(&path.child("ip"), &ingress.ip, &known));
        }
        let at = path.child("ipMode");
        match ingress.ip_mode.as_deref() {
            None if !ingress.ip.is_empty() => {
                errors.push(Error::required(&at, "must be specified when `ip` is set"))
            }
            None => {}
            Some(_) if ingress.ip.is_empty() => {
                errors.push(Error::forbidden(&at, "may not be specified when `ip` is not set"));
            }
            Some("VIP" | "Proxy") => {}
            Some(mode) => errors.push(Error::not_supported(&at, mode, &["Proxy", "VIP"])),
        }
        if !ingress.hostname.is_empty() {
            let at = path.child("hostname");
            errors.extend(messages(
                &at,
                &ingress.hostname,
                is_dns1123_subdomain(&ingress.hostname),
            ));
            if parse_ip_sloppy(&ingress.hostname).is_some() {
                errors.push(Error::invalid(
                    &at,
                    &ingress.hostname,
                    "must be a DNS name, not an IP address",
                ));
            }
        }
    }
    errors
}
