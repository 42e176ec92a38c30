//! The whole status of a pod after a pass over it. Upstream: `generateAPIPodStatus`, `updateStatusInternal`.

use super::{
    conditions,
    containers::{self, Inputs, List},
    phase,
};
use crate::{
    pod,
    probe::{Verdicts, readiness},
    runtime::state::ContainerState as RuntimeState,
};
use api::core::v1::{ContainerState, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus};
use apimachinery::time::Time;

/// What the status depends on beside the containers.
pub struct Context<'a> {
    pub verdicts: &'a Verdicts,
    /// The status last computed, or the API's when there is none.
    pub old: &'a PodStatus,
    /// Primary address first; empty without an API server, as upstream leaves them out then.
    pub host_ips: &'a [String],
    /// Everything has ended and nothing will be started again.
    pub terminal: bool,
    /// The pod was failed from outside.
    pub failed: Option<&'a Failure>,
    pub now: Time,
    /// What is told of a resize.
    pub resize: &'a [PodCondition],
}

/// Why a pod was failed by someone other than its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub reason: String,
    pub message: String,
    /// Whether it was for the node's sake, of which others are told by a condition.
    pub is_disruption: bool,
}

impl Failure {
    pub fn new(reason: &str, message: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.to_owned(),
            is_disruption: false,
        }
    }

    pub fn disruption(reason: &str, message: &str) -> Self {
        Self {
            is_disruption: true,
            ..Self::new(reason, message)
        }
    }
}

pub fn generate(inputs: &Inputs<'_>, context: &Context<'_>) -> PodStatus {
    let spec = inputs.pod;
    let old = context.old;
    let mut status = PodStatus {
        qos_class: api::qos::class(spec).as_str().to_owned(),
        observed_generation: spec.metadata.generation,
        container_statuses: containers::statuses(inputs, List::Regular, &old.container_statuses),
        init_container_statuses: containers::statuses(inputs, List::Init, &old.init_container_statuses),
        ephemeral_container_statuses: containers::statuses(
            inputs,
            List::Ephemeral,
            &old.ephemeral_container_statuses,
        ),
        ..PodStatus::default()
    };
    set_phase(inputs, context, &mut status);
    readiness::apply(spec, &mut status, context.verdicts);
    set_addresses(inputs, context, &mut status);
    set_conditions(inputs, context, &mut status);
    status.start_time = old.start_time.or(Some(context.now));
    status
}

fn set_phase(inputs: &Inputs<'_>, context: &Context<'_>, status: &mut PodStatus) {
    let spec = inputs.pod;
    let all = [
        status.container_statuses.as_slice(),
        &with_started(inputs, context, status),
    ]
    .concat();
    let facts = phase::Facts {
        terminal: context.terminal,
        initialized: regular_container_active(inputs),
    };
    status.phase = phase::phase(spec, &all, facts).to_owned();
    // A pod that has ended, as far as anyone was told, stays so.
    for known in [&context.old.phase, &spec.status.phase] {
        if pod::is_terminal(known) && !pod::is_terminal(&status.phase) {
            status.phase.clone_from(known);
        }
    }
    if status.phase == context.old.phase {
        let or = |first: &String, second: &String| {
            if first.is_empty() {
                second.clone()
            } else {
                first.clone()
            }
        };
        status.reason = or(&context.old.reason, &spec.status.reason);
        status.message = or(&context.old.message, &spec.status.message);
    }
    if let Some(failure) = context.failed {
        "Failed".clone_into(&mut status.phase);
        status.reason.clone_from(&failure.reason);
        status.message.clone_from(&failure.message);
    }
    if pod::is_terminal(&spec.status.phase) {
        status.phase.clone_from(&spec.status.phase);
    }
}

/// Sidecars count as running for the phase only once started, which the probes say.
fn with_started(
    inputs: &Inputs<'_>,
    context: &Context<'_>,
    status: &PodStatus,
) -> Vec<api::core::v1::ContainerStatus> {
    let mut copy = PodStatus {
        init_container_statuses: status.init_container_statuses.clone(),
        ..PodStatus::default()
    };
    readiness::apply(inputs.pod, &mut copy, context.verdicts);
    copy.init_container_statuses
}

fn regular_container_active(inputs: &Inputs<'_>) -> bool {
    inputs.pod.spec.containers.iter().any(|container| {
        inputs
            .state
            .find(&container.name)
            .is_some_and(|seen| matches!(seen.state, RuntimeState::Created | RuntimeState::Running))
    })
}

fn set_addresses(inputs: &Inputs<'_>, context: &Context<'_>, status: &mut PodStatus) {
    let ip = |ip: &String| PodIP { ip: ip.clone() };
    status.pod_ips = inputs.state.ips().iter().map(ip).collect();
    if status.pod_ips.is_empty() && !inputs.state.sandboxes.iter().any(|sandbox| sandbox.ready) {
        // A pod that has ended keeps the address that it had.
        status.pod_ips.clone_from(&context.old.pod_ips);
    }
    status.host_ips = context
        .host_ips
        .iter()
        .map(|ip| HostIP { ip: ip.clone() })
        .collect();
    status.host_ip = context.host_ips.first().cloned().unwrap_or_default();
    if inputs.pod.spec.host_network && status.pod_ips.is_empty() {
        status.pod_ips = context.host_ips.iter().map(ip).collect();
    }
    status.pod_ip = status
        .pod_ips
        .first()
        .map(|first| first.ip.clone())
        .unwrap_or_default();
}

fn set_conditions(inputs: &Inputs<'_>, context: &Context<'_>, status: &mut PodStatus) {
    let spec = inputs.pod;
    let mut list: Vec<PodCondition> = spec
        .status
        .conditions
        .iter()
        .filter(|condition| !conditions::is_owned(&condition.type_))
        .cloned()
        .collect();
    set_disruption(spec, context, &mut list);
    let statuses = [
        status.init_container_statuses.as_slice(),
        status.container_statuses.as_slice(),
    ]
    .concat();
    let containers_ready = conditions::containers_ready(spec, &statuses, &status.phase);
    let owned = [
        conditions::ready_to_start(spec, inputs.state),
        conditions::initialized(spec, &statuses, &status.phase),
        conditions::ready(spec, &list, &containers_ready),
        containers_ready,
        conditions::scheduled(spec),
    ];
    list.extend(
        owned
            .into_iter()
            .map(|condition| stamped(condition, &context.old.conditions, context.now)),
    );
    if !pod::is_terminal(&status.phase) {
        list.extend_from_slice(context.resize);
    }
    status.conditions = list;
}

/// The kubelet itself adds this condition when it ends a pod for the node's sake, and it must not be lost before the API
/// has it.
fn set_disruption(spec: &Pod, context: &Context<'_>, list: &mut Vec<PodCondition>) {
    let is_target = |condition: &PodCondition| condition.type_ == conditions::DISRUPTION_TARGET;
    if let Some(failure) = context.failed.filter(|failure| failure.is_disruption) {
        let before = list.iter().position(is_target).map(|at| list.remove(at));
        let old = before.as_slice();
        let old = if old.is_empty() {
            &context.old.conditions
        } else {
            old
        };
        list.push(stamped(
            conditions::disruption_target(spec, &failure.message),
            old,
            context.now,
        ));
    } else if !list.iter().any(is_target)
        && let Some(disruption) = context
            .old
            .conditions
            .iter()
            .find(|condition| is_target(condition))
    {
        list.push(disruption.clone());
    }
}

/// A condition's transition time moves only when its status does.
pub fn stamped(mut condition: PodCondition, old: &[PodCondition], now: Time) -> PodCondition {
    let before = old.iter().find(|other| other.type_ == condition.type_);
    condition.last_transition_time = match before {
        Some(before) if before.status == condition.status => before.last_transition_time.or(Some(now)),
        _ => Some(now),
    };
    condition
}

/// The last status of a pod of which nothing runs any more: what was not seen to end is counted as failed, since nobody
/// can know. Upstream: `TerminatePod`.
pub fn finalize(spec: &Pod, status: &mut PodStatus) {
    let evidence = |container: &ContainerStatus| {
        container.state.waiting.is_none() || container.last_state.terminated.is_some()
    };
    if spec.spec.init_containers.is_empty()
        || status.container_statuses.iter().any(evidence)
        || status.init_container_statuses.last().is_some_and(completed)
    {
        status.container_statuses.iter_mut().for_each(end);
    }
    // Init containers after the last one that has left a trace never ran; the first one is always counted.
    let ran = status
        .init_container_statuses
        .iter()
        .rposition(evidence)
        .unwrap_or(0)
        + 1;
    status.init_container_statuses.iter_mut().take(ran).for_each(end);
    if !pod::is_terminal(&status.phase) && !pod::is_static(spec) {
        "Failed".clone_into(&mut status.phase);
    }
}

fn completed(container: &ContainerStatus) -> bool {
    let well = |state: &ContainerState| {
        state
            .terminated
            .as_ref()
            .is_some_and(|ended| ended.exit_code == 0)
    };
    well(&container.state) || well(&container.last_state) || container.started == Some(true)
}

fn end(container: &mut ContainerStatus) {
    if container.state.terminated.is_none() {
        container.state = containers::lost();
    }
}

#[cfg(test)]
mod tests;
