//! What the runtime is asked for when a container is made. Upstream: `generateContainerConfig`.
//!
//! [`build`] is pure; [`mounts`] prepares the few files that a container is given, on the node.

pub mod mounts;

use crate::{
    cgroup::resources,
    env::expansion,
    runtime::labels,
    security::{self, Defaults, ImageUser},
    settings::Settings,
};
use api::core::v1::{Container, Pod};
use cri_api::v1;
use std::collections::BTreeMap;

/// What is known when a container is about to be made.
pub struct Inputs<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub restart_count: u32,
    /// The image as the runtime resolved it.
    pub image_ref: &'a str,
    pub image_user: &'a ImageUser,
    pub env: Vec<(String, String)>,
    pub mounts: Vec<v1::Mount>,
    /// The container whose processes an ephemeral container looks at.
    pub target_id: Option<String>,
}

pub fn build(inputs: Inputs<'_>, settings: &Settings) -> Result<v1::ContainerConfig, security::Error> {
    let Inputs { pod, container, .. } = inputs;
    security::verify_non_root(pod, container, inputs.image_user)?;
    let seccomp_root = settings.root.seccomp();
    let seccomp_root = seccomp_root.to_string_lossy();
    let defaults = Defaults {
        seccomp_default: settings.seccomp_default,
        seccomp_root: &seccomp_root,
    };
    let mut security = security::for_container(pod, container, inputs.image_user, &defaults)?;
    if let (Some(target), Some(options)) = (inputs.target_id, &mut security.namespace_options)
        && options.pid == i32::from(v1::NamespaceMode::Container)
    {
        options.pid = v1::NamespaceMode::Target.into();
        options.target_id = target;
    }
    let variables: BTreeMap<String, String> = inputs.env.iter().cloned().collect();
    let resources = resources::for_container(
        pod,
        container,
        settings.policy,
        settings.node_memory,
        &settings.huge_page_sizes,
    );
    Ok(v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata {
            name: container.name.clone(),
            attempt: inputs.restart_count,
        }),
        image: Some(v1::ImageSpec {
            image: inputs.image_ref.to_owned(),
            user_specified_image: container.image.clone(),
            ..v1::ImageSpec::default()
        }),
        command: expansion::expand_all(&container.command, &variables),
        args: expansion::expand_all(&container.args, &variables),
        working_dir: container.working_dir.clone(),
        envs: inputs
            .env
            .into_iter()
            .map(|(key, value)| v1::KeyValue {
                key,
                value: value.into_bytes(),
            })
            .collect(),
        mounts: inputs.mounts,
        labels: labels::for_container(pod, container),
        annotations: labels::container_annotations(pod, container, inputs.restart_count),
        log_path: log_path(&container.name, inputs.restart_count),
        stdin: container.stdin,
        stdin_once: container.stdin_once,
        tty: container.tty,
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(resources),
            security_context: Some(security),
        }),
        stop_signal: stop_signal(container),
        ..v1::ContainerConfig::default()
    })
}

/// Relative to the pod's log folder.
pub fn log_path(container: &str, restart_count: u32) -> String {
    format!("{container}/{restart_count}.log")
}

fn stop_signal(container: &Container) -> i32 {
    let name = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    name.and_then(v1::Signal::from_str_name)
        .unwrap_or(v1::Signal::RuntimeDefault)
        .into()
}
