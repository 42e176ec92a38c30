use api::apps::v1::RollingUpdateDaemonSet;
use api::core::v1::PodCondition;
use apimachinery::int_or_string::IntOrString;
use expect_test::{Expect, expect};

use super::*;
use crate::daemon_set::status;

/// Nodes by name. Pods as `node:old`, `node:new`, with `!` unready, `-` going, `+` failed.
struct World {
    observed: Observed,
}

impl World {
    fn new(nodes: &str, pods: &str, unavailable: i32, surge: i32) -> Self {
        let mut set = DaemonSet::default();
        set.spec.update_strategy.type_ = "RollingUpdate".into();
        set.spec.update_strategy.rolling_update = Some(Box::new(RollingUpdateDaemonSet {
            max_unavailable: Some(IntOrString::Int(unavailable)),
            max_surge: Some(IntOrString::Int(surge)),
        }));
        let node = |name: &str| {
            let mut node = Node::default();
            node.metadata.name = name.into();
            Arc::new(node)
        };
        let nodes = nodes.split_whitespace().map(node).collect();
        let pods = pods.split_whitespace().map(pod).collect();
        World {
            observed: Observed {
                set,
                hash: "new".into(),
                nodes,
                pods,
            },
        }
    }

    fn render(&self) -> String {
        let now = Time::from_unix(100, 0).expect("valid");
        let plan = plan(&self.observed, now);
        let mut deleted: Vec<&str> = plan.delete.iter().map(|pod| pod.metadata.name.as_str()).collect();
        deleted.sort_unstable();
        let s = status::status(&self.observed, now);
        format!(
            "create [{}] delete [{}]; {}/{} ready {} updated {}",
            plan.create.join(" "),
            deleted.join(" "),
            s.current_number_scheduled,
            s.desired_number_scheduled,
            s.number_ready,
            s.updated_number_scheduled
        )
    }
}

fn pod(text: &str) -> Arc<Pod> {
    let mut pod = Pod::default();
    let (node, hash) = text
        .trim_end_matches(['!', '-', '+'])
        .split_once(':')
        .expect("node:hash");
    pod.metadata.name = text.into();
    pod.metadata.labels.insert(HASH_LABEL.into(), hash.into());
    pod.spec.node_name = node.into();
    let ready = if text.ends_with('!') { "False" } else { "True" };
    pod.status.conditions = vec![PodCondition {
        type_: "Ready".into(),
        status: ready.into(),
        ..PodCondition::default()
    }];
    if text.ends_with('-') {
        pod.metadata.deletion_timestamp = Time::from_unix(1, 0);
    }
    if text.ends_with('+') {
        pod.status.phase = "Failed".into();
    }
    Arc::new(pod)
}

fn check(nodes: &str, pods: &str, unavailable: i32, surge: i32, expected: Expect) {
    expected.assert_eq(&World::new(nodes, pods, unavailable, surge).render());
}

#[test]
fn every_node_gets_one_pod() {
    check(
        "a b",
        "",
        1,
        0,
        expect!["create [a b] delete []; 0/2 ready 0 updated 0"],
    );
    check(
        "a b",
        "a:new",
        1,
        0,
        expect!["create [b] delete []; 1/2 ready 1 updated 1"],
    );
    check(
        "a",
        "a:new a:new!",
        1,
        0,
        expect!["create [] delete [a:new!]; 1/1 ready 1 updated 1"],
    );
    check(
        "a",
        "a:new+",
        1,
        0,
        expect!["create [] delete [a:new+]; 1/1 ready 1 updated 1"],
    );
    check(
        "a",
        "a:new-",
        1,
        0,
        expect!["create [] delete []; 1/1 ready 1 updated 1"],
    );
}

#[test]
fn old_pods_are_replaced_as_far_as_may_be_unavailable() {
    check(
        "a b c",
        "a:old b:old c:old",
        1,
        0,
        expect!["create [] delete [a:old]; 3/3 ready 3 updated 0"],
    );
    check(
        "a b c",
        "a:old b:old c:old",
        2,
        0,
        expect!["create [] delete [a:old b:old]; 3/3 ready 3 updated 0"],
    );
    check(
        "a b c",
        "a:new! b:old c:old",
        1,
        0,
        expect!["create [] delete []; 3/3 ready 2 updated 1"],
    );
    check(
        "a b c",
        "a:old! b:old c:old",
        1,
        0,
        expect!["create [] delete [a:old!]; 3/3 ready 2 updated 0"],
    );
    check(
        "a b c",
        "a:new b:old- c:old",
        1,
        0,
        expect!["create [] delete []; 3/3 ready 3 updated 1"],
    );
}

#[test]
fn surging_creates_before_it_deletes() {
    check(
        "a b",
        "a:old b:old",
        0,
        1,
        expect!["create [a] delete []; 2/2 ready 2 updated 0"],
    );
    check(
        "a b",
        "a:old a:new! b:old",
        0,
        1,
        expect!["create [] delete []; 2/2 ready 1 updated 1"],
    );
    check(
        "a b",
        "a:old a:new b:old",
        0,
        1,
        expect!["create [] delete [a:old]; 2/2 ready 2 updated 1"],
    );
    check(
        "a b",
        "a:old- b:new",
        0,
        1,
        expect!["create [a] delete []; 2/2 ready 2 updated 1"],
    );
}

#[test]
fn on_delete_replaces_nothing() {
    let mut world = World::new("a", "a:old", 1, 0);
    world.observed.set.spec.update_strategy.type_ = "OnDelete".into();
    expect!["create [] delete []; 1/1 ready 1 updated 0"].assert_eq(&world.render());
}

#[test]
fn pods_meant_for_nodes_that_are_gone_are_deleted() {
    let mut world = World::new("a", "a:new", 1, 0);
    let template = placement::template_for(&world.observed.set, "gone", "new");
    let mut stray = Pod {
        spec: template.spec,
        ..Pod::default()
    };
    stray.metadata.name = "stray".into();
    world.observed.pods.push(Arc::new(stray));
    expect!["create [] delete [stray]; 1/1 ready 1 updated 1"].assert_eq(&world.render());
}
