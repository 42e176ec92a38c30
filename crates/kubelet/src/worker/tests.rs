//! Workers over a fake runtime: what they ask of it, and what they report.

use super::machine::Stage;
use crate::{
    resize::{Resizes, allocation},
    test_node::{Node, PATIENCE, UID},
};
use api::{
    Message,
    core::v1::{ContainerResizePolicy, Pod, PodCondition, PodStatus},
};
use apimachinery::time::Time;
use std::sync::Arc;

fn pod(spec: &str) -> Pod {
    let json = format!(
        r#"{{"metadata":{{"name":"p","namespace":"n","uid":"{UID}"}},
            "spec":{{"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"Default",{spec}}}}}"#
    );
    Pod::from_json(json.as_bytes()).unwrap()
}

const ONE: &str = r#""containers":[{"name":"a","image":"x:1"}]"#;

fn running(status: &PodStatus) -> bool {
    status.phase == "Running" && status.container_statuses.iter().all(|container| container.ready)
}

fn deleted(mut pod: Pod, grace: i64) -> Arc<Pod> {
    pod.metadata.deletion_timestamp = Some(Time::default());
    pod.metadata.deletion_grace_period_seconds = Some(grace);
    Arc::new(pod)
}

#[tokio::test]
async fn a_pod_comes_up_and_is_deleted() {
    let node = Node::new().await;
    let spec = pod(ONE);
    node.pool.update(Arc::new(spec.clone()));
    let status = node.until(running).await;
    assert_eq!(
        (status.pod_ip.as_str(), status.host_ip.as_str()),
        ("10.0.0.9", "192.168.0.1")
    );
    assert_eq!(node.runtime.take_calls(), ["sandbox", "start a"]);
    assert!(node.folder.path().join("kubelet/pods").join(UID).exists());

    node.pool.update(deleted(spec, 7));
    let status = node.until(|status| status.phase == "Failed").await;
    let ended = status.container_statuses[0].state.terminated.as_ref().unwrap();
    assert_eq!(ended.exit_code, 143);
    assert_eq!(node.runtime.take_calls(), ["stop a within 7s", "stop sandbox"]);
    node.pool.remove(UID);
    node.until_gone().await;
    assert!(!node.folder.path().join("kubelet/pods").join(UID).exists());
}

#[tokio::test]
async fn a_crashing_container_waits_longer_each_time() {
    let node = Node::new().await;
    node.pool.update(Arc::new(pod(ONE)));
    node.until(running).await;
    node.runtime.exit("a", 1);
    node.pool.poke(UID);
    let status = node
        .until(|status| running(status) && status.container_statuses[0].restart_count == 1)
        .await;
    let last = status.container_statuses[0]
        .last_state
        .terminated
        .as_ref()
        .unwrap();
    assert_eq!(last.exit_code, 1);
    node.runtime.exit("a", 2);
    node.pool.poke(UID);
    let waits = |status: &PodStatus| {
        status
            .container_statuses
            .iter()
            .any(|c| c.state.waiting.is_some())
    };
    let status = node.until(waits).await;
    let waiting = status.container_statuses[0].state.waiting.as_ref().unwrap();
    assert_eq!(waiting.reason, "CrashLoopBackOff");
    assert_eq!(
        waiting.message,
        "back-off 10s restarting failed container=a pod=p_n(uid-1)"
    );
    assert_eq!(status.phase, "Running");
}

#[tokio::test]
async fn a_pod_that_has_run_its_course_stays_ended() {
    let node = Node::new().await;
    let mut spec = pod(ONE);
    spec.spec.restart_policy = "Never".into();
    node.pool.update(Arc::new(spec));
    node.until(running).await;
    node.runtime.exit("a", 0);
    node.pool.poke(UID);
    let status = node.until(|status| status.phase == "Succeeded").await;
    assert_eq!(status.pod_ip, "10.0.0.9", "it keeps its address");
    node.until_called("stop sandbox").await;
    let finished = || {
        node.pool
            .known()
            .iter()
            .all(|known| known.stage == Stage::Finished)
    };
    let wait = async {
        while !finished() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok());
    assert!(!node.pool.holds(UID));
}

#[tokio::test]
async fn the_next_kubelet_adopts_what_runs() {
    let first = Node::new().await;
    first.pool.update(Arc::new(pod(ONE)));
    first.until(running).await;
    first.runtime.take_calls();
    first.shutdown.trigger();
    let second = Node::over(first.runtime.clone()).await;
    second.pool.update(Arc::new(pod(ONE)));
    let status = second.until(running).await;
    assert_eq!(status.container_statuses[0].restart_count, 0);
    assert_eq!(second.runtime.take_calls(), Vec::<String>::new());
}

#[tokio::test]
async fn less_time_ends_a_pod_sooner() {
    let node = Node::new().await;
    let spec = pod(ONE);
    node.pool.update(Arc::new(spec.clone()));
    node.until(running).await;
    node.runtime.make_stubborn("a");
    node.pool.update(deleted(spec.clone(), 30));
    node.until_called("stop a within 30s").await;
    node.pool.update(deleted(spec, 0));
    node.until_called("stop a within 2s").await;
    node.until(|status| status.phase == "Failed").await;
}

#[tokio::test]
async fn init_containers_run_before_and_sidecars_outlive() {
    let node = Node::new().await;
    let spec = pod(
        r#""initContainers":[{"name":"i","image":"x:1"},{"name":"s","image":"x:1","restartPolicy":"Always"}],
            "containers":[{"name":"a","image":"x:1"}]"#,
    );
    node.pool.update(Arc::new(spec.clone()));
    node.until_called("start i").await;
    node.runtime.exit("i", 0);
    node.pool.poke(UID);
    node.until(running).await;
    assert_eq!(node.runtime.take_calls(), ["start s", "start a"]);
    node.pool.update(deleted(spec, 9));
    node.until(|status| status.phase == "Failed").await;
    assert_eq!(
        node.runtime.take_calls(),
        ["stop a within 9s", "stop s within 9s", "stop sandbox"]
    );
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_told() {
    let node = Node::new().await;
    node.pool.update(Arc::new(pod(
        r#""containers":[{"name":"a","image":"missing:1"}]"#,
    )));
    let waits = |status: &PodStatus| {
        status.container_statuses.iter().any(|c| {
            c.state
                .waiting
                .as_ref()
                .is_some_and(|waiting| waiting.reason == "ErrImagePull")
        })
    };
    assert_eq!(node.until(waits).await.phase, "Pending");
    assert_eq!(node.runtime.take_calls(), ["sandbox", "pull"]);
}

#[tokio::test]
async fn containers_of_unknown_pods_are_ended() {
    let first = Node::new().await;
    first.pool.update(Arc::new(pod(ONE)));
    first.until(running).await;
    first.shutdown.trigger();
    let second = Node::over(first.runtime.clone()).await;
    second.runtime.take_calls();
    second.pool.end_orphan(UID, 1);
    second.until_gone().await;
    assert_eq!(second.runtime.take_calls(), ["stop a within 2s", "stop sandbox"]);
}

fn sized(cpu: &str, memory: &str) -> Arc<Pod> {
    let amounts = format!(r#"{{"cpu":"{cpu}","memory":"{memory}"}}"#);
    let mut pod = pod(&format!(
        r#""containers":[{{"name":"a","image":"x:1","resources":{{"requests":{amounts},"limits":{amounts}}}}}]"#
    ));
    pod.metadata.generation = 2;
    Arc::new(pod)
}

fn resize(node: &Node, to: &Arc<Pod>) {
    node.passes
        .resizes
        .allocated
        .set(UID, allocation::of(to))
        .unwrap();
    node.passes.resizes.conditions.accepted(to);
    node.pool.update(to.clone());
}

#[tokio::test]
async fn a_running_container_is_resized() {
    let node = Node::new().await;
    let small = sized("100m", "64Mi");
    resize(&node, &small);
    node.until(running).await;
    node.runtime.take_calls();
    resize(&node, &sized("200m", "128Mi"));
    let status = node
        .until(|status| {
            let resources = status.container_statuses[0].resources.as_ref();
            let limits = &resources.unwrap().limits;
            limits["cpu"].milli_value() == 200 && !status.conditions.iter().any(is_resize)
        })
        .await;
    assert_eq!(status.container_statuses[0].restart_count, 0);
    assert_eq!(
        node.runtime.take_calls(),
        [
            "update a shares 102 quota 10000 memory 134217728",
            "update a shares 204 quota 20000 memory 134217728"
        ]
    );
    let kept = Resizes::open(
        &node.folder.path().join("kubelet"),
        node.passes.clock.clone(),
        node.passes.metrics.clone(),
    );
    let kept = kept.unwrap().actuated.get(UID).unwrap();
    assert_eq!(kept.containers["a"].limits["memory"].value(), 128 << 20);
}

#[tokio::test]
async fn memory_in_use_is_not_taken_away() {
    let node = Node::new().await;
    resize(&node, &sized("100m", "64Mi"));
    node.until(running).await;
    node.runtime.take_calls();
    resize(&node, &sized("100m", "5Mi"));
    let failed = |status: &PodStatus| {
        status
            .conditions
            .iter()
            .any(|c| is_resize(c) && c.reason == "Error")
    };
    let status = node.until(failed).await;
    let condition = status.conditions.iter().find(|c| is_resize(c)).unwrap();
    assert_eq!(
        condition.message,
        "cannot decrease memory limits: attempting to set container \"a\" memory limit (5242880) below current usage (10485760)"
    );
    assert_eq!(node.runtime.take_calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_policy_of_restart_restarts() {
    let node = Node::new().await;
    let with_policy = |memory| {
        let mut pod = Pod::clone(&sized("100m", memory));
        pod.spec.containers[0].resize_policy = vec![ContainerResizePolicy {
            resource_name: "memory".into(),
            restart_policy: "RestartContainer".into(),
        }];
        Arc::new(pod)
    };
    resize(&node, &with_policy("64Mi"));
    node.until(running).await;
    node.runtime.take_calls();
    resize(&node, &with_policy("128Mi"));
    node.until(|status| {
        running(status)
            && status.container_statuses[0].restart_count == 1
            && !status.conditions.iter().any(is_resize)
    })
    .await;
    assert_eq!(node.runtime.take_calls(), ["stop a within 30s", "start a"]);
}

fn is_resize(condition: &PodCondition) -> bool {
    condition.type_.starts_with("PodResize")
}
