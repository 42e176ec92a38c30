//! A runtime in memory: sandboxes and containers are rows, and a test ends containers by hand.

use cri_api::{Error, EventStream, Runtime, error::Code, v1};
use futures_util::future::BoxFuture;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

pub const MEMORY_IN_USE: u64 = 10 << 20;

#[derive(Default)]
struct State {
    sandboxes: Vec<v1::PodSandboxStatus>,
    containers: Vec<(String, v1::ContainerStatus)>,
    /// What was asked for, in order.
    calls: Vec<String>,
    /// Containers that ignore the signal to end.
    stubborn: HashSet<String>,
    clock: i64,
}

pub struct FakeRuntime {
    state: Mutex<State>,
    called: watch::Sender<usize>,
}

impl FakeRuntime {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            called: watch::Sender::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: String) {
        self.lock().calls.push(call);
        self.called.send_modify(|count| *count += 1);
    }

    /// What was asked for since the last time, reading calls left out.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Changes with every call that acts.
    pub fn subscribe(&self) -> watch::Receiver<usize> {
        self.called.subscribe()
    }

    /// The container ends by itself.
    pub fn exit(&self, name: &str, exit_code: i32) {
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        let running = i32::from(v1::ContainerState::ContainerRunning);
        let found = state
            .containers
            .iter_mut()
            .find(|(_, status)| container_name(status) == name && status.state == running);
        if let Some((_, status)) = found {
            end(status, exit_code, now);
        }
    }

    /// From now on the container has to be killed.
    pub fn make_stubborn(&self, name: &str) {
        self.lock().stubborn.insert(name.to_owned());
    }
}

fn container_name(status: &v1::ContainerStatus) -> String {
    status
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.clone())
        .unwrap_or_default()
}

fn end(status: &mut v1::ContainerStatus, exit_code: i32, now: i64) {
    status.state = v1::ContainerState::ContainerExited.into();
    status.exit_code = exit_code;
    status.finished_at = now;
}

fn selects(
    selector: &std::collections::HashMap<String, String>,
    labels: &std::collections::HashMap<String, String>,
) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn answer<T: Send + 'static>(response: T) -> BoxFuture<'static, Result<T, Error>> {
    Box::pin(std::future::ready(Ok(response)))
}

fn refuse<T: Send + 'static>(code: Code) -> BoxFuture<'static, Result<T, Error>> {
    let message = format!("{code:?}");
    Box::pin(std::future::ready(Err(Error::Rpc { code, message })))
}

macro_rules! unimplemented_calls {
    ($($method:ident $request:ident $response:ident;)*) => {
        $(fn $method(&self, _: v1::$request) -> BoxFuture<'_, Result<v1::$response, Error>> {
            refuse(Code::Unimplemented)
        })*
    };
}

impl Runtime for FakeRuntime {
    fn run_pod_sandbox(
        &self,
        request: v1::RunPodSandboxRequest,
    ) -> BoxFuture<'_, Result<v1::RunPodSandboxResponse, Error>> {
        let config = request.config.unwrap_or_default();
        self.note("sandbox".into());
        let mut state = self.lock();
        state.clock += 1;
        let id = format!("sandbox-{}", state.sandboxes.len());
        let created_at = state.clock;
        state.sandboxes.push(v1::PodSandboxStatus {
            id: id.clone(),
            metadata: config.metadata,
            state: v1::PodSandboxState::SandboxReady.into(),
            created_at,
            network: Some(v1::PodSandboxNetworkStatus {
                ip: "10.0.0.9".into(),
                additional_ips: vec![],
            }),
            labels: config.labels,
            ..v1::PodSandboxStatus::default()
        });
        answer(v1::RunPodSandboxResponse { pod_sandbox_id: id })
    }

    fn stop_pod_sandbox(
        &self,
        request: v1::StopPodSandboxRequest,
    ) -> BoxFuture<'_, Result<v1::StopPodSandboxResponse, Error>> {
        self.note("stop sandbox".into());
        let mut state = self.lock();
        for sandbox in &mut state.sandboxes {
            if sandbox.id == request.pod_sandbox_id {
                sandbox.state = v1::PodSandboxState::SandboxNotready.into();
            }
        }
        answer(v1::StopPodSandboxResponse {})
    }

    fn pod_sandbox_status(
        &self,
        request: v1::PodSandboxStatusRequest,
    ) -> BoxFuture<'_, Result<v1::PodSandboxStatusResponse, Error>> {
        let found = self
            .lock()
            .sandboxes
            .iter()
            .find(|sandbox| sandbox.id == request.pod_sandbox_id)
            .cloned();
        match found {
            Some(status) => answer(v1::PodSandboxStatusResponse {
                status: Some(status),
                ..v1::PodSandboxStatusResponse::default()
            }),
            None => refuse(Code::NotFound),
        }
    }

    fn list_pod_sandbox(
        &self,
        request: v1::ListPodSandboxRequest,
    ) -> BoxFuture<'_, Result<v1::ListPodSandboxResponse, Error>> {
        let selector = request.filter.unwrap_or_default().label_selector;
        let state = self.lock();
        let chosen = state
            .sandboxes
            .iter()
            .filter(|sandbox| selects(&selector, &sandbox.labels));
        let items = chosen
            .map(|sandbox| v1::PodSandbox {
                id: sandbox.id.clone(),
                state: sandbox.state,
                labels: sandbox.labels.clone(),
                ..v1::PodSandbox::default()
            })
            .collect();
        answer(v1::ListPodSandboxResponse { items })
    }

    fn create_container(
        &self,
        request: v1::CreateContainerRequest,
    ) -> BoxFuture<'_, Result<v1::CreateContainerResponse, Error>> {
        let config = request.config.unwrap_or_default();
        let mut state = self.lock();
        state.clock += 1;
        let id = format!("container-{}", state.containers.len());
        let status = v1::ContainerStatus {
            id: id.clone(),
            metadata: config.metadata,
            created_at: state.clock,
            image: config.image,
            labels: config.labels,
            annotations: config.annotations,
            ..v1::ContainerStatus::default()
        };
        state.containers.push((request.pod_sandbox_id, status));
        answer(v1::CreateContainerResponse { container_id: id })
    }

    fn start_container(
        &self,
        request: v1::StartContainerRequest,
    ) -> BoxFuture<'_, Result<v1::StartContainerResponse, Error>> {
        let mut name = String::new();
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        for (_, status) in &mut state.containers {
            if status.id == request.container_id {
                status.state = v1::ContainerState::ContainerRunning.into();
                status.started_at = now;
                name = container_name(status);
            }
        }
        drop(state);
        self.note(format!("start {name}"));
        answer(v1::StartContainerResponse {})
    }

    fn stop_container(
        &self,
        request: v1::StopContainerRequest,
    ) -> BoxFuture<'_, Result<v1::StopContainerResponse, Error>> {
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        let State {
            containers, stubborn, ..
        } = &mut *state;
        let Some((_, status)) = containers
            .iter_mut()
            .find(|(_, status)| status.id == request.container_id)
        else {
            return refuse(Code::NotFound);
        };
        let name = container_name(status);
        // Who ignores the signal is killed only by a caller in a hurry.
        let hangs = stubborn.contains(&name) && request.timeout > 2;
        if !hangs {
            end(status, 143, now);
        }
        drop(state);
        self.note(format!("stop {name} within {}s", request.timeout));
        if hangs {
            return Box::pin(std::future::pending());
        }
        answer(v1::StopContainerResponse {})
    }

    fn list_containers(
        &self,
        request: v1::ListContainersRequest,
    ) -> BoxFuture<'_, Result<v1::ListContainersResponse, Error>> {
        let selector = request.filter.unwrap_or_default().label_selector;
        let state = self.lock();
        let chosen = state
            .containers
            .iter()
            .filter(|(_, status)| selects(&selector, &status.labels));
        let containers = chosen
            .map(|(sandbox, status)| v1::Container {
                id: status.id.clone(),
                pod_sandbox_id: sandbox.clone(),
                state: status.state,
                labels: status.labels.clone(),
                ..v1::Container::default()
            })
            .collect();
        answer(v1::ListContainersResponse { containers })
    }

    fn container_status(
        &self,
        request: v1::ContainerStatusRequest,
    ) -> BoxFuture<'_, Result<v1::ContainerStatusResponse, Error>> {
        let state = self.lock();
        let found = state
            .containers
            .iter()
            .find(|(_, status)| status.id == request.container_id);
        match found {
            Some((_, status)) => answer(v1::ContainerStatusResponse {
                status: Some(status.clone()),
                ..v1::ContainerStatusResponse::default()
            }),
            None => refuse(Code::NotFound),
        }
    }

    fn image_status(
        &self,
        request: v1::ImageStatusRequest,
    ) -> BoxFuture<'_, Result<v1::ImageStatusResponse, Error>> {
        let image = request.image.unwrap_or_default().image;
        let image = (!image.starts_with("missing")).then(|| v1::Image {
            id: image.clone(),
            ..v1::Image::default()
        });
        answer(v1::ImageStatusResponse {
            image,
            ..v1::ImageStatusResponse::default()
        })
    }

    fn pull_image(&self, _: v1::PullImageRequest) -> BoxFuture<'_, Result<v1::PullImageResponse, Error>> {
        self.note("pull".into());
        refuse(Code::NotFound)
    }

    fn status(&self, _: v1::StatusRequest) -> BoxFuture<'_, Result<v1::StatusResponse, Error>> {
        answer(v1::StatusResponse::default())
    }

    fn container_events(&self) -> BoxFuture<'_, Result<EventStream, Error>> {
        refuse(Code::Unimplemented)
    }

    fn update_container_resources(
        &self,
        request: v1::UpdateContainerResourcesRequest,
    ) -> BoxFuture<'_, Result<v1::UpdateContainerResourcesResponse, Error>> {
        let mut state = self.lock();
        let found = state
            .containers
            .iter_mut()
            .find(|(_, status)| status.id == request.container_id);
        let Some((_, status)) = found else {
            return refuse(Code::NotFound);
        };
        let name = container_name(status);
        let linux = request.linux.clone().unwrap_or_default();
        status.resources = Some(v1::ContainerResources { linux: request.linux });
        drop(state);
        self.note(format!(
            "update {name} shares {} quota {} memory {}",
            linux.cpu_shares, linux.cpu_quota, linux.memory_limit_in_bytes
        ));
        answer(v1::UpdateContainerResourcesResponse {})
    }

    /// Every container uses [`MEMORY_IN_USE`].
    fn list_container_stats(
        &self,
        request: v1::ListContainerStatsRequest,
    ) -> BoxFuture<'_, Result<v1::ListContainerStatsResponse, Error>> {
        let selector = request.filter.unwrap_or_default().label_selector;
        let state = self.lock();
        let chosen = state
            .containers
            .iter()
            .filter(|(_, status)| selects(&selector, &status.labels));
        let stats = chosen.map(|(_, status)| v1::ContainerStats {
            attributes: Some(v1::ContainerAttributes {
                id: status.id.clone(),
                labels: status.labels.clone(),
                ..v1::ContainerAttributes::default()
            }),
            memory: Some(v1::MemoryUsage {
                usage_bytes: Some(v1::UInt64Value { value: MEMORY_IN_USE }),
                ..v1::MemoryUsage::default()
            }),
            ..v1::ContainerStats::default()
        });
        answer(v1::ListContainerStatsResponse {
            stats: stats.collect(),
        })
    }

    unimplemented_calls! {
        version VersionRequest VersionResponse;
        runtime_config RuntimeConfigRequest RuntimeConfigResponse;
        update_runtime_config UpdateRuntimeConfigRequest UpdateRuntimeConfigResponse;
        remove_pod_sandbox RemovePodSandboxRequest RemovePodSandboxResponse;
        remove_container RemoveContainerRequest RemoveContainerResponse;
        reopen_container_log ReopenContainerLogRequest ReopenContainerLogResponse;
        exec_sync ExecSyncRequest ExecSyncResponse;
        exec ExecRequest ExecResponse;
        attach AttachRequest AttachResponse;
        port_forward PortForwardRequest PortForwardResponse;
        list_pod_sandbox_stats ListPodSandboxStatsRequest ListPodSandboxStatsResponse;
        list_images ListImagesRequest ListImagesResponse;
        remove_image RemoveImageRequest RemoveImageResponse;
        image_fs_info ImageFsInfoRequest ImageFsInfoResponse;
    }
}
