//! The node's whole status. Upstream: `setNodeStatus`.

use super::{
    capacity::{self, Resources},
    conditions,
    machine::Machine,
    runtime_health::RuntimeHealth,
};
use crate::{config::Config, eviction::pressure::Pressure, pleg::Pleg};
use api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeRuntimeHandler, NodeStatus,
    NodeSystemInfo,
};
use apimachinery::time::Time;
use component_base::version;
use cri_api::{Runtime, v1};
use std::{path::PathBuf, sync::Arc};

/// Names that an image is listed with at most.
const MAX_IMAGE_NAMES: usize = 5;

/// What a node's status is made from.
pub struct NodeFacts {
    pub node_name: String,
    pub config: Arc<Config>,
    pub machine: Machine,
    pub capacity: Resources,
    pub allocatable: Resources,
    pub node_ips: Vec<String>,
    pub hostname: String,
    pub root_dir: PathBuf,
    pub image_dir: PathBuf,
    pub runtime: Arc<dyn Runtime>,
    pub runtime_version: String,
    pub health: Arc<RuntimeHealth>,
    pub pleg: Arc<Pleg>,
    pub pressure: Arc<Pressure>,
}

impl NodeFacts {
    /// What keeps the node from running pods.
    fn problems(&self) -> Vec<String> {
        let problems = [
            self.health.runtime_problem(),
            self.health.network_problem(),
            self.pleg.problem(),
        ];
        problems.into_iter().flatten().collect()
    }

    /// The node's status now, over the one that the API has.
    pub async fn status(&self, node: &Node, now: Time) -> NodeStatus {
        let old = &node.status;
        let owned = conditions::conditions(
            &self.problems(),
            &self.pressure.conditions(),
            &old.conditions,
            now,
        );
        let foreign = old
            .conditions
            .iter()
            .filter(|other| !owned.iter().any(|own| own.type_ == other.type_));
        let conditions = foreign.cloned().chain(owned.iter().cloned()).collect();
        let with_foreign = |own: &Resources| {
            let mut all = capacity::foreign(&old.capacity, &self.capacity);
            all.extend(own.clone());
            all
        };
        NodeStatus {
            capacity: with_foreign(&self.capacity),
            allocatable: with_foreign(&self.allocatable),
            conditions,
            addresses: self.addresses(),
            daemon_endpoints: NodeDaemonEndpoints {
                kubelet_endpoint: DaemonEndpoint {
                    port: i32::from(self.config.port),
                },
            },
            node_info: self.info(),
            images: self.images().await,
            runtime_handlers: self.handlers().await,
            ..old.clone()
        }
    }

    fn addresses(&self) -> Vec<NodeAddress> {
        let address = |kind: &str, text: &String| NodeAddress {
            type_: kind.into(),
            address: text.clone(),
        };
        let mut addresses: Vec<NodeAddress> =
            self.node_ips.iter().map(|ip| address("InternalIP", ip)).collect();
        addresses.push(address("Hostname", &self.hostname));
        addresses
    }

    fn info(&self) -> NodeSystemInfo {
        let machine = &self.machine;
        NodeSystemInfo {
            machine_id: machine.machine_id.clone(),
            system_uuid: machine.system_uuid.clone(),
            boot_id: machine.boot_id.clone(),
            kernel_version: machine.kernel_version.clone(),
            os_image: machine.os_image.clone(),
            container_runtime_version: self.runtime_version.clone(),
            kubelet_version: version::GIT_VERSION.into(),
            operating_system: "linux".into(),
            architecture: machine.architecture.clone(),
            ..NodeSystemInfo::default()
        }
    }

    /// The largest images, as many as the status may list.
    async fn images(&self) -> Vec<ContainerImage> {
        let listed = match self.runtime.list_images(v1::ListImagesRequest::default()).await {
            Ok(response) => response.images,
            Err(error) => {
                tracing::warn!(%error, "cannot list images");
                Vec::new()
            }
        };
        let limit = usize::try_from(self.config.node_status_max_images).unwrap_or(usize::MAX);
        let mut images: Vec<ContainerImage> = listed.into_iter().map(image).collect();
        images.sort_by_key(|image| std::cmp::Reverse(image.size_bytes));
        images.truncate(limit);
        images
    }

    async fn handlers(&self) -> Vec<NodeRuntimeHandler> {
        let status = self.runtime.status(v1::StatusRequest::default()).await;
        let handlers = status
            .map(|response| response.runtime_handlers)
            .unwrap_or_default();
        handlers
            .into_iter()
            .map(|handler| NodeRuntimeHandler {
                name: handler.name,
                features: handler.features.map(|features| {
                    Box::new(api::core::v1::NodeRuntimeHandlerFeatures {
                        recursive_read_only_mounts: Some(features.recursive_read_only_mounts),
                        user_namespaces: Some(features.user_namespaces),
                    })
                }),
            })
            .collect()
    }
}

fn image(image: v1::Image) -> ContainerImage {
    let mut names = [image.repo_digests, image.repo_tags].concat();
    names.truncate(MAX_IMAGE_NAMES);
    ContainerImage {
        names,
        size_bytes: i64::try_from(image.size).unwrap_or(i64::MAX),
    }
}
