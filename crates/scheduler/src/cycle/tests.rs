use std::collections::HashMap;

use super::*;
use crate::fixture::{NodeFixture, PodFixture, cache, node, pod};

/// The node chosen, or the message that the pod's event bears.
fn schedule(nodes: Vec<NodeFixture>, bound: Vec<PodFixture>, incoming: PodFixture) -> String {
    schedule_with(nodes, bound, incoming, &HashMap::new())
}

fn schedule_with(
    nodes: Vec<NodeFixture>,
    bound: Vec<PodFixture>,
    incoming: PodFixture,
    nominated: &Nominated,
) -> String {
    let mut cache = cache(nodes, bound);
    let profile = Profile::default_for("default-scheduler");
    let pod = incoming.info();
    let input = Input {
        profile: &profile,
        pod: &pod,
        nominated,
        start: 0,
        random: 0,
    };
    match run(&input, cache.cluster()).result {
        Ok(choice) => choice.node,
        Err(Failure::NoNodes) => "no nodes available to schedule pods".to_owned(),
        Err(Failure::Unfit(diagnosis)) => diagnosis.to_string(),
    }
}

#[test]
fn amounts_decide() {
    assert_eq!(
        schedule(vec![], vec![], pod("p")),
        "no nodes available to schedule pods"
    );
    let two = || vec![node("a").cpu("1"), node("b").cpu("2")];
    assert_eq!(schedule(two(), vec![], pod("p").cpu("1500m")), "b");
    assert_eq!(
        schedule(two(), vec![], pod("p").cpu("3")),
        "0/2 nodes are available: 2 Insufficient cpu."
    );
    assert_eq!(
        schedule(two(), vec![pod("q").cpu("2").on("b")], pod("p").cpu("500m")),
        "a",
        "what is bound counts"
    );
    assert_eq!(
        schedule(
            vec![node("a").amount("pods", "0")],
            vec![],
            pod("p").amount("example.com/gpu", "1")
        ),
        "0/1 nodes are available: 1 Insufficient example.com/gpu, 1 Too many pods."
    );
}

#[test]
fn the_emptier_node_wins() {
    let nodes = vec![node("a"), node("b")];
    assert_eq!(
        schedule(nodes, vec![pod("q").cpu("2").on("a")], pod("p").cpu("1")),
        "b"
    );
}

#[test]
fn taints_cordons_names_and_selectors_rule_nodes_out() {
    let nodes = vec![
        node("a").taint("dedicated", "NoSchedule"),
        node("b").cordoned(),
        node("c"),
    ];
    assert_eq!(
        schedule(nodes, vec![], pod("p").node_selector("disk", "ssd")),
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
    );
    assert_eq!(
        schedule(
            vec![node("a"), node("b").label("disk", "ssd")],
            vec![],
            pod("p").node_selector("disk", "ssd")
        ),
        "b"
    );
    assert_eq!(
        schedule(
            vec![node("a").taint("k", "PreferNoSchedule"), node("b")],
            vec![],
            pod("p")
        ),
        "b"
    );
    assert_eq!(
        schedule(vec![node("a")], vec![], pod("p").on("b")),
        "0/1 nodes are available: 1 node(s) didn't match the requested node name."
    );
}

#[test]
fn host_ports_collide() {
    let nodes = || vec![node("a"), node("b")];
    assert_eq!(
        schedule(
            nodes(),
            vec![pod("q").host_port(80).on("a")],
            pod("p").host_port(80)
        ),
        "b"
    );
    assert_eq!(
        schedule(
            vec![node("a")],
            vec![pod("q").host_port(80).on("a")],
            pod("p").host_port(80)
        ),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    );
}

#[test]
fn affinity_brings_pods_together_and_anti_affinity_keeps_them_apart() {
    const HOST: &str = "kubernetes.io/hostname";
    let nodes = || vec![node("a"), node("b")];
    let web = || pod("q").label("app", "web").on("b");
    assert_eq!(
        schedule(nodes(), vec![web()], pod("p").with("app", "web", HOST)),
        "b"
    );
    assert_eq!(
        schedule(nodes(), vec![web()], pod("p").apart("app", "web", HOST)),
        "a"
    );
    assert_eq!(
        schedule(
            nodes(),
            vec![pod("q").apart("app", "web", HOST).on("a")],
            pod("p").label("app", "web")
        ),
        "b",
        "the rule of an existing pod holds too"
    );
    assert_eq!(
        schedule(nodes(), vec![], pod("p").with("app", "web", HOST)),
        "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."
    );
    let first = schedule(
        nodes(),
        vec![],
        pod("p").label("app", "web").with("app", "web", HOST),
    );
    assert!(
        ["a", "b"].contains(&first.as_str()),
        "the first of its kind may start anywhere"
    );
    assert_eq!(
        schedule(
            nodes(),
            vec![web()],
            pod("p").rather_with("app", "web", HOST, 100)
        ),
        "b"
    );
}

#[test]
fn spread_keeps_the_skew() {
    const ZONE: &str = "topology.kubernetes.io/zone";
    let nodes = || vec![node("a").label(ZONE, "1"), node("b").label(ZONE, "2")];
    let web = |name: &str, on: &str| pod(name).label("app", "web").on(on);
    let incoming = || pod("p").label("app", "web").spread("app", "web", ZONE, 1);
    assert_eq!(schedule(nodes(), vec![web("q", "a")], incoming()), "b");
    assert_eq!(
        schedule(
            vec![node("a").label(ZONE, "1"), node("b").label(ZONE, "2").cordoned()],
            vec![web("q", "a")],
            incoming()
        ),
        "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable."
    );
    assert_eq!(
        schedule(vec![node("a")], vec![], incoming()),
        "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label)."
    );
}

#[test]
fn images_draw_pods() {
    let nodes = vec![node("a"), node("b").image("web:1", 900)];
    assert_eq!(schedule(nodes, vec![], pod("p")), "b");
}

#[test]
fn room_made_for_a_nominated_pod_is_kept() {
    let nodes = || vec![node("a").cpu("1")];
    let ahead = HashMap::from([("a".to_owned(), vec![pod("n").cpu("1").priority(10).info()])]);
    assert_eq!(
        schedule_with(nodes(), vec![], pod("p").cpu("1"), &ahead),
        "0/1 nodes are available: 1 Insufficient cpu."
    );
    assert_eq!(
        schedule_with(nodes(), vec![], pod("p").cpu("1").priority(11), &ahead),
        "a",
        "but not from higher ones"
    );
}

#[test]
fn a_search_of_a_large_cluster_stops_early() {
    assert_eq!(
        [50, 100, 1000, 5000, 6250].map(|n| enough(0, n)),
        [50, 100, 420, 500, 312]
    );
    assert_eq!(enough(100, 5000), 5000);
    assert_eq!(enough(1, 5000), 100);
}

#[test]
fn pods_of_one_owner_spread_by_default() {
    let mut cache = cache(
        vec![node("a").cpu("40"), node("b")],
        vec![
            pod("q")
                .label("app", "web")
                .owner("apps/v1", "ReplicaSet", "web")
                .on("a"),
        ],
    );
    let selector = apimachinery::labels::Selector::parse("app=web").expect("valid");
    cache
        .owners_mut()
        .set_workload(crate::owners::OwnerKind::ReplicaSet, "default", "web", selector);
    let profile = Profile::default_for("default-scheduler");
    let pod = pod("p")
        .label("app", "web")
        .owner("apps/v1", "ReplicaSet", "web")
        .info();
    let input = Input {
        profile: &profile,
        pod: &pod,
        nominated: &HashMap::new(),
        start: 0,
        random: 0,
    };
    assert_eq!(
        run(&input, cache.cluster())
            .result
            .ok()
            .map(|choice| choice.node)
            .as_deref(),
        Some("b")
    );
}
