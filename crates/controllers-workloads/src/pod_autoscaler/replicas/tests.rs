use api::Message;

use super::*;

const NOW: i64 = 10_000;

/// Pods by their states: `ready`, `starting` (not ready yet), `pending`, `failed`; each requests one processor.
fn pods(states: &str) -> Vec<Arc<Pod>> {
    let pod = |(index, state): (usize, &str)| {
        let (phase, ready, start) = match state {
            "ready" => ("Running", "True", NOW - 3600),
            "starting" => ("Running", "False", NOW - 10),
            "pending" => ("Pending", "False", NOW - 10),
            "failed" => ("Failed", "False", NOW - 3600),
            other => panic!("{other}"),
        };
        let time = |second| {
            apimachinery::time::Time::from_unix(second, 0)
                .expect("valid")
                .to_string()
        };
        let (start, changed) = (time(start), time(start + 5));
        let json = format!(
            r#"{{"metadata":{{"name":"p{index}"}},
                "spec":{{"containers":[{{"name":"a","resources":{{"requests":{{"cpu":"1"}}}}}}]}},
                "status":{{"phase":"{phase}","startTime":"{start}","conditions":[
                    {{"type":"Ready","status":"{ready}","lastTransitionTime":"{changed}"}}]}}}}"#
        );
        Arc::new(Pod::from_json(json.as_bytes()).expect("well-formed"))
    };
    states.split(' ').enumerate().map(pod).collect()
}

/// `-` is a pod without a sample.
fn samples(values: &str) -> Samples {
    let sample = |(index, value): (usize, &str)| {
        let sample = Sample {
            at: Timestamp::from_second(NOW).expect("valid"),
            window: Duration::from_secs(60),
            value: value.parse().ok()?,
        };
        Some((format!("p{index}"), sample))
    };
    values.split(' ').enumerate().filter_map(sample).collect()
}

fn scaled<'a>(pods: &'a [Arc<Pod>], current: i32) -> Scaled<'a> {
    Scaled {
        pods,
        current,
        tolerances: Tolerances { down: 0.1, up: 0.1 },
        startup: Startup {
            cpu_initialization: Duration::from_secs(300),
            readiness_delay: Duration::from_secs(30),
        },
        now: Timestamp::from_second(NOW).expect("valid"),
    }
}

/// A target of 50 % of a processor, and one of 500 thousandths, which come out alike.
fn check(states: &str, values: &str, expected: i32) {
    let pods = pods(states);
    let current = i32::try_from(pods.len()).expect("few");
    let by_utilization = scaled(&pods, current).by_utilization(samples(values), "cpu", None, 50);
    assert_eq!(
        by_utilization.expect("computed").replicas,
        expected,
        "{states}: {values}"
    );
    let by_average = scaled(&pods, current).by_average(samples(values), "cpu", 500);
    if !values.contains('-') {
        assert_eq!(
            by_average.expect("computed").replicas,
            expected,
            "{states}: {values}"
        );
    }
}

#[test]
fn usage_over_target_decides() {
    check("ready ready", "500 500", 2);
    check("ready ready", "540 540", 2);
    check("ready ready", "1000 1000", 4);
    check("ready ready ready ready", "250 250 250 250", 2);
    check("ready ready ready", "700 700 700", 5);
}

#[test]
fn what_is_unknown_speaks_against_a_change() {
    // One without a sample: as if idle for growth, as if fully used for shrinking.
    check("ready ready ready", "1000 1000 -", 4);
    check("ready ready ready", "100 100 -", 3);
    // A change that would turn around is none.
    check("ready ready ready", "600 600 -", 3);
    // Those that start count as idle for growth, and not at all for shrinking.
    check("ready ready starting", "1000 1000 9000", 4);
    check("ready ready pending", "100 100 -", 1);
    check("ready ready failed", "1000 1000 -", 4);
}

#[test]
fn requests_are_of_pods_or_containers() {
    let pods = pods("ready");
    let scaled = scaled(&pods, 1);
    let fails = |samples: Samples, resource: &str, container: Option<&str>| {
        let outcome = scaled.by_utilization(samples, resource, container, 50);
        outcome.expect_err("impossible").to_string()
    };
    assert_eq!(
        fails(samples("1"), "memory", None),
        "missing request for memory in container a of Pod p0"
    );
    assert_eq!(
        fails(samples("1"), "cpu", Some("b")),
        "container b not found in Pod p0"
    );
    assert_eq!(
        fails(Samples::new(), "cpu", None),
        "did not receive metrics for targeted pods (pods might be unready)"
    );
    let proposal = scaled.by_utilization(samples("800"), "cpu", Some("a"), 50);
    let expected = Proposal {
        replicas: 2,
        usage: 800,
        utilization: Some(80),
    };
    assert_eq!(proposal, Ok(expected));
    let mut own = (*pods[0]).clone();
    let requests = r#"{"requests":{"cpu":"4"}}"#;
    own.spec.resources = Some(Box::new(
        Message::from_json(requests.as_bytes()).expect("well-formed"),
    ));
    let pods = [Arc::new(own)];
    let whole = super::tests::scaled(&pods, 1).by_utilization(samples("800"), "cpu", None, 50);
    assert_eq!(whole.map(|proposal| proposal.utilization), Ok(Some(20)));
}

#[test]
fn one_value_for_all() {
    let pods = pods("ready ready starting");
    let value = |usage, target, current| scaled(&pods, current).by_value(usage, target).map(|p| p.replicas);
    assert_eq!(value(20_000, 10_000, 3), Ok(4));
    assert_eq!(value(10_500, 10_000, 3), Ok(3));
    assert_eq!(value(25_000, 10_000, 0), Ok(3));
    assert_eq!(scaled(&[], 3).by_value(20_000, 10_000), Err(Error::NoPods));
    let share = |usage, target, running| scaled(&pods, 3).by_share(usage, target, running);
    assert_eq!(
        (share(30_000, 10_000, 3).replicas, share(30_000, 10_000, 3).usage),
        (3, 10_000)
    );
    assert_eq!(
        (share(50_000, 10_000, 3).replicas, share(50_000, 10_000, 3).usage),
        (5, 16_667)
    );
}
