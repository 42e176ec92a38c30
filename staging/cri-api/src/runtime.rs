//! The interface as an object-safe trait, and the table of its calls.

use crate::{error::Error, v1};
use futures_util::{future::BoxFuture, stream::BoxStream};

/// Events of the runtime, until the connection ends.
pub type EventStream = BoxStream<'static, Result<v1::ContainerEventResponse, Error>>;

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// The client's own timeout, this many times.
    Times(u32),
    /// The client's own timeout, after the seconds that the request itself asks for.
    After(i64),
    /// As long as it takes: the caller watches over it.
    Unbounded,
}

/// One row a call: method, service, request, response, and how long it may take given the request.
macro_rules! runtime_calls {
    ($($method:ident $service:ident $request:ident $response:ident |$argument:ident| $limit:expr;)*) => {
        /// A container runtime, real or fake.
        pub trait Runtime: Send + Sync + 'static {
            $(fn $method(&self, request: v1::$request) -> BoxFuture<'_, Result<v1::$response, Error>>;)*

            /// Subscribes to changes of containers; unimplemented by older runtimes.
            fn container_events(&self) -> BoxFuture<'_, Result<EventStream, Error>>;
        }

        impl Runtime for crate::client::Client {
            $(fn $method(&self, request: v1::$request) -> BoxFuture<'_, Result<v1::$response, Error>> {
                let $argument = &request;
                let limit: Limit = $limit;
                let mut service = self.$service();
                Box::pin(self.observed(stringify!($method), limit, async move {
                    Ok(service.$method(request).await?.into_inner())
                }))
            })*

            fn container_events(&self) -> BoxFuture<'_, Result<EventStream, Error>> {
                Box::pin(self.open_events())
            }
        }
    };
}

runtime_calls! {
    version runtime VersionRequest VersionResponse |_r| Limit::Times(1);
    status runtime StatusRequest StatusResponse |_r| Limit::Times(1);
    runtime_config runtime RuntimeConfigRequest RuntimeConfigResponse |_r| Limit::Times(1);
    update_runtime_config runtime UpdateRuntimeConfigRequest UpdateRuntimeConfigResponse |_r| Limit::Times(1);
    run_pod_sandbox runtime RunPodSandboxRequest RunPodSandboxResponse |_r| Limit::Times(2);
    stop_pod_sandbox runtime StopPodSandboxRequest StopPodSandboxResponse |_r| Limit::Times(1);
    remove_pod_sandbox runtime RemovePodSandboxRequest RemovePodSandboxResponse |_r| Limit::Times(1);
    pod_sandbox_status runtime PodSandboxStatusRequest PodSandboxStatusResponse |_r| Limit::Times(1);
    list_pod_sandbox runtime ListPodSandboxRequest ListPodSandboxResponse |_r| Limit::Times(1);
    create_container runtime CreateContainerRequest CreateContainerResponse |_r| Limit::Times(1);
    start_container runtime StartContainerRequest StartContainerResponse |_r| Limit::Times(1);
    stop_container runtime StopContainerRequest StopContainerResponse |r| Limit::After(r.timeout);
    remove_container runtime RemoveContainerRequest RemoveContainerResponse |_r| Limit::Times(1);
    list_containers runtime ListContainersRequest ListContainersResponse |_r| Limit::Times(1);
    container_status runtime ContainerStatusRequest ContainerStatusResponse |_r| Limit::Times(1);
    update_container_resources runtime UpdateContainerResourcesRequest UpdateContainerResourcesResponse
        |_r| Limit::Times(1);
    reopen_container_log runtime ReopenContainerLogRequest ReopenContainerLogResponse |_r| Limit::Times(1);
    // Without a timeout of its own a command may run for as long as its probe or hook lets it.
    exec_sync runtime ExecSyncRequest ExecSyncResponse
        |r| if r.timeout > 0 { Limit::After(r.timeout) } else { Limit::Unbounded };
    exec runtime ExecRequest ExecResponse |_r| Limit::Times(1);
    attach runtime AttachRequest AttachResponse |_r| Limit::Times(1);
    port_forward runtime PortForwardRequest PortForwardResponse |_r| Limit::Times(1);
    list_container_stats runtime ListContainerStatsRequest ListContainerStatsResponse |_r| Limit::Times(1);
    list_pod_sandbox_stats runtime ListPodSandboxStatsRequest ListPodSandboxStatsResponse |_r| Limit::Times(1);
    list_images images ListImagesRequest ListImagesResponse |_r| Limit::Times(1);
    image_status images ImageStatusRequest ImageStatusResponse |_r| Limit::Times(1);
    pull_image images PullImageRequest PullImageResponse |_r| Limit::Unbounded;
    remove_image images RemoveImageRequest RemoveImageResponse |_r| Limit::Times(1);
    image_fs_info images ImageFsInfoRequest ImageFsInfoResponse |_r| Limit::Times(1);
}
