use api::core::v1::{LoadBalancerIngress, ServicePort as ApiPort};
use api::discovery::v1::{Endpoint as ApiEndpoint, EndpointPort};

use super::*;

fn service(name: &str, edit: impl FnOnce(&mut Service)) -> Service {
    let mut service = Service::default();
    service.metadata.namespace = "ns".to_owned();
    service.metadata.name = name.to_owned();
    service.spec.type_ = "ClusterIP".to_owned();
    service.spec.cluster_ip = "10.96.0.1".to_owned();
    service.spec.cluster_ips = vec!["10.96.0.1".to_owned(), "fd00::1".to_owned()];
    let port = ApiPort {
        name: "p".to_owned(),
        protocol: "UDP".to_owned(),
        port: 53,
        ..ApiPort::default()
    };
    service.spec.ports = vec![port];
    edit(&mut service);
    service
}

fn slice(name: &str, ips: &[&str], edit: impl FnOnce(&mut EndpointSlice)) -> EndpointSlice {
    let mut slice = EndpointSlice::default();
    slice.metadata.namespace = "ns".to_owned();
    slice.metadata.name = name.to_owned();
    slice
        .metadata
        .labels
        .insert("kubernetes.io/service-name".to_owned(), "svc".to_owned());
    slice.address_type = "IPv4".to_owned();
    let port = EndpointPort {
        name: Some("p".to_owned()),
        protocol: Some("UDP".to_owned()),
        port: Some(5353),
        ..EndpointPort::default()
    };
    slice.ports = vec![port];
    let endpoint = |ip: &&str| ApiEndpoint {
        addresses: vec![(*ip).to_owned()],
        ..ApiEndpoint::default()
    };
    slice.endpoints = ips.iter().map(endpoint).collect();
    edit(&mut slice);
    slice
}

fn tracker(family: Family) -> Tracker {
    Tracker::new(
        family,
        "node-1",
        ExternalIps::Allowed,
        "2026-01-01T00:00:00Z".parse().unwrap(),
    )
}

fn addresses(tracker: &Tracker) -> Vec<String> {
    tracker
        .endpoints()
        .values()
        .flatten()
        .map(|e| e.address.to_string())
        .collect()
}

#[test]
fn each_family_sees_its_own_addresses() {
    let dual = service("svc", |service| {
        service.spec.external_ips = vec!["203.0.113.1".to_owned(), "2001:db8::1".to_owned()];
        service.spec.load_balancer_source_ranges =
            vec![" 198.51.100.7/24 ".to_owned(), "2001:db8::/32".to_owned()];
        let ingress = |ip: &str, mode: &str| LoadBalancerIngress {
            ip: ip.to_owned(),
            ip_mode: Some(mode.to_owned()),
            ..LoadBalancerIngress::default()
        };
        service.status.load_balancer.ingress =
            vec![ingress("192.0.2.8", "VIP"), ingress("192.0.2.9", "Proxy")];
    });
    let mut v4 = tracker(Family::V4);
    assert_eq!(v4.apply_service(&dual), Effect::Changed);
    let port = v4.service_ports().values().next().unwrap();
    assert_eq!(port.cluster_ip.to_string(), "10.96.0.1");
    assert_eq!(format!("{:?}", port.external_ips), "[203.0.113.1]");
    assert_eq!(
        format!("{:?}", port.load_balancer_vips),
        "[192.0.2.8]",
        "a proxying load balancer is left alone"
    );
    assert_eq!(format!("{:?}", port.source_ranges), "[198.51.100.0/24]");
    let mut v6 = tracker(Family::V6);
    v6.apply_service(&dual);
    assert_eq!(
        v6.service_ports().values().next().unwrap().cluster_ip.to_string(),
        "fd00::1"
    );
    assert_eq!(
        v6.apply_slice(&slice("a", &["10.0.0.1"], |_| {})),
        Effect::Unchanged
    );
}

#[test]
fn headless_and_external_services_have_no_rules() {
    let mut tracker = tracker(Family::V4);
    let headless = service("svc", |service| {
        service.spec.cluster_ip = "None".to_owned();
        service.spec.cluster_ips = vec!["None".to_owned()];
    });
    assert_eq!(tracker.apply_service(&headless), Effect::Unchanged);
    let external = service("svc", |service| service.spec.type_ = "ExternalName".to_owned());
    assert_eq!(tracker.apply_service(&external), Effect::Unchanged);
    assert!(tracker.service_ports().is_empty());
}

#[test]
fn only_changes_that_packets_notice_count() {
    let mut tracker = tracker(Family::V4);
    assert_eq!(tracker.apply_service(&service("svc", |_| {})), Effect::Changed);
    let labelled = service("svc", |service| {
        service.metadata.labels.insert("a".to_owned(), "b".to_owned());
    });
    assert_eq!(tracker.apply_service(&labelled), Effect::Unchanged);
    let sticky = service("svc", |service| {
        service.spec.session_affinity = "ClientIP".to_owned()
    });
    assert_eq!(tracker.apply_service(&sticky), Effect::Changed);
    assert_eq!(
        tracker.service_ports().values().next().unwrap().affinity_seconds,
        Some(10_800)
    );
    // Neighbours in the order of names are not confused.
    tracker.apply_service(&service("svc-2", |_| {}));
    assert_eq!(
        tracker.delete_service(&ServiceName::new("ns", "svc")),
        Effect::Changed
    );
    assert_eq!(tracker.service_ports().len(), 1);
    assert_eq!(tracker.retain_services(&BTreeSet::new()), Effect::Changed);
    assert!(tracker.service_ports().is_empty());
}

#[test]
fn slices_are_merged() {
    let mut tracker = tracker(Family::V4);
    tracker.apply_slice(&slice("a", &["10.0.0.2", "10.0.0.1"], |_| {}));
    tracker.apply_slice(&slice("b", &["10.0.0.1", "10.0.0.3"], |slice| {
        for endpoint in &mut slice.endpoints {
            endpoint.conditions.terminating = Some(true);
            endpoint.conditions.ready = Some(false);
        }
    }));
    assert_eq!(
        addresses(&tracker),
        ["10.0.0.1:5353", "10.0.0.2:5353", "10.0.0.3:5353"]
    );
    let ready: Vec<bool> = tracker.endpoints().values().flatten().map(|e| e.ready).collect();
    assert_eq!(
        ready,
        [true, true, false],
        "an endpoint seen twice is as ready as it looks at best"
    );
    assert!(tracker.take_udp_endpoints_changed());
    assert!(!tracker.take_udp_endpoints_changed());
    let service = ServiceName::new("ns", "svc");
    assert_eq!(tracker.delete_slice(&service, "a"), Effect::Changed);
    assert_eq!(addresses(&tracker), ["10.0.0.1:5353", "10.0.0.3:5353"]);
    assert!(tracker.take_udp_endpoints_changed());
    assert_eq!(
        tracker.retain_slices(&BTreeSet::from([(service, "b".to_owned())])),
        Effect::Unchanged
    );
    assert_eq!(tracker.retain_slices(&BTreeSet::new()), Effect::Changed);
    assert!(addresses(&tracker).is_empty());
}

#[test]
fn local_endpoints_are_counted_by_address() {
    let mut tracker = tracker(Family::V4);
    tracker.apply_slice(&slice("a", &["10.0.0.1", "10.0.0.2"], |slice| {
        slice.endpoints[0].node_name = Some("node-1".to_owned());
        slice.endpoints[1].node_name = Some("node-2".to_owned());
        let mut second = slice.ports[0].clone();
        second.name = Some("q".to_owned());
        second.port = Some(8080);
        slice.ports.push(second);
    }));
    assert_eq!(
        tracker.local_ready_endpoints(),
        BTreeMap::from([(ServiceName::new("ns", "svc"), 1)])
    );
}

#[test]
fn trigger_times_since_the_start_are_kept() {
    let mut tracker = tracker(Family::V4);
    let triggered = |name: &str, ip: &str, time: &str| {
        slice(name, &[ip], |slice| {
            slice
                .metadata
                .annotations
                .insert(TRIGGER_TIME_ANNOTATION.to_owned(), time.to_owned());
        })
    };
    tracker.apply_slice(&triggered("a", "10.0.0.1", "2025-12-31T23:59:59Z"));
    tracker.apply_slice(&triggered("b", "10.0.0.2", "2026-01-01T00:00:05Z"));
    tracker.apply_slice(&triggered("b", "10.0.0.2", "2026-01-01T00:00:09Z"));
    tracker.apply_slice(&triggered("c", "10.0.0.3", "yesterday"));
    assert_eq!(tracker.take_triggers().len(), 1);
}
