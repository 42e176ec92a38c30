use api::core::v1::PodCondition;
use expect_test::{Expect, expect};

use super::*;
use crate::job::pods::new_pod;
use crate::job::tracking::{Done, Tracked, track};

const NOW: i64 = 1000;

fn at(second: i64) -> Time {
    Time::from_unix(second, 0).expect("a time")
}

/// A job of so many completions, of which so many run at once.
fn job(completions: Option<i32>, parallelism: i32) -> Job {
    let mut job = Job::default();
    job.metadata.name = "j".into();
    job.spec.completions = completions;
    job.spec.parallelism = Some(parallelism);
    job.spec.backoff_limit = Some(6);
    job.status.start_time = Some(at(NOW - 100));
    job
}

fn indexed(completions: i32, parallelism: i32) -> Job {
    let mut job = job(Some(completions), parallelism);
    job.spec.completion_mode = Some("Indexed".into());
    job
}

/// `NAME STATE [INDEX]`: ready, pending, going, succeeded, failed. A name that begins with `-` has been let go.
fn pod(job: &Job, text: &str) -> Arc<Pod> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut pod = new_pod(
        job,
        words.get(2).map(|index| index.parse().expect("an index")),
        None,
    );
    pod.metadata.name = words[0].into();
    pod.metadata.uid = words[0].into();
    pod.metadata.creation_timestamp = Some(at(NOW - 5));
    if words[0].starts_with('-') {
        pod.metadata.finalizers.clear();
    }
    pod.status.phase = match words[1] {
        "succeeded" => "Succeeded",
        "failed" => "Failed",
        "pending" => "Pending",
        _ => "Running",
    }
    .into();
    if words[1] == "ready" {
        pod.status.conditions.push(PodCondition {
            type_: "Ready".into(),
            status: "True".into(),
            ..PodCondition::default()
        });
    }
    if words[1] == "going" {
        pod.metadata.deletion_timestamp = Some(at(NOW));
    }
    Arc::new(pod)
}

fn observed(job: Job, pods: &[&str]) -> Observed {
    Observed {
        pods: pods.iter().map(|text| pod(&job, text)).collect(),
        job,
        let_go: HashSet::new(),
        is_current: true,
        backoff: Backoff::default(),
    }
}

fn names(pods: &[Arc<Pod>]) -> String {
    let names: Vec<&str> = pods.iter().map(|pod| pod.metadata.name.as_str()).collect();
    names.join(" ")
}

fn show(plan: &Plan) -> String {
    let action = match &plan.action {
        Action::Nothing => "nothing".to_owned(),
        Action::End(pods) => format!("end [{}]", names(pods)),
        Action::Remove(pods) => format!("remove [{}]", names(pods)),
        Action::Create(count) => format!("create {count}"),
        Action::CreateIndexes(indexes) => {
            let indexes: Vec<String> = indexes.iter().map(|(index, _)| index.to_string()).collect();
            format!("create indexes {}", indexes.join(" "))
        }
    };
    let verdict = plan.verdict.as_ref();
    let verdict = verdict.map(|verdict| format!("; {} {}", verdict.type_, verdict.reason));
    let again = plan.requeue_after.map(|wait| format!("; again in {wait:?}"));
    format!(
        "{action}{}{}",
        verdict.unwrap_or_default(),
        again.unwrap_or_default()
    )
}

fn check(observed: &Observed, expected: Expect) {
    expected.assert_eq(&show(&plan(observed, at(NOW))));
}

#[test]
fn as_many_run_as_may_and_are_needed() {
    check(&observed(job(Some(5), 2), &[]), expect!["create 2"]);
    check(&observed(job(Some(5), 2), &["a ready"]), expect!["create 1"]);
    check(
        &observed(job(Some(5), 2), &["a ready", "b pending"]),
        expect!["nothing"],
    );
    check(
        &observed(job(Some(2), 2), &["a succeeded", "b ready"]),
        expect!["nothing"],
    );
    check(
        &observed(job(Some(5), 1), &["a ready", "b pending"]),
        expect!["remove [b]"],
    );
    check(&observed(job(None, 3), &[]), expect!["create 3"]);
    // Once one has succeeded, no more are made.
    check(
        &observed(job(None, 3), &["a succeeded", "b ready"]),
        expect!["nothing"],
    );
    let mut stale = observed(job(Some(5), 2), &[]);
    stale.is_current = false;
    check(&stale, expect!["nothing"]);
}

#[test]
fn failed_pods_are_replaced_later_and_later() {
    check(
        &observed(job(Some(1), 1), &["a failed"]),
        expect!["nothing; again in 5s"],
    );
    check(
        &observed(job(Some(1), 1), &["a failed", "b failed"]),
        expect!["nothing; again in 15s"],
    );
    let mut over = job(Some(1), 1);
    over.spec.backoff_limit = Some(1);
    check(
        &observed(over, &["a failed", "b failed", "c ready"]),
        expect!["end [c]; FailureTarget BackoffLimitExceeded"],
    );
}

#[test]
fn a_deadline_ends_the_job() {
    let mut late = job(Some(1), 1);
    late.spec.active_deadline_seconds = Some(100);
    check(
        &observed(late.clone(), &["a ready"]),
        expect!["end [a]; FailureTarget DeadlineExceeded"],
    );
    late.spec.active_deadline_seconds = Some(160);
    check(
        &observed(late.clone(), &["a ready"]),
        expect!["nothing; again in 60s"],
    );
    late.spec.suspend = Some(true);
    check(&observed(late, &["a ready"]), expect!["remove [a]"]);
}

#[test]
fn indexes_are_filled_in_order() {
    check(&observed(indexed(5, 3), &[]), expect!["create indexes 0 1 2"]);
    let mut some = indexed(5, 3);
    some.status.completed_indexes = "0,2".into();
    check(
        &observed(some.clone(), &["a ready 1", "b succeeded 3"]),
        expect!["create indexes 4"],
    );
    // One too many of an index, and one of none.
    check(
        &observed(some, &["a ready 1", "b pending 1", "c ready 9"]),
        expect!["remove [c b]"],
    );
}

#[test]
fn indexes_fail_on_their_own() {
    let mut per_index = indexed(3, 3);
    per_index.spec.backoff_limit_per_index = Some(0);
    per_index.spec.backoff_limit = Some(i32::MAX);
    check(
        &observed(per_index.clone(), &["a failed 0", "b ready 1"]),
        expect!["create indexes 2"],
    );
    check(
        &observed(
            per_index.clone(),
            &["a failed 0", "b succeeded 1", "c succeeded 2"],
        ),
        expect!["end []; FailureTarget FailedIndexes"],
    );
    per_index.spec.max_failed_indexes = Some(0);
    check(
        &observed(per_index.clone(), &["a failed 0", "b ready 1"]),
        expect!["end [b]; FailureTarget MaxFailedIndexesExceeded"],
    );
    // With another try left the failed pod waits for its successor.
    per_index.spec.backoff_limit_per_index = Some(1);
    let observed = observed(per_index, &["a failed 0", "b ready 1", "c ready 2"]);
    check(&observed, expect!["nothing; again in 5s"]);
    assert!(plan(&observed, at(NOW)).kept_back.contains("a"));
}

/// Runs one sync as if all requests succeeded.
fn settle(observed: &Observed) -> Tracked {
    let plan = plan(observed, at(NOW));
    let mut done = Done::default();
    match &plan.action {
        Action::End(pods) | Action::Remove(pods) => done.removed = pods.len() as i32,
        Action::Create(count) => done.created = *count as i32,
        Action::CreateIndexes(indexes) => done.created = indexes.len() as i32,
        Action::Nothing => {}
    }
    track(observed, &plan, done, at(NOW))
}

fn show_status(tracked: &Tracked) -> String {
    let status = &tracked.status;
    let uncounted = status.uncounted_terminated_pods.as_ref().expect("it is set");
    let conditions: Vec<&str> = status
        .conditions
        .iter()
        .map(|condition| condition.type_.as_str())
        .collect();
    format!(
        "{} active, {} succeeded, {} failed, uncounted {:?} {:?}, conditions {conditions:?}",
        status.active, status.succeeded, status.failed, uncounted.succeeded, uncounted.failed
    )
}

#[test]
fn each_pod_is_counted_once() {
    let first = observed(
        job(Some(3), 2),
        &["a succeeded", "b failed", "c ready", "-d succeeded"],
    );
    let mut tracked = settle(&first);
    expect![[r#"2 active, 0 succeeded, 0 failed, uncounted ["a"] ["b"], conditions []"#]]
        .assert_eq(&show_status(&tracked));
    assert_eq!(names(&tracked.let_go), "a b");
    // One finalizer goes, the other does not.
    tracked.held.remove("a");
    tracked.take_in();
    expect![[r#"2 active, 1 succeeded, 0 failed, uncounted [] ["b"], conditions []"#]]
        .assert_eq(&show_status(&tracked));
    assert!(tracked.finish().is_none());
    // The next sync finds the pod let go, although the cache shows its finalizer.
    let mut next = observed(job(Some(3), 2), &["b failed", "c ready"]);
    next.job.status = tracked.status;
    next.let_go.insert("b".into());
    expect![[r#"2 active, 1 succeeded, 1 failed, uncounted [] [], conditions []"#]]
        .assert_eq(&show_status(&settle(&next)));
}

#[test]
fn a_job_completes_once_all_is_counted() {
    let mut tracked = settle(&observed(job(Some(1), 1), &["a succeeded"]));
    expect![[r#"0 active, 0 succeeded, 0 failed, uncounted ["a"] [], conditions ["SuccessCriteriaMet"]"#]]
        .assert_eq(&show_status(&tracked));
    assert!(tracked.finish().is_none());
    tracked.held.clear();
    tracked.take_in();
    let end = tracked.finish().expect("it is over");
    assert_eq!(
        (end.type_.as_str(), end.reason.as_str()),
        (COMPLETE, "CompletionsReached")
    );
    assert_eq!(tracked.status.completion_time, Some(at(NOW)));
    assert!(is_finished(&Job {
        status: tracked.status,
        ..job(Some(1), 1)
    }));
}

#[test]
fn a_job_fails_once_its_pods_are_gone() {
    let mut failing = job(Some(1), 1);
    failing.spec.backoff_limit = Some(0);
    let mut tracked = settle(&observed(failing, &["a failed", "b ready"]));
    expect![[r#"0 active, 0 succeeded, 0 failed, uncounted [] ["a", "b"], conditions ["FailureTarget"]"#]]
        .assert_eq(&show_status(&tracked));
    tracked.held.clear();
    tracked.take_in();
    // The one that ran is being deleted.
    assert!(tracked.finish().is_none());
    let mut last = observed(job(Some(1), 1), &[]);
    last.job.status = tracked.status;
    let mut tracked = settle(&last);
    let end = tracked.finish().expect("it is over");
    assert_eq!(
        (end.type_.as_str(), end.reason.as_str()),
        (FAILED, "BackoffLimitExceeded")
    );
    assert_eq!(tracked.status.failed, 2);
}

#[test]
fn completed_indexes_are_noted_instead_of_uids() {
    let tracked = settle(&observed(
        indexed(4, 2),
        &["a succeeded 2", "b succeeded 0", "c ready 1"],
    ));
    assert_eq!(tracked.status.completed_indexes, "0,2");
    assert_eq!(tracked.status.succeeded, 2);
    assert_eq!(names(&tracked.let_go), "b a");
}

#[test]
fn suspension_is_told_and_stops_the_clock() {
    let mut stopped = job(Some(1), 1);
    stopped.spec.suspend = Some(true);
    let tracked = settle(&observed(stopped.clone(), &["a ready"]));
    expect![[r#"0 active, 0 succeeded, 0 failed, uncounted [] [], conditions ["Suspended"]"#]]
        .assert_eq(&show_status(&tracked));
    assert_eq!(tracked.status.start_time, None);
    stopped.status = tracked.status;
    stopped.spec.suspend = Some(false);
    let resumed = settle(&observed(stopped, &[]));
    let condition = &resumed.status.conditions[0];
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str()),
        ("False", "JobResumed")
    );
    assert_eq!(resumed.status.start_time, Some(at(NOW)));
}
