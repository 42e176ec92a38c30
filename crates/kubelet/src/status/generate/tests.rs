use super::*;
use crate::{
    probe::{Kind, Verdict},
    runtime::state::{ContainerState, ContainerStatus, PodState, Sandbox},
};
use api::Message;
use jiff::Timestamp;

fn state(containers: &[(&str, ContainerState, i32)]) -> PodState {
    PodState {
        sandboxes: vec![Sandbox {
            ready: true,
            has_network: true,
            ips: vec!["10.0.0.2".into()],
            ..Sandbox::default()
        }],
        containers: containers
            .iter()
            .map(|(name, state, exit_code)| ContainerStatus {
                id: format!("{name}-id"),
                name: (*name).into(),
                state: *state,
                exit_code: *exit_code,
                ..ContainerStatus::default()
            })
            .collect(),
        ..PodState::default()
    }
}

fn now() -> Time {
    Time::from(Timestamp::from_second(1000).unwrap())
}

fn run(pod: &str, state: &PodState, verdicts: &Verdicts, terminal: bool) -> PodStatus {
    let pod = Pod::from_json(pod.as_bytes()).unwrap();
    let errors = containers::StartErrors::new();
    let inputs = Inputs {
        pod: &pod,
        state,
        runtime_name: "containerd",
        start_errors: &errors,
    };
    let host_ips = ["192.168.0.1".to_owned()];
    let context = Context {
        verdicts,
        old: &pod.status,
        host_ips: &host_ips,
        terminal,
        failed: None,
        now: now(),
        resize: &[],
    };
    generate(&inputs, &context)
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> &'a PodCondition {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .unwrap()
}

#[test]
fn a_running_pod() {
    let pod = r#"{"metadata":{"generation":3},"spec":{"containers":[{"name":"a","readinessProbe":{}}]},
        "status":{"conditions":[{"type":"lb","status":"True"},
        {"type":"Ready","status":"False","lastTransitionTime":"1970-01-01T00:00:07Z"}]}}"#;
    let state = state(&[("a", ContainerState::Running, 0)]);
    let status = run(pod, &state, &Verdicts::default(), false);
    assert_eq!(
        (
            status.phase.as_str(),
            status.pod_ip.as_str(),
            status.host_ip.as_str()
        ),
        ("Running", "10.0.0.2", "192.168.0.1")
    );
    assert_eq!(
        (status.observed_generation, status.qos_class.as_str()),
        (3, "BestEffort")
    );
    assert_eq!(status.start_time, Some(now()));
    let ready = condition(&status, "Ready");
    assert_eq!((ready.status.as_str(), ready.observed_generation), ("False", 3));
    assert_eq!(
        ready.last_transition_time.unwrap().timestamp().as_second(),
        7,
        "the status did not change"
    );
    assert_eq!(condition(&status, "lb").status, "True", "what others own stays");
    let mut verdicts = Verdicts::default();
    verdicts.set("a-id", Kind::Readiness, Verdict::Success);
    let status = run(pod, &state, &verdicts, false);
    assert_eq!(condition(&status, "Ready").last_transition_time, Some(now()));
    assert!(status.container_statuses[0].ready);
}

#[test]
fn ended_pods_stay_ended() {
    let state = state(&[("a", ContainerState::Running, 0)]);
    let pod = r#"{"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Failed","reason":"Evicted"}}"#;
    let status = run(pod, &state, &Verdicts::default(), false);
    assert_eq!(
        (status.phase.as_str(), status.reason.as_str()),
        ("Failed", "Evicted")
    );
}

#[test]
fn host_network_pods_have_the_node_s_address() {
    let pod = r#"{"spec":{"hostNetwork":true,"containers":[{"name":"a"}]}}"#;
    let status = run(pod, &PodState::default(), &Verdicts::default(), false);
    assert_eq!(status.pod_ip, "192.168.0.1");
}

#[test]
fn what_was_not_seen_to_end_has_failed() {
    let spec = Pod::from_json(br#"{"spec":{"containers":[{"name":"a"}]}}"#).unwrap();
    let mut status = run(
        r#"{"spec":{"containers":[{"name":"a"}]}}"#,
        &PodState::default(),
        &Verdicts::default(),
        true,
    );
    assert_eq!(status.phase, "Pending");
    finalize(&spec, &mut status);
    assert_eq!(status.phase, "Failed");
    assert_eq!(
        status.container_statuses[0]
            .state
            .terminated
            .as_ref()
            .unwrap()
            .exit_code,
        137
    );
}
