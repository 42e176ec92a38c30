//! What a service's Endpoints say. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use api::pod_conditions::is_ready;

use crate::service_pods::{
    HEADLESS_LABEL, NO_CLUSTER_IP, has_cluster_ip, has_endpoint, hostname, target_port,
};

const MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses that an Endpoints object takes; more make it too large for every watcher.
const MAX_ADDRESSES: usize = 1000;

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    None,
    Create(Box<Endpoints>),
    Update(Box<Endpoints>),
}

/// Whether this controller made the object.
pub fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints
        .metadata
        .labels
        .get(MANAGED_BY_LABEL)
        .is_some_and(|manager| manager == MANAGER)
}

pub fn plan(service: &Service, pods: &[Arc<Pod>], current: Option<&Endpoints>) -> Action {
    let mut wanted = current.cloned().unwrap_or_else(|| {
        let mut endpoints = Endpoints::default();
        endpoints.metadata.name = service.metadata.name.clone();
        endpoints.metadata.namespace = service.metadata.namespace.clone();
        endpoints
    });
    wanted.metadata.labels = labels(service);
    wanted.subsets = subsets(service, pods);
    if truncate(&mut wanted.subsets) {
        wanted
            .metadata
            .annotations
            .insert(OVER_CAPACITY.into(), "truncated".into());
    } else {
        wanted.metadata.annotations.remove(OVER_CAPACITY);
    }
    match current {
        None => Action::Create(Box::new(wanted)),
        Some(current) if *current == wanted => Action::None,
        Some(_) => Action::Update(Box::new(wanted)),
    }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone();
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    labels.remove(HEADLESS_LABEL);
    if !has_cluster_ip(service) {
        labels.insert(HEADLESS_LABEL.into(), String::new());
    }
    labels
}

/// Addresses grouped by the ports that they serve, all in a fixed order.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let publish = service.spec.publish_not_ready_addresses;
    let mut groups: BTreeMap<String, EndpointSubset> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| has_endpoint(pod, publish)) {
        let Some(address) = address(service, pod) else {
            continue;
        };
        let Some(ports) = ports(service, pod) else {
            continue;
        };
        let key = format!("{ports:?}");
        let subset = groups.entry(key).or_insert_with(|| EndpointSubset {
            ports,
            ..EndpointSubset::default()
        });
        let ready = publish || is_ready(pod);
        if ready {
            &mut subset.addresses
        } else {
            &mut subset.not_ready_addresses
        }
        .push(address);
    }
    let mut subsets: Vec<EndpointSubset> = groups.into_values().collect();
    for subset in &mut subsets {
        for addresses in [&mut subset.addresses, &mut subset.not_ready_addresses] {
            addresses.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        }
    }
    subsets
}

fn sort_key(address: &EndpointAddress) -> (&str, &str) {
    (
        &address.ip,
        address
            .target_ref
            .as_deref()
            .map(|target| target.uid.as_str())
            .unwrap_or_default(),
    )
}

/// The pod's address in the service's first family.
fn address(service: &Service, pod: &Pod) -> Option<EndpointAddress> {
    let wants_ipv6 = service.spec.ip_families.first().map_or_else(
        || service.spec.cluster_ip.contains(':'),
        |family| family == "IPv6",
    );
    let all = pod.status.pod_ips.iter().map(|ip| &ip.ip);
    let ip = all
        .chain([&pod.status.pod_ip])
        .find(|ip| !ip.is_empty() && ip.contains(':') == wants_ipv6)?;
    Some(EndpointAddress {
        ip: ip.clone(),
        hostname: hostname(service, pod).unwrap_or_default(),
        node_name: Some(pod.spec.node_name.clone()).filter(|name| !name.is_empty()),
        target_ref: Some(Box::new(ObjectReference {
            kind: "Pod".into(),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        })),
    })
}

/// The service's ports on a pod; none when it has ports and the pod none of them.
fn ports(service: &Service, pod: &Pod) -> Option<Vec<EndpointPort>> {
    if service.spec.ports.is_empty() {
        return (service.spec.cluster_ip == NO_CLUSTER_IP).then(Vec::new);
    }
    let port = |port: &api::core::v1::ServicePort| {
        Some(EndpointPort {
            name: port.name.clone(),
            port: target_port(pod, port)?,
            protocol: port.protocol.clone(),
            app_protocol: port.app_protocol.clone(),
        })
    };
    let mut ports: Vec<EndpointPort> = service.spec.ports.iter().filter_map(port).collect();
    ports.sort_by(|a, b| (&a.name, a.port, &a.protocol).cmp(&(&b.name, b.port, &b.protocol)));
    (!ports.is_empty()).then_some(ports)
}

/// Cuts down to the capacity, ready addresses last. Gives whether anything was cut.
fn truncate(subsets: &mut [EndpointSubset]) -> bool {
    let total: usize = subsets
        .iter()
        .map(|s| s.addresses.len() + s.not_ready_addresses.len())
        .sum();
    if total <= MAX_ADDRESSES {
        return false;
    }
    let mut room = MAX_ADDRESSES;
    for subset in subsets.iter_mut() {
        subset.addresses.truncate(room);
        room -= subset.addresses.len();
    }
    for subset in subsets.iter_mut() {
        subset.not_ready_addresses.truncate(room);
        room -= subset.not_ready_addresses.len();
    }
    true
}

#[cfg(test)]
mod tests {
    use api::core::v1::{PodCondition, PodIP, ServicePort};
    use apimachinery::int_or_string::IntOrString;

    use super::*;

    fn service() -> Service {
        let mut service = Service::default();
        service.metadata.name = "web".into();
        service.spec.cluster_ip = "10.0.0.1".into();
        service.spec.ports = vec![ServicePort {
            protocol: "TCP".into(),
            target_port: IntOrString::Int(8080),
            ..ServicePort::default()
        }];
        service
    }

    fn pod(address: &str, ready: &str) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = format!("p-{address}");
        pod.status.pod_ip = address.into();
        pod.status.pod_ips = vec![PodIP { ip: address.into() }];
        pod.status.conditions = vec![PodCondition {
            type_: "Ready".into(),
            status: ready.into(),
            ..PodCondition::default()
        }];
        Arc::new(pod)
    }

    fn planned(action: Action) -> Endpoints {
        match action {
            Action::Create(endpoints) | Action::Update(endpoints) => *endpoints,
            Action::None => panic!("nothing planned"),
        }
    }

    #[test]
    fn ready_and_unready_addresses_in_order_and_stable() {
        let pods = [
            pod("10.1.0.2", "True"),
            pod("10.1.0.1", "True"),
            pod("10.1.0.3", "False"),
        ];
        let endpoints = planned(plan(&service(), &pods, None));
        let subset = &endpoints.subsets[0];
        let ips = |addresses: &[EndpointAddress]| -> Vec<String> {
            addresses.iter().map(|address| address.ip.clone()).collect()
        };
        assert_eq!(ips(&subset.addresses), ["10.1.0.1", "10.1.0.2"]);
        assert_eq!(ips(&subset.not_ready_addresses), ["10.1.0.3"]);
        assert_eq!(subset.ports[0].port, 8080);
        assert!(is_ours(&endpoints));
        assert_eq!(plan(&service(), &pods, Some(&endpoints)), Action::None);
    }

    #[test]
    fn too_many_addresses_are_cut_and_said_to_be() {
        let pods: Vec<Arc<Pod>> = (0..1100)
            .map(|i| pod(&format!("10.1.{}.{}", i / 250, i % 250), "True"))
            .collect();
        let endpoints = planned(plan(&service(), &pods, None));
        assert_eq!(endpoints.subsets[0].addresses.len(), 1000);
        assert_eq!(endpoints.metadata.annotations[OVER_CAPACITY], "truncated");
        let fewer = planned(plan(&service(), &pods[..3], Some(&endpoints)));
        assert!(fewer.metadata.annotations.is_empty());
    }

    #[test]
    fn headless_services_may_have_no_ports() {
        let mut service = service();
        service.spec.ports.clear();
        let pods = [pod("10.1.0.1", "True")];
        assert!(planned(plan(&service, &pods, None)).subsets.is_empty());
        service.spec.cluster_ip = NO_CLUSTER_IP.into();
        let endpoints = planned(plan(&service, &pods, None));
        assert_eq!(endpoints.subsets.len(), 1);
        assert!(endpoints.metadata.labels.contains_key(HEADLESS_LABEL));
    }
}
