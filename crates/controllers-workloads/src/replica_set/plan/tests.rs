use api::apps::v1::ReplicaSet;
use api::core::v1::PodCondition;
use expect_test::{Expect, expect};

use super::*;

const NOW: i64 = 1000;

fn now() -> Time {
    Time::from_unix(NOW, 0).expect("valid")
}

fn replica_set(replicas: i32, min_ready_seconds: i32) -> ReplicaSet {
    let mut set = ReplicaSet::default();
    set.metadata.generation = 7;
    set.spec.replicas = Some(replicas);
    set.spec.min_ready_seconds = min_ready_seconds;
    set.spec
        .template
        .metadata
        .labels
        .insert("app".into(), "web".into());
    set
}

/// Pods by a word each: `ready@990` is ready since then, `pending` isn't.
fn pods(words: &str) -> Vec<Arc<Pod>> {
    let pod = |(index, word): (usize, &str)| {
        let mut pod = Pod::default();
        pod.metadata.name = format!("p{index}");
        pod.metadata.uid = pod.metadata.name.clone();
        pod.metadata.labels.insert("app".into(), "web".into());
        if let Some(since) = word.strip_prefix("ready@") {
            pod.status.phase = "Running".into();
            pod.spec.node_name = "node".into();
            pod.status.conditions.push(PodCondition {
                type_: "Ready".into(),
                status: "True".into(),
                last_transition_time: Time::from_unix(since.parse().expect("number"), 0),
                ..PodCondition::default()
            });
        }
        Arc::new(pod)
    };
    words.split_whitespace().enumerate().map(pod).collect()
}

fn check(replicas: i32, min_ready_seconds: i32, words: &str, expected: Expect) {
    let (set, pods) = (replica_set(replicas, min_ready_seconds), pods(words));
    let change = match change(replicas, &pods, &pods, now()) {
        Change::None => "nothing".to_owned(),
        Change::Create(count) => format!("create {count}"),
        Change::Delete(pods) => {
            let names: Vec<&str> = pods.iter().map(|pod| pod.metadata.name.as_str()).collect();
            format!("delete {}", names.join(" "))
        }
    };
    let observed = Observed {
        owner: &set,
        pods: &pods,
        terminating: 1,
        attempt: &Attempt::default(),
        now: now(),
    };
    let status = status(&observed);
    let next = next_check(&set, &pods, now()).map(|wait| wait.as_secs());
    expected.assert_eq(&format!(
        "{change}; {} replicas, {} labeled, {} ready, {} available, {:?} terminating; next {next:?}",
        status.replicas, status.fully_labeled, status.ready, status.available, status.terminating
    ));
}

#[test]
fn counts_and_changes() {
    check(
        2,
        0,
        "",
        expect!["create 2; 0 replicas, 0 labeled, 0 ready, 0 available, Some(1) terminating; next None"],
    );
    check(
        2,
        0,
        "ready@990 pending",
        expect!["nothing; 2 replicas, 2 labeled, 1 ready, 1 available, Some(1) terminating; next None"],
    );
    check(
        1,
        0,
        "ready@500 pending ready@991",
        expect!["delete p1 p2; 3 replicas, 3 labeled, 2 ready, 2 available, Some(1) terminating; next None"],
    );
    check(
        2,
        20,
        "ready@970 ready@990",
        expect!["nothing; 2 replicas, 2 labeled, 2 ready, 1 available, Some(1) terminating; next Some(10)"],
    );
    check(
        1000,
        0,
        "",
        expect!["create 500; 0 replicas, 0 labeled, 0 ready, 0 available, Some(1) terminating; next None"],
    );
}

#[test]
fn failures_become_a_condition_and_go_away() {
    let mut set = replica_set(1, 0);
    let status_after = |set: &ReplicaSet, attempt: Attempt| {
        status(&Observed {
            owner: set,
            pods: &[],
            terminating: 0,
            attempt: &attempt,
            now: now(),
        })
    };
    let failed = status_after(
        &set,
        Attempt {
            creating: true,
            error: Some(Error::Timeout),
        },
    );
    assert_eq!(failed.conditions.len(), 1);
    assert_eq!(
        (
            failed.conditions[0].reason.as_str(),
            failed.conditions[0].status.as_str()
        ),
        ("FailedCreate", "True")
    );
    set.set_counts(&failed);
    assert!(is_current(&set, &failed));
    let recovered = status_after(&set, Attempt::default());
    assert!(recovered.conditions.is_empty());
    assert!(!is_current(&set, &recovered));
}
