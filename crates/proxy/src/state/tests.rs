use std::time::Duration;

use component_base::clock::FakeClock;
use component_base::metrics::Registry;

use super::*;
use crate::config::Mode;
use crate::health::Probe;
use crate::services::ExternalIps;

fn shared() -> (Shared, Health) {
    let clock = FakeClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let health = Health::new(clock, Duration::from_secs(60));
    let started = "2026-01-01T00:00:00Z".parse().unwrap();
    let trackers =
        [Family::V4, Family::V6].map(|family| Tracker::new(family, "node-1", ExternalIps::Allowed, started));
    let metrics = Metrics::new(&Registry::new(), Mode::NfTables);
    (
        Shared::new(trackers.into(), "node-1".to_owned(), health.clone(), metrics),
        health,
    )
}

fn node(ip: &str) -> Node {
    let mut node = Node::default();
    node.metadata.name = "node-1".to_owned();
    let address = api::core::v1::NodeAddress {
        type_: "InternalIP".to_owned(),
        address: ip.to_owned(),
    };
    node.status.addresses.push(address);
    node
}

fn service(name: &str, ip: &str) -> Service {
    let mut service = Service::default();
    service.metadata.namespace = "ns".to_owned();
    service.metadata.name = name.to_owned();
    service.spec.cluster_ip = ip.to_owned();
    service.spec.cluster_ips = vec![ip.to_owned()];
    service.spec.ports = vec![api::core::v1::ServicePort {
        port: 80,
        ..Default::default()
    }];
    service
}

/// Whether a family's proxier was woken since the last look.
fn woken(shared: &Shared, family: Family) -> bool {
    use std::task::{Context, Poll, Waker};
    let changed = Arc::clone(&shared.lock().family(family).unwrap().changed);
    let notified = std::pin::pin!(changed.notified());
    matches!(
        notified.poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(())
    )
}

#[test]
fn nothing_is_done_before_everything_was_listed() {
    let (shared, _) = shared();
    shared.take_service(Change::Replace(vec![service("a", "10.96.0.1")]));
    shared.take_slice(Change::Replace(Vec::new()));
    assert!(!shared.lock().is_synced());
    shared.take_node(Change::Replace(Vec::new()));
    assert!(
        shared.lock().is_synced(),
        "a node that isn't there yet keeps nobody waiting"
    );
    assert!(woken(&shared, Family::V4) && woken(&shared, Family::V6));
}

#[test]
fn a_change_wakes_the_family_that_it_concerns() {
    let (shared, _) = shared();
    shared.take_service(Change::Replace(Vec::new()));
    assert!(woken(&shared, Family::V4) && woken(&shared, Family::V6));
    shared.take_service(Change::Apply(service("a", "fd00::1")));
    assert!(!woken(&shared, Family::V4) && woken(&shared, Family::V6));
    shared.take_service(Change::Apply(service("a", "fd00::1")));
    assert!(!woken(&shared, Family::V6), "the same again is no change");
    shared.take_service(Change::Replace(vec![service("b", "10.96.0.2")]));
    let mut state = shared.lock();
    assert!(
        state
            .family(Family::V6)
            .unwrap()
            .tracker
            .service_ports()
            .is_empty(),
        "what a list lacks is gone"
    );
    assert_eq!(state.family(Family::V4).unwrap().tracker.service_ports().len(), 1);
}

#[test]
fn the_node_decides_about_health_and_settings() {
    let (shared, health) = shared();
    shared.take_node(Change::Replace(vec![node("192.0.2.1")]));
    assert!(health.report(Probe::Health).healthy);
    assert!(woken(&shared, Family::V4));
    shared.take_node(Change::Apply(node("192.0.2.1")));
    assert!(!woken(&shared, Family::V4), "a heartbeat is no change");
    let mut doomed = node("192.0.2.1");
    let taint = api::core::v1::Taint {
        key: crate::health::TO_BE_DELETED_TAINT.to_owned(),
        ..api::core::v1::Taint::default()
    };
    doomed.spec.taints.push(taint);
    shared.take_node(Change::Apply(doomed));
    assert!(!health.report(Probe::Health).healthy);
    shared.take_node(Change::Delete(node("192.0.2.1")));
    assert_eq!(shared.lock().node, NodeInfo::default());
}

#[test]
fn service_ranges_are_told_by_family() {
    let (shared, _) = shared();
    let range = |name: &str, cidrs: &[&str]| {
        let mut range = ServiceCIDR::default();
        range.metadata.name = name.to_owned();
        range.spec.cidrs = cidrs.iter().map(|cidr| (*cidr).to_owned()).collect();
        range
    };
    shared.take_service_cidr(Change::Replace(vec![range(
        "kubernetes",
        &["10.96.0.0/12", "fd00::/108"],
    )]));
    shared.take_service_cidr(Change::Apply(range("more", &["10.200.0.0/16"])));
    assert_eq!(
        shared.lock().service_cidrs(Family::V4),
        ["10.96.0.0/12", "10.200.0.0/16"]
    );
    assert_eq!(shared.lock().service_cidrs(Family::V6), ["fd00::/108"]);
    shared.take_service_cidr(Change::Delete(range("kubernetes", &[])));
    assert_eq!(shared.lock().service_cidrs(Family::V4), ["10.200.0.0/16"]);
}
