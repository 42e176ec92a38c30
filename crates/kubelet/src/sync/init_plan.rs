//! Which init containers run next, and which sidecars are kept up. Upstream: `computeInitContainerActions`.

use super::plan::{Kill, KillReason, changed, kill_of, resized};
use crate::{
    pod,
    probe::{Verdict, Verdicts},
    resize::{self, allocation::PodResources, plan::Need},
    runtime::state::{ContainerState, ContainerStatus, PodState},
};
use api::core::v1::{Container, Pod};

#[derive(Debug, Default)]
pub(super) struct InitPlan {
    /// Regular containers may run.
    pub initialized: bool,
    /// An init container failed for good.
    pub failed: bool,
    /// Indices in the order of the specification.
    pub start: Vec<usize>,
    pub kill: Vec<Kill>,
}

/// What one init container's state means for those around it.
enum Step {
    /// Nothing to do; it, or something before it, is still at work.
    Wait,
    /// It has done its part: the next one may start.
    Done,
    /// It must be started.
    Start,
    /// The pod has failed.
    Fail,
}

/// Walks backwards from the last container that left a trace: earlier ones may already have been collected, and a
/// later one running proves that they succeeded.
pub(super) fn plan(spec: &Pod, state: &PodState, verdicts: &Verdicts, actuated: &PodResources) -> InitPlan {
    let init = &spec.spec.init_containers;
    let mut plan = InitPlan::default();
    if init.is_empty() {
        plan.initialized = true;
        return plan;
    }
    plan.initialized = regular_container_started(spec, state);
    let mut past_first_trace = plan.initialized;
    for (index, container) in init.iter().enumerate().rev() {
        let sidecar = pod::is_sidecar(container);
        let Some(status) = state.find(&container.name) else {
            if past_first_trace && sidecar {
                plan.start.push(index);
            }
            continue;
        };
        if past_first_trace && !sidecar {
            continue;
        }
        let step = if sidecar {
            sidecar_step(container, status, verdicts, &mut plan)
        } else {
            init_step(spec, container, status, &mut plan)
        };
        match step {
            Step::Wait => {}
            Step::Start => plan.start.push(index),
            Step::Done if index + 1 == init.len() => plan.initialized = true,
            Step::Done => {
                if !past_first_trace {
                    plan.start.push(index + 1);
                }
            }
            Step::Fail => {
                return InitPlan {
                    failed: true,
                    ..InitPlan::default()
                };
            }
        }
        if sidecar
            && matches!(step, Step::Done)
            && sidecar_must_restart(container, status, verdicts, &mut plan.kill)
        {
            plan.start.push(index);
        } else if sidecar
            && matches!(step, Step::Done)
            && resize::plan::need(spec, container, actuated) == Need::Restart
        {
            plan.kill.push(resized(container, status));
            plan.start.push(index);
        }
        past_first_trace = true;
    }
    if !past_first_trace {
        plan.start.push(0);
    }
    plan.start.reverse();
    plan
}

/// A regular container that is up proves that initialization has completed in this sandbox.
fn regular_container_started(spec: &Pod, state: &PodState) -> bool {
    spec.spec.containers.iter().any(|container| {
        state
            .find(&container.name)
            .is_some_and(|status| matches!(status.state, ContainerState::Created | ContainerState::Running))
    })
}

fn init_step(spec: &Pod, container: &Container, status: &ContainerStatus, plan: &mut InitPlan) -> Step {
    match status.state {
        // It was created but not started, since both happen in one step: the runtime failed in between.
        ContainerState::Created => Step::Start,
        ContainerState::Running => Step::Wait,
        ContainerState::Exited if status.exit_code == 0 => Step::Done,
        ContainerState::Exited if pod::restarts_after(spec, container, status.exit_code) => Step::Start,
        ContainerState::Exited => Step::Fail,
        ContainerState::Unknown => {
            if container
                .restart_policy
                .as_deref()
                .unwrap_or(&spec.spec.restart_policy)
                == "Never"
            {
                return Step::Fail;
            }
            plan.kill.push(unknown(status));
            Step::Start
        }
    }
}

fn sidecar_step(
    container: &Container,
    status: &ContainerStatus,
    verdicts: &Verdicts,
    plan: &mut InitPlan,
) -> Step {
    match status.state {
        ContainerState::Created | ContainerState::Exited => Step::Start,
        ContainerState::Unknown => {
            plan.kill.push(unknown(status));
            Step::Start
        }
        ContainerState::Running if container.startup_probe.is_none() => Step::Done,
        ContainerState::Running => match verdicts.startup(&status.id) {
            Some(Verdict::Success) => Step::Done,
            Some(Verdict::Failure) => {
                let message = format!("Init container {} failed startup probe", container.name);
                plan.kill.push(kill_of(status, message, KillReason::StartupProbe));
                Step::Start
            }
            _ => Step::Wait,
        },
    }
}

/// A started sidecar is replaced when its definition changed or its liveness probe fails.
fn sidecar_must_restart(
    container: &Container,
    status: &ContainerStatus,
    verdicts: &Verdicts,
    kill: &mut Vec<Kill>,
) -> bool {
    let (message, reason) = if changed(container, status) {
        (
            format!("Init container {} definition changed", container.name),
            KillReason::Unspecified,
        )
    } else if container.liveness_probe.is_some() && verdicts.liveness_failed(&status.id) {
        (
            format!("Init container {} failed liveness probe", container.name),
            KillReason::LivenessProbe,
        )
    } else {
        return false;
    };
    kill.push(kill_of(status, message, reason));
    true
}

fn unknown(status: &ContainerStatus) -> Kill {
    let message = format!(
        "Init container is in {:?} state, try killing it before restart",
        status.state.as_str()
    );
    kill_of(status, message, KillReason::Unknown)
}
