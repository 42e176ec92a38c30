use api::apps::v1::RollingUpdateStatefulSetStrategy;
use api::core::v1::PodCondition;
use expect_test::{Expect, expect};

use super::*;
use crate::stateful_set::status::status;

fn revision(name: &str) -> Revision {
    Revision {
        name: name.into(),
        template: PodTemplateSpec::default(),
    }
}

/// `ORDINAL STATE REVISION`: ready, pending, new (not seen by a kubelet), going, failed.
fn pod(text: &str) -> Arc<Pod> {
    let mut words = text.split(' ');
    let mut next = || words.next().expect("three words");
    let (ordinal, state, revision) = (next(), next(), next());
    let mut pod = Pod::default();
    pod.metadata.name = format!("web-{ordinal}");
    pod.metadata
        .labels
        .insert(crate::revisions::HASH_LABEL.into(), revision.into());
    identity::set_labels(&mut pod, ordinal.parse().expect("a number"));
    pod.status.phase = match state {
        "failed" => "Failed",
        "pending" => "Pending",
        _ => "Running",
    }
    .into();
    if state == "ready" || state == "going" {
        pod.status.conditions.push(PodCondition {
            type_: "Ready".into(),
            status: "True".into(),
            last_transition_time: Time::from_unix(50, 0),
            ..PodCondition::default()
        });
    }
    if state == "going" {
        pod.metadata.deletion_timestamp = Time::from_unix(90, 0);
    }
    Arc::new(pod)
}

fn observed(replicas: i32, pods: &[&str]) -> Observed {
    let mut set = StatefulSet::default();
    set.metadata.name = "web".into();
    set.spec.replicas = Some(replicas);
    set.spec.update_strategy.type_ = "RollingUpdate".into();
    set.spec.update_strategy.rolling_update = Some(Box::new(RollingUpdateStatefulSetStrategy {
        partition: Some(0),
        max_unavailable: None,
    }));
    Observed {
        set,
        current: revision("old"),
        update: revision("new"),
        pods: pods.iter().map(|text| pod(text)).collect(),
        claims: Claims::new(),
    }
}

fn show(step: &Step) -> String {
    match step {
        Step::Create(pod, _) => format!("create {} {}", pod.metadata.name, revision_of(pod)),
        Step::EnsureClaims(pod, _) => format!("claims {}", pod.metadata.name),
        Step::Correct(pod, _) => format!("correct {}", pod.metadata.name),
        Step::OwnClaims(pod, _) => format!("own {}", pod.metadata.name),
        Step::Delete(pod) => format!("delete {}", pod.metadata.name),
        Step::Replace(pod) => format!("replace {}", pod.metadata.name),
    }
}

fn check(observed: &Observed, expected: Expect) {
    let groups = plan(observed, Time::from_unix(100, 0).expect("a time"));
    let shown: Vec<String> = groups
        .iter()
        .map(|group| group.iter().map(show).collect::<Vec<_>>().join(", "))
        .collect();
    expected.assert_eq(&shown.join("; "));
}

#[test]
fn pods_are_made_one_after_the_other() {
    check(&observed(3, &[]), expect!["create web-0 new"]);
    check(&observed(3, &["0 pending new"]), expect![""]);
    check(&observed(3, &["0 ready new"]), expect!["create web-1 new"]);
    check(
        &observed(3, &["0 ready new", "2 ready new"]),
        expect!["create web-1 new"],
    );
    check(
        &observed(2, &["0 failed new", "1 ready new"]),
        expect!["delete web-0"],
    );
}

#[test]
fn pods_in_parallel_are_made_at_once() {
    let mut all = observed(3, &["1 pending new", "7 ready new", "8 going new"]);
    all.set.spec.pod_management_policy = "Parallel".into();
    check(&all, expect!["create web-0 new, create web-2 new; delete web-7"]);
}

#[test]
fn the_highest_goes_first() {
    let pods = ["0 ready new", "1 ready new", "2 ready new", "3 ready new"];
    check(&observed(2, &pods), expect!["delete web-3"]);
    check(
        &observed(2, &["0 ready new", "1 ready new", "2 ready new", "3 going new"]),
        expect![""],
    );
    // One that does not run is not waited for, if nothing before it is broken as well.
    check(
        &observed(1, &["0 ready new", "1 ready new", "2 pending new"]),
        expect!["delete web-2"],
    );
    check(
        &observed(1, &["0 ready new", "1 pending new", "2 pending new"]),
        expect![""],
    );
}

#[test]
fn updates_go_from_the_highest_down_to_the_partition() {
    let pods = ["0 ready old", "1 ready old", "2 ready old"];
    check(&observed(3, &pods), expect!["replace web-2"]);
    check(
        &observed(3, &["0 ready old", "1 ready old", "2 ready new"]),
        expect!["replace web-1"],
    );
    check(
        &observed(3, &["0 ready old", "1 ready old", "2 going new"]),
        expect![""],
    );
    let mut partitioned = observed(3, &["0 ready old", "1 ready old", "2 ready new"]);
    let strategy = &mut partitioned.set.spec.update_strategy;
    strategy.rolling_update = Some(Box::new(RollingUpdateStatefulSetStrategy {
        partition: Some(2),
        max_unavailable: None,
    }));
    check(&partitioned, expect![""]);
    // A pod below it that got lost comes back as it was.
    partitioned.pods.remove(0);
    check(&partitioned, expect!["create web-0 old"]);
    let mut by_hand = observed(3, &pods);
    by_hand.set.spec.update_strategy.type_ = "OnDelete".into();
    check(&by_hand, expect![""]);
}

#[test]
fn the_first_ordinal_may_be_another() {
    let mut shifted = observed(2, &["0 ready new", "5 ready new"]);
    shifted.set.spec.ordinals = Some(Box::new(api::apps::v1::StatefulSetOrdinals { start: 5 }));
    check(&shifted, expect!["create web-6 new"]);
    shifted.pods.push(pod("6 ready new"));
    check(&shifted, expect!["delete web-0"]);
}

#[test]
fn a_set_that_goes_does_nothing_more() {
    let mut going = observed(3, &[]);
    going.set.metadata.deletion_timestamp = Time::from_unix(1, 0);
    check(&going, expect![""]);
}

#[test]
fn pods_that_ought_to_mount_claims_are_corrected() {
    let mut observed = observed(1, &["0 ready new"]);
    let mut template = api::core::v1::PersistentVolumeClaim::default();
    template.metadata.name = "data".into();
    observed.set.spec.volume_claim_templates.push(template);
    check(&observed, expect!["correct web-0"]);
    observed.pods = vec![pod("0 pending new")];
    check(&observed, expect!["claims web-0"]);
}

#[test]
fn status_counts_and_completes_the_update() {
    let now = Time::from_unix(100, 0).expect("a time");
    let check = |observed: &Observed, expected: Expect| {
        let status = status(observed, &plan(observed, now), now);
        expected.assert_eq(&format!(
            "{} replicas, {} ready, {} available, {} current, {} updated, {} -> {}",
            status.replicas,
            status.ready_replicas,
            status.available_replicas,
            status.current_replicas,
            status.updated_replicas,
            status.current_revision,
            status.update_revision,
        ));
    };
    let rolling = observed(3, &["0 ready old", "1 ready old", "2 ready new"]);
    check(
        &rolling,
        expect!["3 replicas, 3 ready, 3 available, 1 current, 1 updated, old -> new"],
    );
    let mut over = observed(2, &["0 ready new", "1 ready new"]);
    check(
        &over,
        expect!["2 replicas, 2 ready, 2 available, 2 current, 2 updated, new -> new"],
    );
    over.set.spec.min_ready_seconds = 60;
    check(
        &over,
        expect!["2 replicas, 2 ready, 0 available, 2 current, 2 updated, new -> new"],
    );
}
