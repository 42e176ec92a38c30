use super::*;
use crate::{
    config::Config,
    eviction::{pressure::Condition, threshold},
    pleg::Pleg,
    pod_table::PodTable,
    test_node::{Node, UID},
};
use api::{Message, core::v1::PodStatus};
use std::collections::BTreeMap;

fn pod(fields: &str) -> Arc<Pod> {
    let json = format!(
        r#"{{"metadata":{{"name":"p","namespace":"n","uid":"{UID}"}},"spec":{{"restartPolicy":"Always",
        "dnsPolicy":"Default","terminationGracePeriodSeconds":30,{fields},"containers":[{{"name":"a","image":"x:1"}}]}}}}"#
    );
    Arc::new(Pod::from_json(json.as_bytes()).unwrap())
}

/// A manager on a machine with a pebibyte of memory, of which the real one uses little, with this hard threshold.
fn manager(node: &Node, memory_available: &str) -> Manager {
    let config = Arc::new(Config {
        eviction_hard: BTreeMap::from([("memory.available".to_owned(), memory_available.to_owned())]),
        enforce_node_allocatable: vec![],
        ..Config::default()
    });
    let passes = &node.passes;
    let pressure = Arc::new(Pressure::default());
    let facts = NodeFacts {
        node_name: "node".into(),
        config: config.clone(),
        machine: crate::node::machine::Machine {
            memory_bytes: 1 << 50,
            ..Default::default()
        },
        capacity: Default::default(),
        allocatable: Default::default(),
        node_ips: vec![],
        hostname: "node".into(),
        root_dir: node.folder.path().to_path_buf(),
        image_dir: node.folder.path().to_path_buf(),
        runtime: passes.runtime.clone(),
        runtime_version: String::new(),
        health: passes.health.clone(),
        pleg: Pleg::new(
            passes.runtime.clone(),
            passes.clock.clone(),
            passes.metrics.clone(),
            Box::new(|_| {}),
        ),
        pressure: pressure.clone(),
    };
    Manager {
        machine: Machine::new(threshold::all(&config).unwrap(), Duration::from_secs(300)),
        pressure,
        facts: Arc::new(facts),
        groups: passes.groups.clone(),
        reclaimer: node.reclaimer(&Arc::new(PodTable::default())),
        events: passes.events.clone(),
        metrics: passes.metrics.clone(),
        clock: passes.clock.clone(),
    }
}

async fn run(node: &Node, pod: Arc<Pod>) {
    node.pool.update(pod);
    node.until(|status| status.phase == "Running").await;
}

fn is_evicted(status: &PodStatus) -> bool {
    status.phase == "Failed" && status.reason == REASON
}

#[tokio::test]
async fn a_pod_goes_when_memory_is_short() {
    let node = Node::new().await;
    run(&node, pod(r#""priority":0"#)).await;
    let mut manager = manager(&node, "2Pi");
    assert_eq!(manager.round().await, [UID]);
    assert_eq!(manager.pressure.conditions(), [Condition::Memory]);
    let status = node.until(is_evicted).await;
    assert!(
        status
            .message
            .starts_with("The node was low on resource: memory. Threshold quantity: 2Pi, available: "),
        "{}",
        status.message
    );
    let target = status
        .conditions
        .iter()
        .find(|one| one.type_ == "DisruptionTarget");
    assert_eq!(
        target.map(|target| (target.status.as_str(), target.reason.as_str())),
        Some(("True", "TerminationByKubelet"))
    );
    node.until_called("stop a within 2s").await;
}

#[tokio::test]
async fn critical_pods_stay_and_nothing_happens_without_need() {
    let node = Node::new().await;
    run(&node, pod(r#""priority":2000000000"#)).await;
    assert!(manager(&node, "2Pi").round().await.is_empty());
    let mut idle = manager(&node, "1Ki");
    assert!(idle.round().await.is_empty());
    assert!(idle.pressure.conditions().is_empty());
    assert!(
        node.statuses
            .get(UID)
            .is_some_and(|status| status.phase == "Running")
    );
}

#[tokio::test]
async fn a_pod_goes_when_a_volume_is_larger_than_it_may_be() {
    let node = Node::new().await;
    run(
        &node,
        pod(r#""volumes":[{"name":"v","emptyDir":{"sizeLimit":"16Ki"}}]"#),
    )
    .await;
    let mut manager = manager(&node, "1Ki");
    assert!(manager.round().await.is_empty());
    let root = &node.passes.settings.root;
    let volume = root.volume(UID, crate::volume::directory::Plugin::EmptyDir, "v");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("f"), vec![1; 64 << 10]).unwrap();
    assert_eq!(manager.round().await, [UID]);
    let status = node.until(is_evicted).await;
    assert_eq!(
        status.message,
        r#"Usage of EmptyDir volume "v" exceeds the limit "16Ki". "#
    );
    assert!(
        !status
            .conditions
            .iter()
            .any(|one| one.type_ == "DisruptionTarget")
    );
}
