//! Endpoints and slices as pods and their service would have them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::core::v1::{Node, ObjectReference, Pod, Service};
use api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use api::pod_conditions::is_ready;
use apimachinery::validation;
use controller_runtime::ownership::controller_ref;

use crate::service_pods::{HEADLESS_LABEL, NO_CLUSTER_IP, has_cluster_ip, hostname, target_port};

pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

const RESERVED_LABELS: [&str; 3] = [SERVICE_LABEL, MANAGED_BY_LABEL, HEADLESS_LABEL];

/// The families in which a service has slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    IPv4,
    IPv6,
}

impl Family {
    pub fn as_str(self) -> &'static str {
        match self {
            Family::IPv4 => "IPv4",
            Family::IPv6 => "IPv6",
        }
    }

    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv6() {
            Family::IPv6
        } else {
            Family::IPv4
        }
    }
}

/// The families of a service; both for a headless one that names none.
pub fn families(service: &Service) -> BTreeSet<Family> {
    let named = service
        .spec
        .ip_families
        .iter()
        .filter_map(|family| match family.as_str() {
            "IPv4" => Some(Family::IPv4),
            "IPv6" => Some(Family::IPv6),
            _ => None,
        });
    let named: BTreeSet<Family> = named.collect();
    if !named.is_empty() {
        return named;
    }
    match service.spec.cluster_ip.parse() {
        Ok(address) => [Family::of(&address)].into(),
        Err(_) => [Family::IPv4, Family::IPv6].into(),
    }
}

pub fn zone(node: &Node) -> Option<&String> {
    node.metadata
        .labels
        .get(ZONE_LABEL)
        .filter(|zone| !zone.is_empty())
}

/// The endpoint of a pod in one family; none when it has no address there.
pub fn endpoint(service: &Service, pod: &Pod, node: Option<&Node>, family: Family) -> Option<Endpoint> {
    let addresses: Vec<String> = pod
        .status
        .pod_ips
        .iter()
        .filter_map(|ip| ip.ip.parse::<IpAddr>().ok())
        .filter(|address| Family::of(address) == family)
        .map(|address| address.to_string())
        .collect();
    if addresses.is_empty() {
        return None;
    }
    let (serving, terminating) = (is_ready(pod), pod.metadata.deletion_timestamp.is_some());
    // A pod that is going takes no new connections, however well it serves those that it has.
    let ready = service.spec.publish_not_ready_addresses || (serving && !terminating);
    Some(Endpoint {
        addresses,
        conditions: EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        },
        hostname: hostname(service, pod),
        target_ref: Some(Box::new(ObjectReference {
            kind: "Pod".into(),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        })),
        node_name: Some(pod.spec.node_name.clone()).filter(|name| !name.is_empty()),
        zone: node.and_then(zone).cloned(),
        ..Endpoint::default()
    })
}

/// The ports of a service on a pod. Those that the pod doesn't have by name are left out.
pub fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let port = |port: &api::core::v1::ServicePort| {
        Some(EndpointPort {
            name: Some(port.name.clone()),
            protocol: Some(port.protocol.clone()),
            port: Some(target_port(pod, port)?),
            app_protocol: port.app_protocol.clone(),
        })
    };
    let headless = service.spec.ports.is_empty() && service.spec.cluster_ip == NO_CLUSTER_IP;
    if headless {
        Vec::new()
    } else {
        service.spec.ports.iter().filter_map(port).collect()
    }
}

/// A text that is equal for equal sets of ports.
pub fn port_key(ports: &[EndpointPort]) -> String {
    let mut texts: Vec<String> = ports.iter().map(|port| format!("{port:?}")).collect();
    texts.sort();
    texts.join("\n")
}

/// An empty slice of the service.
pub fn new_slice(service: &Service, ports: &[EndpointPort], family: Family) -> EndpointSlice {
    let mut slice = EndpointSlice::default();
    let prefix = format!("{}-", service.metadata.name);
    let fits = validation::is_dns1123_subdomain(&format!("{prefix}x")).is_empty();
    slice.metadata.generate_name = if fits {
        prefix
    } else {
        service.metadata.name.clone()
    };
    slice.metadata.namespace = service.metadata.namespace.clone();
    slice.metadata.owner_references = vec![controller_ref(service)];
    slice.metadata.labels = labels(service);
    slice.address_type = family.as_str().into();
    slice.ports = ports.to_vec();
    slice
}

/// The labels of a service's slices: the service's own and those that name service and manager.
pub fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone();
    labels.retain(|key, _| !RESERVED_LABELS.contains(&key.as_str()));
    labels.insert(SERVICE_LABEL.into(), service.metadata.name.clone());
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    if !has_cluster_ip(service) {
        labels.insert(HEADLESS_LABEL.into(), String::new());
    }
    labels
}
