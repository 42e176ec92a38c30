//! Routes, tunnels and masquerading in a network namespace of the test's own.
//!
//! Needs root; says so and passes without.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use pod_network::kernel::{self, TunnelSettings};
use pod_network::masquerade;
use pod_network::node::NodeNetwork;
use pod_network::plan::{Backend, Plan, plan};

const SETTINGS: TunnelSettings = TunnelSettings { id: 7, port: 8472 };

/// Runs a test on a thread in a fresh namespace, where `dummy0` has 192.0.2.1/24.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let inside = std::thread::spawn(move || {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("skipped: a network namespace needs root");
            return;
        }
        ip("link add eth0 type veth peer name eth1");
        for command in [
            "addr add 192.0.2.1/24 dev eth0",
            "link set eth0 up",
            "link set eth1 up",
            "link set lo up",
        ] {
            ip(command);
        }
        test();
    });
    inside.join().unwrap();
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
}

fn plan_for(others: &[(&str, &str, &str)], backend: Backend) -> Plan {
    let node = |(name, cidr, ip): &(&str, &str, &str)| NodeNetwork {
        name: (*name).to_owned(),
        pod_cidrs: vec![cidr.parse().unwrap()],
        internal_ips: vec![ip.parse().unwrap()],
    };
    let own = ("a", "10.244.1.0/24", "192.0.2.1");
    let nodes: BTreeMap<_, _> = std::iter::once(&own)
        .chain(others)
        .map(node)
        .map(|n| (n.name.clone(), n))
        .collect();
    plan("a", &nodes, &["10.244.0.0/16".parse().unwrap()], backend).unwrap()
}

const B: (&str, &str, &str) = ("b", "10.244.2.0/24", "192.0.2.2");
const C: (&str, &str, &str) = ("c", "10.244.3.0/24", "192.0.2.3");
const FAR: (&str, &str, &str) = ("far", "10.244.4.0/24", "198.51.100.1");

#[test]
fn routes_follow_the_nodes() {
    in_namespace(|| {
        ip("route add 203.0.113.0/24 via 192.0.2.9");
        let both = plan_for(&[B, C], Backend::HostGateway);
        let outcome = kernel::reconcile(&both, SETTINGS).unwrap();
        assert_eq!((outcome.added, outcome.removed, outcome.errors.len()), (2, 0, 0));
        assert_eq!(
            ip("route show proto 158"),
            "10.244.2.0/24 via 192.0.2.2 dev eth0\n10.244.3.0/24 via 192.0.2.3 dev eth0"
        );
        let again = kernel::reconcile(&both, SETTINGS).unwrap();
        assert_eq!(
            (again.added, again.removed),
            (0, 0),
            "a second run changes nothing"
        );

        let moved = plan_for(&[("b", "10.244.2.0/24", "192.0.2.20")], Backend::HostGateway);
        let outcome = kernel::reconcile(&moved, SETTINGS).unwrap();
        assert_eq!((outcome.added, outcome.removed), (1, 1));
        assert_eq!(
            ip("route show proto 158"),
            "10.244.2.0/24 via 192.0.2.20 dev eth0"
        );

        let outcome = kernel::reconcile(&plan_for(&[B, FAR], Backend::HostGateway), SETTINGS).unwrap();
        assert_eq!(
            (outcome.added, outcome.errors.len()),
            (1, 1),
            "an unreachable node doesn't keep the others back"
        );
        assert_eq!(
            outcome.errors[0].to_string(),
            "route to 10.244.4.0/24 via 198.51.100.1"
        );

        kernel::cleanup().unwrap();
        assert_eq!(ip("route show proto 158"), "");
        assert!(ip("route show").contains("203.0.113.0/24"), "others' routes stay");
    });
}

#[test]
fn tunnels_follow_the_nodes() {
    in_namespace(|| {
        ip("route add default via 192.0.2.9");
        let outcome = kernel::reconcile(&plan_for(&[B, FAR], Backend::Vxlan), SETTINGS).unwrap();
        assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
        assert_eq!(
            ip("route show proto 158"),
            "10.244.2.0/24 via 10.244.2.0 dev oxikube.vxlan onlink\n10.244.4.0/24 via 10.244.4.0 dev oxikube.vxlan onlink"
        );
        let neighbours = ip("neigh show dev oxikube.vxlan nud permanent");
        assert!(
            neighbours.contains("10.244.4.0 lladdr 02:6f:c6:33:64:01"),
            "{neighbours}"
        );
        let link = ip("-d link show oxikube.vxlan");
        assert!(
            link.contains("vxlan id 7 local 192.0.2.1") && link.contains("mtu 1450"),
            "{link}"
        );
        let again = kernel::reconcile(&plan_for(&[B], Backend::Vxlan), SETTINGS).unwrap();
        assert_eq!((again.added, again.removed), (0, 1));
        assert!(
            !ip("neigh show dev oxikube.vxlan nud permanent").contains("10.244.4.0"),
            "stale entries go"
        );

        kernel::reconcile(&plan_for(&[B], Backend::HostGateway), SETTINGS).unwrap();
        assert!(!ip("link show").contains("oxikube.vxlan"));
        assert_eq!(ip("route show proto 158"), "10.244.2.0/24 via 192.0.2.2 dev eth0");
    });
}

#[test]
fn masquerading_is_one_table() {
    in_namespace(|| {
        let script = masquerade::script(&plan_for(&[B], Backend::HostGateway));
        if masquerade::run(&script).is_err() {
            eprintln!("skipped: nftables is missing");
            return;
        }
        masquerade::run(&script).unwrap();
        assert!(masquerade::stands().unwrap());
        let rules = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        assert_eq!(rules.matches("masquerade").count(), 1, "{rules}");
        assert!(
            rules.contains("ip saddr 10.244.1.0/24") || rules.contains("ip saddr { 10.244.1.0/24 }"),
            "{rules}"
        );
        masquerade::remove().unwrap();
        assert!(!masquerade::stands().unwrap());
    });
}
