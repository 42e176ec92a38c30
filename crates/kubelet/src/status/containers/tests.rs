use super::*;
use api::Message;

/// The pod as JSON with its old statuses in `status`; the runtime as `name:state(code)` words, newest first.
fn check(pod: &str, state: &str, errors: &[(&str, &str)], expected: &str) {
    let pod = Pod::from_json(pod.as_bytes()).unwrap();
    let containers = state.split_whitespace().enumerate().map(|(index, word)| {
        let (name, kind) = word.split_once(':').unwrap();
        let (kind, code) = kind.trim_end_matches(')').split_once('(').unwrap_or((kind, "0"));
        RuntimeStatus {
            id: format!("{name}{index}"),
            name: name.into(),
            state: match kind {
                "created" => ContainerState::Created,
                "running" => ContainerState::Running,
                "exited" => ContainerState::Exited,
                _ => ContainerState::Unknown,
            },
            exit_code: code.parse().unwrap(),
            ..RuntimeStatus::default()
        }
    });
    let state = PodState {
        containers: containers.collect(),
        ..PodState::default()
    };
    let start_errors = errors
        .iter()
        .map(|(name, reason)| ((*name).to_owned(), ((*reason).to_owned(), String::new())))
        .collect();
    let inputs = Inputs {
        pod: &pod,
        state: &state,
        runtime_name: "containerd",
        start_errors: &start_errors,
    };
    let init = statuses(&inputs, List::Init, &pod.status.init_container_statuses);
    let regular = statuses(&inputs, List::Regular, &pod.status.container_statuses);
    let words: Vec<String> = init.iter().chain(&regular).map(describe).collect();
    assert_eq!(words.join("; "), expected);
}

fn describe(status: &ContainerStatus) -> String {
    let state = |state: &ApiState| {
        if let Some(waiting) = &state.waiting {
            format!("waiting {}", waiting.reason)
        } else if let Some(ended) = &state.terminated {
            format!("terminated {}({})", ended.reason, ended.exit_code)
        } else if state.running.is_some() {
            "running".to_owned()
        } else {
            "-".to_owned()
        }
    };
    format!(
        "{} {} last {} x{}",
        status.name,
        state(&status.state).trim(),
        state(&status.last_state),
        status.restart_count
    )
}

#[test]
fn nothing_seen_yet() {
    check(
        r#"{"spec":{"containers":[{"name":"a"}]}}"#,
        "",
        &[],
        "a waiting ContainerCreating last - x0",
    );
    check(
        r#"{"spec":{"initContainers":[{"name":"i"}],"containers":[{"name":"a"}]}}"#,
        "",
        &[],
        "i waiting PodInitializing last - x0; a waiting PodInitializing last - x0",
    );
}

#[test]
fn seen_containers_and_the_run_before() {
    check(
        r#"{"spec":{"containers":[{"name":"b"},{"name":"a"}]}}"#,
        "a:running a:exited(3) b:exited(1)",
        &[("b", "CrashLoopBackOff")],
        "a running last terminated (3) x0; b waiting CrashLoopBackOff last terminated (1) x0",
    );
}

#[test]
fn a_start_error_does_not_show_where_nothing_is_to_be_started() {
    check(
        r#"{"spec":{"restartPolicy":"Never","containers":[{"name":"a"}]}}"#,
        "a:exited(0)",
        &[("a", "CrashLoopBackOff")],
        "a terminated (0) last - x0",
    );
}

#[test]
fn what_ran_and_is_gone_counts_as_ended() {
    check(
        r#"{"spec":{"containers":[{"name":"a"}]},
            "status":{"containerStatuses":[{"name":"a","restartCount":2,"state":{"running":{}}}]}}"#,
        "",
        &[],
        "a waiting ContainerCreating last terminated ContainerStatusUnknown(137) x3",
    );
    check(
        r#"{"spec":{"containers":[{"name":"a"}]},
            "status":{"containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":4,"reason":"Error"}}}]}}"#,
        "",
        &[],
        "a terminated Error(4) last - x0",
    );
}

#[test]
fn init_containers_that_were_collected_have_completed() {
    check(
        r#"{"spec":{"initContainers":[{"name":"i"}],"containers":[{"name":"a"}]}}"#,
        "a:running",
        &[],
        "i terminated Completed(0) last - x0; a running last - x0",
    );
}
