//! What must happen to a pod's sandbox and containers, given what runs. Upstream: `computePodActions`.

use super::init_plan;
use crate::{
    container_hash, pod,
    probe::Verdicts,
    resize::{self, allocation::PodResources, plan::Need},
    runtime::state::{ContainerState, ContainerStatus, PodState},
};
use api::core::v1::{Container, Pod};

/// Why a container is killed, as its final status records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillReason {
    StartupProbe,
    LivenessProbe,
    FailedPostStartHook,
    Unknown,
    Unspecified,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    pub id: String,
    pub name: String,
    pub message: String,
    pub reason: KillReason,
}

/// A container of the specification, by its list and index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Ephemeral(usize),
    Init(usize),
    Regular(usize),
}

/// The sandbox that the pod should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxNeed {
    pub create: bool,
    /// The sandbox at hand, usable or to be replaced.
    pub id: Option<String>,
    pub attempt: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Kill every container and the sandbox first.
    pub kill_pod: bool,
    pub sandbox: SandboxNeed,
    pub kill: Vec<Kill>,
    /// In the order of starting.
    pub start: Vec<Start>,
    /// What is changed of containers that run on.
    pub resize: resize::plan::Plan,
}

/// Whether the pod's sandbox can be used, and if not, which attempt comes next. Upstream: `PodSandboxChanged`.
pub fn sandbox_need(spec: &Pod, state: &PodState) -> SandboxNeed {
    let Some(newest) = state.sandboxes.first() else {
        return SandboxNeed {
            create: true,
            id: None,
            attempt: 0,
        };
    };
    let several_ready = state.sandboxes.iter().filter(|sandbox| sandbox.ready).count() > 1;
    let create = |id: Option<String>| SandboxNeed {
        create: true,
        id,
        attempt: newest.attempt + 1,
    };
    if several_ready || !newest.ready {
        return create(Some(newest.id.clone()));
    }
    if newest.host_network != spec.spec.host_network {
        return create(None);
    }
    if !spec.spec.host_network && newest.has_network && newest.ips.is_empty() {
        return create(Some(newest.id.clone()));
    }
    SandboxNeed {
        create: false,
        id: Some(newest.id.clone()),
        attempt: newest.attempt,
    }
}

/// `actuated` is what running containers were given.
pub fn plan(spec: &Pod, state: &PodState, verdicts: &Verdicts, actuated: &PodResources) -> Plan {
    let sandbox = sandbox_need(spec, state);
    if sandbox.create {
        return plan_from_nothing(spec, state, sandbox);
    }
    let mut plan = Plan {
        kill_pod: false,
        sandbox,
        kill: Vec::new(),
        start: Vec::new(),
        resize: resize::plan::Plan::default(),
    };
    plan_ephemeral(spec, state, &mut plan);
    let init = init_plan::plan(spec, state, verdicts, actuated);
    plan.kill.extend(init.kill);
    let init_starts = init.start.into_iter().map(Start::Init);
    if init.failed || !init.initialized {
        plan.kill_pod = init.failed;
        if !init.failed {
            plan.start.extend(init_starts);
        }
        return plan;
    }
    let regular = plan_regular(spec, state, verdicts, actuated, &mut plan.kill);
    if regular.kept == 0 && regular.start.is_empty() {
        // Nothing but sidecars would be left: they don't keep a pod alive.
        plan.kill_pod = true;
    } else {
        plan.start.extend(init_starts);
        plan.start.extend(regular.start.into_iter().map(Start::Regular));
        let ends = |id: &str| plan.kill.iter().any(|kill| kill.id == id);
        plan.resize = resize::plan::plan(spec, state, actuated, ends);
    }
    plan
}

/// A new sandbox begins from the first init container; nothing is created for a pod that has run its course.
fn plan_from_nothing(spec: &Pod, state: &PodState, sandbox: SandboxNeed) -> Plan {
    let mut plan = Plan {
        kill_pod: true,
        sandbox,
        kill: Vec::new(),
        start: Vec::new(),
        resize: resize::plan::Plan::default(),
    };
    let never = spec.spec.restart_policy == "Never";
    if never && plan.sandbox.attempt != 0 && !state.containers.is_empty() {
        plan.sandbox.create = false;
        return plan;
    }
    let to_start: Vec<usize> = (0..spec.spec.containers.len())
        .filter(|&index| !ran_once_and_succeeded(spec, &spec.spec.containers[index], state))
        .collect();
    let any_created = spec
        .spec
        .containers
        .iter()
        .any(|container| state.find(&container.name).is_some());
    if to_start.is_empty() && any_created {
        plan.sandbox.create = false;
        return plan;
    }
    plan.start = if spec.spec.init_containers.is_empty() {
        to_start.into_iter().map(Start::Regular).collect()
    } else {
        vec![Start::Init(0)]
    };
    plan
}

fn ran_once_and_succeeded(spec: &Pod, container: &Container, state: &PodState) -> bool {
    let policy = container
        .restart_policy
        .as_deref()
        .unwrap_or(&spec.spec.restart_policy);
    policy == "OnFailure"
        && state
            .find(&container.name)
            .is_some_and(|status| status.state == ContainerState::Exited && status.exit_code == 0)
}

/// Ephemeral containers start once, whatever the state of initialization, and never again.
fn plan_ephemeral(spec: &Pod, state: &PodState, plan: &mut Plan) {
    for (index, container) in spec.spec.ephemeral_containers.iter().enumerate() {
        if state.find(&container.ephemeral_container_common.name).is_none() {
            plan.start.push(Start::Ephemeral(index));
        }
    }
}

struct Regular {
    kept: usize,
    start: Vec<usize>,
}

fn plan_regular(
    spec: &Pod,
    state: &PodState,
    verdicts: &Verdicts,
    actuated: &PodResources,
    kill: &mut Vec<Kill>,
) -> Regular {
    let mut regular = Regular {
        kept: 0,
        start: Vec::new(),
    };
    for (index, container) in spec.spec.containers.iter().enumerate() {
        let status = state.find(&container.name);
        let Some(running) = status.filter(|status| status.state == ContainerState::Running) else {
            if should_restart(spec, container, state) {
                regular.start.push(index);
                kill.extend(status.filter(|s| s.state == ContainerState::Unknown).map(|s| {
                    let message = format!(
                        "Container is in {:?} state, try killing it before restart",
                        s.state.as_str()
                    );
                    kill_of(s, message, KillReason::Unknown)
                }));
            }
            continue;
        };
        let Some((message, reason, forced)) = fault(container, running, verdicts) else {
            if resize::plan::need(spec, container, actuated) == Need::Restart {
                regular.start.push(index);
                kill.push(resized(container, running));
            } else {
                regular.kept += 1;
            }
            continue;
        };
        let restart = forced
            || container
                .restart_policy
                .as_deref()
                .unwrap_or(&spec.spec.restart_policy)
                != "Never";
        if restart {
            regular.start.push(index);
        }
        let message = if restart {
            format!("{message}, will be restarted")
        } else {
            message
        };
        kill.push(kill_of(running, message, reason));
    }
    regular
}

/// What is wrong with a running container: message, reason, and whether it restarts whatever the policy.
fn fault(
    container: &Container,
    status: &ContainerStatus,
    verdicts: &Verdicts,
) -> Option<(String, KillReason, bool)> {
    let name = &container.name;
    if changed(container, status) {
        Some((
            format!("Container {name} definition changed"),
            KillReason::Unspecified,
            true,
        ))
    } else if verdicts.liveness_failed(&status.id) {
        Some((
            format!("Container {name} failed liveness probe"),
            KillReason::LivenessProbe,
            false,
        ))
    } else if verdicts.startup_failed(&status.id) {
        Some((
            format!("Container {name} failed startup probe"),
            KillReason::StartupProbe,
            false,
        ))
    } else {
        None
    }
}

/// The container was started from another image or under another name.
pub(super) fn changed(container: &Container, status: &ContainerStatus) -> bool {
    container_hash::hash(container) != status.hash
}

pub(super) fn resized(container: &Container, status: &ContainerStatus) -> Kill {
    let message = format!("Container {} resize requires restart", container.name);
    kill_of(status, message, KillReason::Unspecified)
}

pub(super) fn kill_of(status: &ContainerStatus, message: String, reason: KillReason) -> Kill {
    Kill {
        id: status.id.clone(),
        name: status.name.clone(),
        message,
        reason,
    }
}

/// Whether a container that is not running is started (again). Upstream: `ShouldContainerBeRestarted`.
pub fn should_restart(spec: &Pod, container: &Container, state: &PodState) -> bool {
    if spec.metadata.deletion_timestamp.is_some() {
        return false;
    }
    match state.find(&container.name) {
        None => true,
        Some(status) => match status.state {
            ContainerState::Running => false,
            ContainerState::Unknown | ContainerState::Created => true,
            ContainerState::Exited => pod::restarts_after(spec, container, status.exit_code),
        },
    }
}

#[cfg(test)]
mod tests;
