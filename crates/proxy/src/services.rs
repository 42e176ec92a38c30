//! From a Service object to its ports in one family.

use std::net::IpAddr;

use api::core::v1::{LoadBalancerIngress, Service, ServicePort as ApiPort, ServiceSpec};
use ipnet::IpNet;

use crate::model::{Family, Protocol, ServiceName, ServicePort, ServicePortName, TrafficPolicy};

/// Whether `spec.externalIPs` are honoured (feature gate `AllowServiceExternalIPs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalIps {
    Allowed,
    Ignored,
}

pub fn service_name(service: &Service) -> ServiceName {
    ServiceName::new(&service.metadata.namespace, &service.metadata.name)
}

/// The ports that a node serves for `service` in `family`: none for headless services, external names, and
/// services without an address in the family.
pub fn service_ports(
    service: &Service,
    family: Family,
    external_ips: ExternalIps,
) -> Vec<(ServicePortName, ServicePort)> {
    let spec = &service.spec;
    if spec.type_ == "ExternalName" {
        return Vec::new();
    }
    let Some(cluster_ip) = cluster_ip(spec, family) else {
        return Vec::new();
    };
    let name = service_name(service);
    spec.ports
        .iter()
        .filter_map(|port| service_port(service, &name, port, cluster_ip, external_ips))
        .collect()
}

fn cluster_ip(spec: &ServiceSpec, family: Family) -> Option<IpAddr> {
    let all = if spec.cluster_ips.is_empty() {
        std::slice::from_ref(&spec.cluster_ip)
    } else {
        &spec.cluster_ips
    };
    addresses(all, family).next()
}

/// The texts that are addresses of the family; "None" and "" are not.
fn addresses(texts: &[String], family: Family) -> impl Iterator<Item = IpAddr> {
    texts
        .iter()
        .filter_map(|text| text.trim().parse::<IpAddr>().ok())
        .filter(move |ip| Family::of(*ip) == family)
}

fn service_port(
    service: &Service,
    name: &ServiceName,
    port: &ApiPort,
    cluster_ip: IpAddr,
    external_ips: ExternalIps,
) -> Option<(ServicePortName, ServicePort)> {
    let spec = &service.spec;
    let family = Family::of(cluster_ip);
    let key = ServicePortName {
        service: name.clone(),
        port: port.name.as_str().into(),
        protocol: Protocol::from_api(&port.protocol)?,
    };
    let external_policy = external_policy(spec);
    let value = ServicePort {
        cluster_ip,
        port: u16::try_from(port.port).ok().filter(|port| *port != 0)?,
        node_port: nonzero(port.node_port),
        external_ips: match external_ips {
            ExternalIps::Allowed => addresses(&spec.external_ips, family).collect(),
            ExternalIps::Ignored => Vec::new(),
        },
        load_balancer_vips: vips(&service.status.load_balancer.ingress, family),
        source_ranges: source_ranges(&spec.load_balancer_source_ranges, family),
        affinity_seconds: affinity_seconds(spec),
        health_check_node_port: match spec.type_ == "LoadBalancer" && external_policy == TrafficPolicy::Local
        {
            true => nonzero(spec.health_check_node_port),
            false => None,
        },
        internal_policy: policy(spec.internal_traffic_policy.as_deref().unwrap_or_default()),
        external_policy,
    };
    Some((key, value))
}

fn nonzero(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}

fn policy(name: &str) -> TrafficPolicy {
    if name == "Local" {
        TrafficPolicy::Local
    } else {
        TrafficPolicy::Cluster
    }
}

/// `externalTrafficPolicy` counts only where there is external traffic.
fn external_policy(spec: &ServiceSpec) -> TrafficPolicy {
    let external = matches!(spec.type_.as_str(), "LoadBalancer" | "NodePort")
        || (spec.type_ == "ClusterIP" && !spec.external_ips.is_empty());
    if external {
        policy(&spec.external_traffic_policy)
    } else {
        TrafficPolicy::Cluster
    }
}

/// Default of `sessionAffinityConfig.clientIP.timeoutSeconds`, should a stored object lack it.
const DEFAULT_AFFINITY_SECONDS: i32 = 10_800;

fn affinity_seconds(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity != "ClientIP" {
        return None;
    }
    let configured = spec
        .session_affinity_config
        .as_ref()
        .and_then(|c| c.client_ip.as_ref()?.timeout_seconds);
    u32::try_from(configured.unwrap_or(DEFAULT_AFFINITY_SECONDS)).ok()
}

/// Addresses of load balancers that deliver packets still addressed to themselves.
fn vips(ingress: &[LoadBalancerIngress], family: Family) -> Vec<IpAddr> {
    let delivers = |i: &&LoadBalancerIngress| i.ip_mode.as_deref().is_none_or(|mode| mode == "VIP");
    let ips = ingress.iter().filter(delivers).filter_map(|i| i.ip.parse().ok());
    ips.filter(|ip| Family::of(*ip) == family).collect()
}

/// A range of all addresses means the same as none. Padding with blanks passed validation once.
fn source_ranges(texts: &[String], family: Family) -> Vec<IpNet> {
    let ranges: Vec<IpNet> = texts
        .iter()
        .filter_map(|text| text.trim().parse::<IpNet>().ok())
        .filter(|net| Family::of_net(net) == family)
        .map(|net| net.trunc())
        .collect();
    if ranges.iter().any(|net| net.prefix_len() == 0) {
        Vec::new()
    } else {
        ranges
    }
}
