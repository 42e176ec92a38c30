use api::core::v1::Pod;
use apimachinery::field::ErrorList;
use expect_test::{Expect, expect};

use super::*;
use crate::strategy::Context;

/// A kind whose grace period is what was asked for, or 30 seconds.
struct Graceful;

impl Strategy for Graceful {
    fn default(&self, _: &mut dyn Object) {}
    fn prepare_create(&self, _: &Context<'_>, _: &mut dyn Object) {}
    fn prepare_update(&self, _: &Context<'_>, _: &mut dyn Object, _: &dyn Object) {}
    fn validate_create(&self, _: &Context<'_>, _: &dyn Object) -> ErrorList {
        ErrorList::new()
    }
    fn validate_update(&self, _: &Context<'_>, _: &dyn Object, _: &dyn Object) -> ErrorList {
        ErrorList::new()
    }
    fn grace_period(&self, object: &mut dyn Object, requested: Option<i64>) -> Option<i64> {
        let graceful = object.metadata().labels.contains_key("graceful");
        graceful.then(|| requested.unwrap_or(30))
    }
    fn finished(&self, object: &dyn Object) -> bool {
        !object.metadata().labels.contains_key("unfinished")
    }
    fn table_row(&self, _: &dyn Object, _: Timestamp) -> Vec<serde_json::Value> {
        Vec::new()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000).expect("in range")
}

fn pod(graceful: bool, finalizers: &[&str]) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.generation = 1;
    pod.metadata.finalizers = finalizers.iter().map(|name| (*name).to_owned()).collect();
    if graceful {
        pod.metadata.labels.insert("graceful".to_owned(), String::new());
    }
    pod
}

fn deleting(mut pod: Pod, started: i64, period: i64) -> Pod {
    pod.metadata.deletion_timestamp = Some(Time(Timestamp::from_second(started + period).expect("in range")));
    pod.metadata.deletion_grace_period_seconds = Some(period);
    pod
}

fn check(mut pod: Pod, grace: Option<i64>, policy: Option<&str>, expected: Expect) {
    let options = DeleteOptions {
        grace_period_seconds: grace,
        propagation_policy: policy.map(str::to_owned),
        ..DeleteOptions::default()
    };
    let step = plan(&mut pod, &options, &Graceful, now());
    let metadata = &pod.metadata;
    expected.assert_eq(&format!(
        "{step:?} end={:?} grace={:?} generation={} finalizers={:?}",
        metadata.deletion_timestamp.as_ref().map(|end| end.0.as_second()),
        metadata.deletion_grace_period_seconds,
        metadata.generation,
        metadata.finalizers,
    ));
}

#[test]
fn without_grace() {
    check(
        pod(false, &[]),
        None,
        None,
        expect!["Remove end=None grace=None generation=1 finalizers=[]"],
    );
    check(
        pod(false, &["x"]),
        None,
        None,
        expect![[r#"Mark end=Some(1000) grace=Some(0) generation=2 finalizers=["x"]"#]],
    );
}

#[test]
fn propagation() {
    check(
        pod(false, &[]),
        None,
        Some("Foreground"),
        expect![[r#"Mark end=Some(1000) grace=Some(0) generation=2 finalizers=["foregroundDeletion"]"#]],
    );
    check(
        pod(false, &["foregroundDeletion"]),
        None,
        Some("Orphan"),
        expect![[r#"Mark end=Some(1000) grace=Some(0) generation=2 finalizers=["orphan"]"#]],
    );
    check(
        pod(false, &["orphan"]),
        None,
        Some("Background"),
        expect!["Remove end=None grace=None generation=1 finalizers=[]"],
    );
    check(
        pod(false, &["orphan"]),
        None,
        None,
        expect![[r#"Mark end=Some(1000) grace=Some(0) generation=2 finalizers=["orphan"]"#]],
    );
}

#[test]
fn grace_periods() {
    check(
        pod(true, &[]),
        None,
        None,
        expect!["Mark end=Some(1030) grace=Some(30) generation=2 finalizers=[]"],
    );
    check(
        pod(true, &[]),
        Some(0),
        None,
        expect!["MarkThenRemove end=Some(1000) grace=Some(0) generation=2 finalizers=[]"],
    );
    check(
        pod(true, &[]),
        Some(-5),
        None,
        expect!["Mark end=Some(1001) grace=Some(1) generation=2 finalizers=[]"],
    );
    check(
        pod(true, &["x"]),
        Some(0),
        None,
        expect![[r#"Mark end=Some(1000) grace=Some(0) generation=2 finalizers=["x"]"#]],
    );
}

#[test]
fn a_running_grace_period_is_only_shortened() {
    let running = || deleting(pod(true, &[]), 990, 30);
    check(
        running(),
        None,
        None,
        expect!["Pending end=Some(1020) grace=Some(30) generation=1 finalizers=[]"],
    );
    check(
        running(),
        Some(60),
        None,
        expect!["Pending end=Some(1020) grace=Some(30) generation=1 finalizers=[]"],
    );
    check(
        running(),
        Some(20),
        None,
        expect!["Mark end=Some(1010) grace=Some(20) generation=1 finalizers=[]"],
    );
    check(
        running(),
        Some(5),
        None,
        expect!["Mark end=Some(1000) grace=Some(1) generation=1 finalizers=[]"],
    );
    check(
        running(),
        Some(0),
        None,
        expect!["MarkThenRemove end=Some(1000) grace=Some(0) generation=1 finalizers=[]"],
    );
    check(
        deleting(pod(true, &[]), 900, 0),
        None,
        None,
        expect!["Remove end=Some(900) grace=Some(0) generation=1 finalizers=[]"],
    );
}

#[test]
fn an_update_may_end_a_deletion() {
    let old = deleting(pod(false, &["x"]), 900, 0);
    assert!(ends_deletion(&deleting(pod(false, &[]), 900, 0), &old, &Graceful));
    assert!(!ends_deletion(&old, &old, &Graceful));
    assert!(!ends_deletion(&pod(false, &[]), &pod(false, &["x"]), &Graceful));
    let graceful = deleting(pod(true, &["x"]), 900, 30);
    assert!(!ends_deletion(
        &deleting(pod(true, &[]), 900, 30),
        &graceful,
        &Graceful
    ));
}

#[test]
fn what_others_finish_has_no_period() {
    let mut unfinished = pod(false, &[]);
    unfinished
        .metadata
        .labels
        .insert("unfinished".to_owned(), String::new());
    check(
        unfinished.clone(),
        None,
        None,
        expect!["Mark end=Some(1000) grace=None generation=1 finalizers=[]"],
    );
    unfinished.metadata.deletion_timestamp = Some(Time(Timestamp::from_second(900).expect("in range")));
    check(
        unfinished,
        None,
        None,
        expect!["Pending end=Some(900) grace=None generation=1 finalizers=[]"],
    );
}
