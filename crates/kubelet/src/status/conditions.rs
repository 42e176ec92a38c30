//! The conditions of a pod that the kubelet owns. Upstream: `status/generate.go`.

use crate::{pod, runtime::state::PodState, sync::plan::sandbox_need};
use api::core::v1::{ContainerStatus, Pod, PodCondition};

pub const SCHEDULED: &str = "PodScheduled";
pub const READY: &str = "Ready";
pub const INITIALIZED: &str = "Initialized";
pub const CONTAINERS_READY: &str = "ContainersReady";
pub const READY_TO_START: &str = "PodReadyToStartContainers";
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";

const COMPLETED: &str = "PodCompleted";
const FAILED: &str = "PodFailed";

/// Whether the kubelet writes this condition; all others pass through untouched.
pub fn is_owned(kind: &str) -> bool {
    [SCHEDULED, READY, INITIALIZED, CONTAINERS_READY, READY_TO_START].contains(&kind)
        || matches!(
            kind,
            "PodResizePending" | "PodResizeInProgress" | "AllContainersRestarting"
        )
}

fn condition(spec: &Pod, kind: &str, status: bool, reason: &str, message: String) -> PodCondition {
    PodCondition {
        type_: kind.into(),
        status: if status { "True" } else { "False" }.into(),
        reason: reason.into(),
        message,
        observed_generation: spec.metadata.generation,
        ..PodCondition::default()
    }
}

pub fn scheduled(spec: &Pod) -> PodCondition {
    condition(spec, SCHEDULED, true, "", String::new())
}

pub fn disruption_target(spec: &Pod, message: &str) -> PodCondition {
    condition(
        spec,
        DISRUPTION_TARGET,
        true,
        "TerminationByKubelet",
        message.to_owned(),
    )
}

pub fn ready_to_start(spec: &Pod, state: &PodState) -> PodCondition {
    condition(
        spec,
        READY_TO_START,
        !sandbox_need(spec, state).create,
        "",
        String::new(),
    )
}

/// Lists names as Go prints a slice.
fn list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

/// Names without a status, and names whose status fails a test.
fn lacking<'a>(
    names: impl Iterator<Item = &'a str>,
    statuses: &[ContainerStatus],
    good: impl Fn(&ContainerStatus) -> bool,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut unknown = Vec::new();
    let mut bad = Vec::new();
    for name in names {
        match statuses.iter().find(|status| status.name == name) {
            None => unknown.push(name),
            Some(status) if !good(status) => bad.push(name),
            Some(_) => {}
        }
    }
    (unknown, bad)
}

fn shortfall(unknown: &[&str], bad: &[&str], adjective: &str) -> String {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: {}", list(unknown)));
    }
    if !bad.is_empty() {
        parts.push(format!("containers with {adjective} status: {}", list(bad)));
    }
    parts.join(", ")
}

pub fn initialized(spec: &Pod, statuses: &[ContainerStatus], phase: &str) -> PodCondition {
    let names = spec
        .spec
        .init_containers
        .iter()
        .map(|container| container.name.as_str());
    let (unknown, incomplete) = lacking(names, statuses, |status| {
        let container = spec
            .spec
            .init_containers
            .iter()
            .find(|container| container.name == status.name);
        if container.is_some_and(pod::is_sidecar) {
            status.started == Some(true)
        } else {
            status.ready
        }
    });
    if phase == "Succeeded" && unknown.is_empty() {
        return condition(spec, INITIALIZED, true, COMPLETED, String::new());
    }
    let message = shortfall(&unknown, &incomplete, "incomplete");
    if any_regular_started(spec, statuses) || message.is_empty() {
        return condition(spec, INITIALIZED, true, "", String::new());
    }
    condition(spec, INITIALIZED, false, "ContainersNotInitialized", message)
}

/// A regular container that was ever started proves that initialization completed.
fn any_regular_started(spec: &Pod, statuses: &[ContainerStatus]) -> bool {
    spec.spec.containers.iter().any(|container| {
        statuses
            .iter()
            .filter(|status| status.name == container.name)
            .any(|status| {
                status.state.running.is_some()
                    || status.state.terminated.is_some()
                    || status.last_state.terminated.is_some()
            })
    })
}

pub fn containers_ready(spec: &Pod, statuses: &[ContainerStatus], phase: &str) -> PodCondition {
    let sidecars = spec
        .spec
        .init_containers
        .iter()
        .filter(|container| pod::is_sidecar(container));
    let names = sidecars
        .chain(&spec.spec.containers)
        .map(|container| container.name.as_str());
    let (unknown, unready) = lacking(names, statuses, |status| status.ready);
    if phase == "Succeeded" && unknown.is_empty() {
        return condition(spec, CONTAINERS_READY, false, COMPLETED, String::new());
    }
    if phase == "Failed" {
        return condition(spec, CONTAINERS_READY, false, FAILED, String::new());
    }
    let message = shortfall(&unknown, &unready, "unready");
    if message.is_empty() {
        return condition(spec, CONTAINERS_READY, true, "", String::new());
    }
    condition(spec, CONTAINERS_READY, false, "ContainersNotReady", message)
}

/// Ready when the containers are and every readiness gate, set by others, is true.
pub fn ready(spec: &Pod, others: &[PodCondition], containers_ready: &PodCondition) -> PodCondition {
    if containers_ready.status != "True" {
        return PodCondition {
            type_: READY.into(),
            ..containers_ready.clone()
        };
    }
    let mut problems = Vec::new();
    for gate in &spec.spec.readiness_gates {
        let name = &gate.condition_type;
        match others.iter().find(|condition| &condition.type_ == name) {
            None => problems.push(format!(
                "corresponding condition of pod readiness gate {name:?} does not exist."
            )),
            Some(gate) if gate.status != "True" => problems.push(format!(
                "the status of pod readiness gate {name:?} is not \"True\", but {}",
                gate.status
            )),
            Some(_) => {}
        }
    }
    if problems.is_empty() {
        return condition(spec, READY, true, "", String::new());
    }
    condition(spec, READY, false, "ReadinessGatesNotReady", problems.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;
    use expect_test::{Expect, expect};

    fn check(pod: &str, expected: Expect) {
        let pod = Pod::from_json(pod.as_bytes()).unwrap();
        let statuses = [
            pod.status.init_container_statuses.clone(),
            pod.status.container_statuses.clone(),
        ]
        .concat();
        let containers = containers_ready(&pod, &statuses, &pod.status.phase);
        let all = [
            initialized(&pod, &statuses, &pod.status.phase),
            ready(&pod, &pod.status.conditions, &containers),
            containers,
        ];
        let lines: Vec<String> = all
            .iter()
            .map(|c| {
                format!("{} {} {} {}", c.type_, c.status, c.reason, c.message)
                    .trim()
                    .to_owned()
            })
            .collect();
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_pod_that_comes_up() {
        check(
            r#"{"spec":{"initContainers":[{"name":"i"}],"containers":[{"name":"a"},{"name":"b"}]},
                "status":{"phase":"Pending","initContainerStatuses":[{"name":"i"}],
                "containerStatuses":[{"name":"a","ready":false}]}}"#,
            expect![[r#"
                Initialized False ContainersNotInitialized containers with incomplete status: [i]
                Ready False ContainersNotReady containers with unknown status: [b], containers with unready status: [a]
                ContainersReady False ContainersNotReady containers with unknown status: [b], containers with unready status: [a]"#]],
        );
    }

    #[test]
    fn readiness_gates() {
        check(
            r#"{"spec":{"readinessGates":[{"conditionType":"lb"},{"conditionType":"dns"}],"containers":[{"name":"a"}]},
                "status":{"phase":"Running","conditions":[{"type":"lb","status":"False"}],
                "containerStatuses":[{"name":"a","ready":true}]}}"#,
            expect![[r#"
                Initialized True
                Ready False ReadinessGatesNotReady the status of pod readiness gate "lb" is not "True", but False, corresponding condition of pod readiness gate "dns" does not exist.
                ContainersReady True"#]],
        );
    }

    #[test]
    fn ended_pods() {
        check(
            r#"{"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Succeeded","containerStatuses":[{"name":"a"}]}}"#,
            expect![[r#"
                Initialized True PodCompleted
                Ready False PodCompleted
                ContainersReady False PodCompleted"#]],
        );
        check(
            r#"{"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Failed","containerStatuses":[{"name":"a"}]}}"#,
            expect![[r#"
                Initialized True
                Ready False PodFailed
                ContainersReady False PodFailed"#]],
        );
    }
}
