//! Container statuses from the runtime's view, what was reported before, and why a start failed.
//! Upstream: `convertToAPIContainerStatuses`.

use crate::{
    pod,
    runtime::state::{ContainerState, ContainerStatus as RuntimeStatus, PodState},
    sync::plan::should_restart,
};
use api::core::v1::{
    Container, ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, Pod, VolumeMountStatus,
};
use apimachinery::time::Time;
use std::collections::BTreeMap;

pub const POD_INITIALIZING: &str = "PodInitializing";
pub const CONTAINER_CREATING: &str = "ContainerCreating";
mod resources;

const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";
/// The exit code given to a container whose real one is lost: that of a killed process.
const LOST_EXIT_CODE: i32 = 137;

/// Why the last start of a container failed: reason and message.
pub type StartErrors = BTreeMap<String, (String, String)>;

/// What container statuses are made from.
pub struct Inputs<'a> {
    pub pod: &'a Pod,
    pub state: &'a PodState,
    /// The runtime's name, the scheme of container ids.
    pub runtime_name: &'a str,
    pub start_errors: &'a StartErrors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Init,
    Regular,
    Ephemeral,
}

/// A container id without the runtime's name before it.
pub fn bare_id(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

/// A time of the runtime, which says zero for none.
pub fn time(unix_nanos: i64) -> Option<Time> {
    let nanos = i32::try_from(unix_nanos % 1_000_000_000).unwrap_or(0);
    if unix_nanos > 0 {
        Time::from_unix(unix_nanos / 1_000_000_000, nanos)
    } else {
        None
    }
}

/// The statuses of one list of containers: init containers in the order of the specification, others by name.
pub fn statuses(inputs: &Inputs<'_>, list: List, previous: &[ContainerStatus]) -> Vec<ContainerStatus> {
    let spec = &inputs.pod.spec;
    let containers: Vec<Container> = match list {
        List::Init => spec.init_containers.clone(),
        List::Regular => spec.containers.clone(),
        List::Ephemeral => spec
            .ephemeral_containers
            .iter()
            .map(pod::ephemeral_as_container)
            .collect(),
    };
    let mut result: Vec<ContainerStatus> = containers
        .iter()
        .map(|container| {
            let old = previous.iter().find(|status| status.name == container.name);
            one(inputs, list, container, old)
        })
        .collect();
    if list != List::Init {
        result.sort_by(|a, b| a.name.cmp(&b.name));
    }
    result
}

fn one(
    inputs: &Inputs<'_>,
    list: List,
    container: &Container,
    old: Option<&ContainerStatus>,
) -> ContainerStatus {
    let mut seen = inputs
        .state
        .containers
        .iter()
        .filter(|status| status.name == container.name);
    let mut status = match seen.next() {
        Some(newest) => {
            let mut status = converted(inputs, container, newest, old);
            if let Some(before) = seen.next() {
                status.last_state = converted(inputs, container, before, None).state;
            }
            status
        }
        None => unseen(inputs, container, old),
    };
    explain_start(inputs, list, container, &mut status);
    status
}

/// A container of which the runtime knows nothing (any more).
fn unseen(inputs: &Inputs<'_>, container: &Container, old: Option<&ContainerStatus>) -> ContainerStatus {
    let reason = if inputs.pod.spec.init_containers.is_empty() {
        CONTAINER_CREATING
    } else {
        POD_INITIALIZING
    };
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone(),
        state: waiting(reason, ""),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    };
    let Some(old) = old else { return status };
    if old.state.terminated.is_some() {
        return old.clone();
    }
    status.restart_count = old.restart_count;
    status.last_state = old.last_state.clone();
    if old.state.running.is_some() && status.last_state.terminated.is_none() {
        // It did run, so showing it as never started would bring the pod back to pending.
        status.last_state.terminated = Some(Box::new(ContainerStateTerminated {
            reason: STATUS_UNKNOWN.into(),
            message: "The container could not be located when the pod was deleted.  \
                      The container used to be Running"
                .into(),
            exit_code: LOST_EXIT_CODE,
            ..ContainerStateTerminated::default()
        }));
        if inputs.pod.metadata.deletion_timestamp.is_none() {
            status.restart_count += 1;
        }
    }
    status
}

fn converted(
    inputs: &Inputs<'_>,
    container: &Container,
    seen: &RuntimeStatus,
    old: Option<&ContainerStatus>,
) -> ContainerStatus {
    let id = format!("{}://{}", inputs.runtime_name, seen.id);
    let mut status = ContainerStatus {
        name: container.name.clone(),
        restart_count: i32::try_from(seen.restart_count).unwrap_or(i32::MAX),
        image: seen.image.clone(),
        image_id: seen.image_id.clone(),
        container_id: id.clone(),
        volume_mounts: volume_mounts(container),
        resources: Some(Box::new(resources::reported(container, seen, &id, old))),
        allocated_resources: container.resources.requests.clone(),
        ..ContainerStatus::default()
    };
    if let Some(old) = old {
        status.restart_count = status.restart_count.max(old.restart_count);
        // What ended before stays visible even when the runtime has forgotten it.
        status.last_state.terminated = if old.container_id != id && old.state.terminated.is_some() {
            old.state.terminated.clone()
        } else {
            old.last_state.terminated.clone()
        };
    }
    status.state = match seen.state {
        ContainerState::Running => ApiState {
            running: Some(Box::new(ContainerStateRunning {
                started_at: time(seen.started_at),
            })),
            ..ApiState::default()
        },
        ContainerState::Exited => ApiState {
            terminated: Some(Box::new(ContainerStateTerminated {
                exit_code: seen.exit_code,
                reason: seen.reason.clone(),
                message: seen.message.clone(),
                started_at: time(seen.started_at),
                finished_at: time(seen.finished_at),
                container_id: id,
                ..ContainerStateTerminated::default()
            })),
            ..ApiState::default()
        },
        ContainerState::Unknown if old.is_some_and(|old| old.state.running.is_some()) => {
            status.restart_count = old.map_or(0, |old| old.restart_count) + 1;
            lost()
        }
        ContainerState::Created | ContainerState::Unknown => waiting("", ""),
    };
    status
}

/// A container that is to be started and could not be is waiting, and says for what.
fn explain_start(inputs: &Inputs<'_>, list: List, container: &Container, status: &mut ContainerStatus) {
    if list == List::Init {
        let seen = inputs.state.find(&container.name);
        if seen.is_some_and(|seen| seen.state == ContainerState::Exited && seen.exit_code == 0) {
            return;
        }
        let any_regular = inputs
            .pod
            .spec
            .containers
            .iter()
            .any(|c| inputs.state.find(&c.name).is_some());
        if seen.is_none() && any_regular && !pod::is_sidecar(container) && status.state.waiting.is_some() {
            status.state = ApiState {
                terminated: Some(Box::new(ContainerStateTerminated {
                    reason: "Completed".into(),
                    message: "Unable to get init container status from container runtime and pod has been \
                              initialized, treat it as exited normally"
                        .into(),
                    ..ContainerStateTerminated::default()
                })),
                ..ApiState::default()
            };
            return;
        }
    }
    if !should_restart(inputs.pod, container, inputs.state) {
        return;
    }
    if let Some((reason, message)) = inputs.start_errors.get(&container.name) {
        if status.state.terminated.is_some() {
            status.last_state = status.state.clone();
        }
        status.state = waiting(reason, message);
    }
}

/// The state of a container of which nobody saw the end.
pub fn lost() -> ApiState {
    ApiState {
        terminated: Some(Box::new(ContainerStateTerminated {
            reason: STATUS_UNKNOWN.into(),
            message: "The container could not be located when the pod was terminated".into(),
            exit_code: LOST_EXIT_CODE,
            ..ContainerStateTerminated::default()
        })),
        ..ApiState::default()
    }
}

pub fn waiting(reason: &str, message: &str) -> ApiState {
    ApiState {
        waiting: Some(Box::new(ContainerStateWaiting {
            reason: reason.into(),
            message: message.into(),
        })),
        ..ApiState::default()
    }
}

fn volume_mounts(container: &Container) -> Vec<VolumeMountStatus> {
    container
        .volume_mounts
        .iter()
        .map(|mount| VolumeMountStatus {
            name: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only: mount.read_only,
            recursive_read_only: mount.read_only.then(|| "Disabled".to_owned()),
            ..VolumeMountStatus::default()
        })
        .collect()
}

#[cfg(test)]
mod tests;
