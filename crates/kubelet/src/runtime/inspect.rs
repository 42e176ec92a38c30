//! Reads the state of one pod from the runtime. Upstream: `GetPodStatus`.

use super::{
    labels,
    state::{ContainerState, ContainerStatus, Given, PodState, Sandbox},
};
use crate::cgroup::resources::milli_of_shares;
use cri_api::{Error, Runtime, v1};
use futures_util::future::try_join_all;
use std::{fs::File, io::Read, path::Path};

/// Termination messages longer than this are cut, as the API limits them.
const MAX_MESSAGE_BYTES: usize = 4096;
/// How much of a log stands in for a message: lines, and bytes.
const MAX_LOG_LINES: i64 = 80;
const MAX_LOG_BYTES: usize = 2048;

/// Everything the runtime holds for the pod with this uid.
pub async fn pod(runtime: &dyn Runtime, uid: &str) -> Result<PodState, Error> {
    let selector = labels::of_pod(uid);
    let sandboxes = runtime.list_pod_sandbox(v1::ListPodSandboxRequest {
        filter: Some(v1::PodSandboxFilter {
            label_selector: selector.clone(),
            ..Default::default()
        }),
    });
    let containers = runtime.list_containers(v1::ListContainersRequest {
        filter: Some(v1::ContainerFilter {
            label_selector: selector,
            ..Default::default()
        }),
    });
    let (sandboxes, containers) = futures_util::try_join!(sandboxes, containers)?;
    let sandboxes = try_join_all(
        sandboxes
            .items
            .iter()
            .map(|sandbox| sandbox_status(runtime, &sandbox.id)),
    )
    .await?;
    let containers = try_join_all(
        containers
            .containers
            .iter()
            .map(|container| container_status(runtime, &container.id)),
    )
    .await?;
    let mut state = PodState {
        uid: uid.to_owned(),
        ..PodState::default()
    };
    for status in sandboxes.into_iter().flatten() {
        if let Some(metadata) = &status.metadata {
            state.name.clone_from(&metadata.name);
            state.namespace.clone_from(&metadata.namespace);
        }
        state.sandboxes.push(sandbox(status));
    }
    for status in containers.into_iter().flatten() {
        if let Some((_, namespace, name)) = labels::pod_identity(&status.labels) {
            state.name = name;
            state.namespace = namespace;
        }
        state.containers.push(container(status));
    }
    state
        .sandboxes
        .sort_by_key(|sandbox| std::cmp::Reverse(sandbox.created_at));
    state
        .containers
        .sort_by_key(|container| std::cmp::Reverse(container.created_at));
    Ok(state)
}

/// What was removed since it was listed is no longer there, and that is no error.
fn present<T>(result: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(None),
        other => other,
    }
}

async fn sandbox_status(runtime: &dyn Runtime, id: &str) -> Result<Option<v1::PodSandboxStatus>, Error> {
    let request = v1::PodSandboxStatusRequest {
        pod_sandbox_id: id.to_owned(),
        verbose: false,
    };
    present(
        runtime
            .pod_sandbox_status(request)
            .await
            .map(|response| response.status),
    )
}

async fn container_status(runtime: &dyn Runtime, id: &str) -> Result<Option<v1::ContainerStatus>, Error> {
    let request = v1::ContainerStatusRequest {
        container_id: id.to_owned(),
        verbose: false,
    };
    present(
        runtime
            .container_status(request)
            .await
            .map(|response| response.status),
    )
}

/// A sandbox's addresses, primary first.
pub fn addresses(network: Option<&v1::PodSandboxNetworkStatus>) -> Vec<String> {
    let Some(network) = network else { return Vec::new() };
    let additional = network.additional_ips.iter().map(|ip| ip.ip.clone());
    std::iter::once(network.ip.clone())
        .chain(additional)
        .filter(|ip| !ip.is_empty())
        .collect()
}

fn sandbox(status: v1::PodSandboxStatus) -> Sandbox {
    let options = status
        .linux
        .and_then(|linux| linux.namespaces)
        .and_then(|namespaces| namespaces.options);
    Sandbox {
        attempt: status.metadata.map_or(0, |metadata| metadata.attempt),
        ready: status.state == i32::from(v1::PodSandboxState::SandboxReady),
        created_at: status.created_at,
        ips: addresses(status.network.as_ref()),
        has_network: status.network.is_some(),
        host_network: options.is_some_and(|options| options.network == i32::from(v1::NamespaceMode::Node)),
        id: status.id,
    }
}

fn container(status: v1::ContainerStatus) -> ContainerStatus {
    let read = labels::read(&status.annotations);
    let state = ContainerState::from_cri(status.state);
    let exited = state == ContainerState::Exited;
    let mut message = if exited {
        status.message.clone()
    } else {
        String::new()
    };
    if exited {
        message.push_str(&termination_message(&status, &read.annotations));
    }
    let linux = status
        .resources
        .as_ref()
        .and_then(|resources| resources.linux.as_ref());
    ContainerStatus {
        resources: linux.map(given).unwrap_or_default(),
        name: status
            .labels
            .get(labels::CONTAINER_NAME)
            .cloned()
            .unwrap_or_default(),
        state,
        created_at: status.created_at,
        started_at: if state == ContainerState::Created {
            0
        } else {
            status.started_at
        },
        finished_at: if exited { status.finished_at } else { 0 },
        exit_code: status.exit_code,
        image: status.image.map(|image| image.image).unwrap_or_default(),
        image_id: status.image_ref,
        hash: read.hash,
        restart_count: read.restart_count,
        reason: if exited { status.reason } else { String::new() },
        message: clip(message, MAX_MESSAGE_BYTES),
        annotations: read.annotations,
        id: status.id,
    }
}

fn given(linux: &v1::LinuxContainerResources) -> Given {
    let stated = |amount: i64| Some(amount).filter(|amount| *amount > 0);
    Given {
        cpu_request: stated(milli_of_shares(linux.cpu_shares)),
        cpu_limit: stated(linux.cpu_period)
            .and_then(|period| stated(linux.cpu_quota.saturating_mul(1000) / period)),
        memory_request: None,
        memory_limit: stated(linux.memory_limit_in_bytes),
    }
}

/// What the container left in its message file, or the end of its log where the pod asks for that after a failure.
fn termination_message(status: &v1::ContainerStatus, annotations: &super::state::Annotations) -> String {
    let path = &annotations.termination_message_path;
    let file = status
        .mounts
        .iter()
        .find(|mount| !path.is_empty() && &mount.container_path == path);
    if let Some(mount) = file {
        match read_start(Path::new(&mount.host_path), MAX_MESSAGE_BYTES) {
            Ok(text) if !text.is_empty() => return text,
            Ok(_) => {}
            Err(error) => return format!("Error on reading termination log {}: {error}", mount.host_path),
        }
    }
    let fall_back =
        annotations.termination_message_policy == "FallbackToLogsOnError" && status.exit_code != 0;
    if fall_back && !status.log_path.is_empty() {
        return match crate::logs::read::tail(Path::new(&status.log_path), MAX_LOG_LINES, MAX_LOG_BYTES) {
            Ok(text) => text,
            Err(error) => format!("Error reading termination message from logs: {error}"),
        };
    }
    String::new()
}

fn read_start(path: &Path, limit: usize) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn clip(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
