use expect_test::{Expect, expect};
use jiff::tz::TimeZone;

use super::*;
use crate::job::plan::condition;

fn time(text: &str) -> Timestamp {
    format!("2026-03-14T{text}Z").parse().expect("a time")
}

/// Every hour, made at nine.
fn hourly() -> CronJob {
    let mut cron = CronJob::default();
    cron.metadata.name = "c".into();
    cron.metadata.creation_timestamp = Some(Time(time("09:00:00")));
    cron.spec.schedule = "0 * * * *".into();
    cron.spec.concurrency_policy = "Allow".into();
    cron
}

fn running(cron: &mut CronJob, name: &str) {
    cron.status.active.push(ObjectReference {
        name: name.into(),
        uid: name.into(),
        ..ObjectReference::default()
    });
}

fn check(cron: &CronJob, now: &str, expected: Expect) {
    let schedule = Schedule::parse(&cron.spec.schedule, TimeZone::UTC).expect("a schedule");
    let due = due(cron, &cron.status, &schedule, time(now));
    let start = due.start.map_or("nothing".to_owned(), |start| {
        let replaced: Vec<&str> = start.replaces.iter().map(|job| job.name.as_str()).collect();
        format!("{} {replaced:?}", start.job.metadata.annotations[SCHEDULED_AT])
    });
    let told: Vec<&str> = due.told.iter().map(|(_, reason, _)| *reason).collect();
    let again = due.again.map(|again| again.as_secs());
    expected.assert_eq(&format!("{start}, {told:?}, again in {again:?}"));
}

#[test]
fn jobs_start_on_time_and_once() {
    let mut cron = hourly();
    check(&cron, "09:30:00", expect!["nothing, [], again in Some(1800)"]);
    check(
        &cron,
        "10:00:00",
        expect!["2026-03-14T10:00:00Z [], [], again in Some(3600)"],
    );
    // After a pause only the last one is made up for.
    check(
        &cron,
        "13:20:00",
        expect!["2026-03-14T13:00:00Z [], [], again in Some(2400)"],
    );
    cron.status.last_schedule_time = Some(Time(time("10:00:00")));
    check(&cron, "10:00:01", expect!["nothing, [], again in Some(3599)"]);
}

#[test]
fn a_start_that_is_late_is_missed() {
    let mut cron = hourly();
    cron.spec.starting_deadline_seconds = Some(300);
    check(
        &cron,
        "10:04:00",
        expect!["2026-03-14T10:00:00Z [], [], again in Some(3360)"],
    );
    check(&cron, "10:06:00", expect!["nothing, [], again in Some(3240)"]);
    cron.spec.starting_deadline_seconds = None;
    cron.metadata.creation_timestamp = Some(Time(time("09:00:00") - jiff::SignedDuration::from_hours(240)));
    check(
        &cron,
        "10:06:00",
        expect![[r#"2026-03-14T10:00:00Z [], ["TooManyMissedTimes"], again in Some(3240)"#]],
    );
}

#[test]
fn what_runs_still_is_let_be_kept_out_or_replaced() {
    let mut cron = hourly();
    running(&mut cron, "before");
    check(
        &cron,
        "10:00:00",
        expect!["2026-03-14T10:00:00Z [], [], again in Some(3600)"],
    );
    cron.spec.concurrency_policy = "Forbid".into();
    check(
        &cron,
        "10:00:00",
        expect![[r#"nothing, ["JobAlreadyActive"], again in Some(3600)"#]],
    );
    cron.spec.concurrency_policy = "Replace".into();
    check(
        &cron,
        "10:00:00",
        expect![[r#"2026-03-14T10:00:00Z ["before"], [], again in Some(3600)"#]],
    );
}

#[test]
fn a_schedule_that_never_comes_is_told() {
    let mut cron = hourly();
    cron.spec.schedule = "0 0 31 2 *".into();
    check(
        &cron,
        "10:00:00",
        expect![[r#"nothing, ["InvalidSchedule"], again in None"#]],
    );
}

fn job(name: &str, end: Option<&str>, minute: i8) -> Arc<Job> {
    let mut job = Job::default();
    job.metadata.name = name.into();
    job.metadata.uid = name.into();
    let at = Time(time(&format!("10:{minute:02}:00")));
    job.status.start_time = Some(at);
    if let Some(end) = end {
        job.status.conditions.push(condition(end, "", "", at));
        job.status.completion_time = (end == COMPLETE).then_some(at);
    }
    Arc::new(job)
}

#[test]
fn finished_jobs_are_noted_and_the_oldest_forgotten() {
    let mut cron = hourly();
    cron.spec.successful_jobs_history_limit = Some(1);
    cron.spec.failed_jobs_history_limit = Some(0);
    for name in ["a", "c", "lost"] {
        running(&mut cron, name);
    }
    let jobs = [
        job("a", Some(COMPLETE), 1),
        job("b", Some(COMPLETE), 2),
        job("c", None, 3),
        job("d", Some(FAILED), 4),
        job("e", None, 5),
    ];
    let reviewed = review(&cron, &jobs);
    let names =
        |jobs: &[Arc<Job>]| -> Vec<String> { jobs.iter().map(|job| job.metadata.name.clone()).collect() };
    assert_eq!(names(&reviewed.surplus), ["a", "d"]);
    assert_eq!(names(&reviewed.unexpected), ["e"]);
    assert_eq!(reviewed.missing[0].name, "lost");
    let active: Vec<&str> = reviewed
        .status
        .active
        .iter()
        .map(|job| job.name.as_str())
        .collect();
    assert_eq!(active, ["c", "lost"]);
    assert_eq!(reviewed.status.last_successful_time, Some(Time(time("10:02:00"))));
    assert_eq!(reviewed.told[0].2, "Saw completed job: a, condition: Complete");
}
