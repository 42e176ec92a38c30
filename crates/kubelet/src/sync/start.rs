//! Starts one container: image, configuration, creation, start, hook. Upstream: `startContainer`.

use super::{
    execute::Executor,
    kill::Killer,
    plan::{KillReason, Start},
};
use crate::{
    container_config::{self, mounts},
    env::{
        build::{self, References},
        expansion,
        fields::Surroundings,
    },
    hooks, pod,
    runtime::state::{ContainerStatus, PodState},
    volume::manager::ReadyVolumes,
};
use api::core::v1::{Container, Pod, Secret};
use cri_api::v1;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

/// Why a container didn't start: the reason and message that its status shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    pub reason: &'static str,
    pub message: String,
}

impl StartError {
    pub fn new(reason: &'static str, message: impl ToString) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }
}

const CONFIG_ERROR: &str = "CreateContainerConfigError";

/// The pod that a container is started in.
pub struct Place<'a> {
    pub pod: &'a Pod,
    pub state: &'a PodState,
    pub sandbox_id: &'a str,
    pub sandbox: &'a v1::PodSandboxConfig,
    pub pod_ips: &'a [String],
    pub volumes: &'a ReadyVolumes,
    pub pull_secrets: &'a [Arc<Secret>],
}

/// The container that a plan names, ephemeral ones with the container that they look at.
pub fn named(spec: &Pod, start: Start) -> Option<(Container, Option<String>)> {
    match start {
        Start::Regular(index) => spec
            .spec
            .containers
            .get(index)
            .map(|container| (container.clone(), None)),
        Start::Init(index) => spec
            .spec
            .init_containers
            .get(index)
            .map(|container| (container.clone(), None)),
        Start::Ephemeral(index) => spec.spec.ephemeral_containers.get(index).map(|ephemeral| {
            let target = Some(ephemeral.target_container_name.clone()).filter(|name| !name.is_empty());
            (pod::ephemeral_as_container(ephemeral), target)
        }),
    }
}

impl Executor {
    pub(super) async fn start(
        &self,
        place: &Place<'_>,
        container: &Container,
        target: Option<&str>,
    ) -> Result<(), StartError> {
        let image = self
            .images
            .ensure(place.pod, container, place.pull_secrets, place.sandbox)
            .await;
        let image = image.map_err(|failure| {
            let words = format!("Error: {}", failure.reason);
            self.events
                .container_warning(place.pod, &container.name, "Failed", words);
            StartError {
                reason: failure.reason,
                message: failure.message,
            }
        })?;
        let fail = |error: StartError| {
            let words = format!("Error: {}", error.message);
            self.events
                .container_warning(place.pod, &container.name, "Failed", words);
            error
        };
        let target_id = match target {
            Some(name) => Some(target_id(place.state, name).map_err(fail)?),
            None => None,
        };
        let env = self.environment(place, container).await.map_err(fail)?;
        let restart_count = self.restart_count(place, container);
        let mounts = mounts::make(
            &mounts::Inputs {
                pod: place.pod,
                container,
                env: &env,
                volumes: place.volumes,
                pod_ips: place.pod_ips,
                restart_count,
            },
            &self.settings,
        );
        let mounts = mounts.map_err(|error| fail(StartError::new(CONFIG_ERROR, error)))?;
        let inputs = container_config::Inputs {
            pod: place.pod,
            container,
            restart_count,
            image_ref: &image.reference,
            image_user: &image.user,
            env,
            mounts,
            target_id,
        };
        let config = container_config::build(inputs, &self.settings)
            .map_err(|error| fail(StartError::new(CONFIG_ERROR, error)))?;
        self.create_and_start(place, container, config).await
    }

    async fn create_and_start(
        &self,
        place: &Place<'_>,
        container: &Container,
        config: v1::ContainerConfig,
    ) -> Result<(), StartError> {
        let fail = |reason, error: cri_api::Error| {
            let message = error.message();
            self.events
                .container_warning(place.pod, &container.name, "Failed", format!("Error: {message}"));
            StartError { reason, message }
        };
        let log_folder = self.settings.pod_log_folder(place.pod).join(&container.name);
        fs::create_dir_all(&log_folder).map_err(|error| {
            let message = format!(
                "create container log directory for container {} failed: {error}",
                container.name
            );
            StartError {
                reason: CONFIG_ERROR,
                message,
            }
        })?;
        let log = self.settings.pod_log_folder(place.pod).join(&config.log_path);
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: place.sandbox_id.to_owned(),
            config: Some(config),
            sandbox_config: Some(place.sandbox.clone()),
        };
        let created = self.runtime.create_container(request).await;
        let id = created
            .map_err(|error| fail("CreateContainerError", error))?
            .container_id;
        self.resizes.starting(place.pod, container);
        self.events
            .container_normal(place.pod, &container.name, "Created", "Container created");
        let started = self
            .runtime
            .start_container(v1::StartContainerRequest {
                container_id: id.clone(),
            })
            .await;
        started.map_err(|error| fail("RunContainerError", error))?;
        self.events
            .container_normal(place.pod, &container.name, "Started", "Container started");
        self.link_log(place.pod, container, &id, &log);
        self.run_post_start(place, container, &id).await
    }

    async fn run_post_start(
        &self,
        place: &Place<'_>,
        container: &Container,
        id: &str,
    ) -> Result<(), StartError> {
        let Some(hook) = container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.post_start.as_deref())
        else {
            return Ok(());
        };
        let pod_ip = place.pod_ips.first().map_or("", String::as_str);
        let target = hooks::Target {
            pod: place.pod,
            container,
            container_id: id,
            pod_ip,
        };
        let Err(message) = hooks::run(&self.runtime, hook, &target).await else {
            return Ok(());
        };
        tracing::warn!(container = %container.name, pod = %pod::description(place.pod), text = message, "PostStart hook failed");
        // Not in the event: the hook's output may hold secrets.
        self.events.container_warning(
            place.pod,
            &container.name,
            "FailedPostStartHook",
            "PostStartHook failed",
        );
        let status = ContainerStatus {
            id: id.to_owned(),
            name: container.name.clone(),
            ..ContainerStatus::default()
        };
        let killer: &Killer = &self.killer;
        let reason = KillReason::FailedPostStartHook;
        if let Err(error) = killer
            .container(
                Some(place.pod),
                pod_ip,
                &status,
                "FailedPostStartHook",
                reason,
                None,
            )
            .await
        {
            tracing::warn!(container = %container.name, %error, "cannot kill container after its hook failed");
        }
        Err(StartError {
            reason: "PostStartHookError",
            message,
        })
    }

    async fn environment(
        &self,
        place: &Place<'_>,
        container: &Container,
    ) -> Result<Vec<(String, String)>, StartError> {
        let config_error = |message: String| StartError {
            reason: CONFIG_ERROR,
            message,
        };
        let namespace = &place.pod.metadata.namespace;
        let (config_maps, secrets) = build::referenced(container);
        let mut references = References::default();
        for name in config_maps {
            let found = self.objects.config_map(namespace, &name).await;
            references.config_maps.insert(name, found);
        }
        for name in secrets {
            let found = self.objects.secret(namespace, &name).await;
            references.secrets.insert(name, found);
        }
        let services = self.objects.service_variables(place.pod).map_err(config_error)?;
        let around = self.surroundings(place.pod_ips);
        build::build(place.pod, container, &references, &services, &around)
            .map_err(|error| config_error(error.to_string()))
    }

    /// What a pod's fields refer to beside the pod.
    pub fn surroundings(&self, pod_ips: &[String]) -> Surroundings {
        Surroundings {
            pod_ips: pod_ips.to_vec(),
            host_ips: self.settings.node_ips.clone(),
            allocatable: self.settings.allocatable.clone(),
        }
    }

    /// One more than that of the container before; after the runtime has lost it, one more than that of its log.
    fn restart_count(&self, place: &Place<'_>, container: &Container) -> u32 {
        match place.state.find(&container.name) {
            Some(status) => status.restart_count + 1,
            None => next_log_number(&self.settings.pod_log_folder(place.pod).join(&container.name)),
        }
    }

    /// Makes the log known where log collectors look for it, on a node whose logs stand at the usual place.
    fn link_log(&self, spec: &Pod, container: &Container, id: &str, log: &Path) {
        if self.settings.pod_logs != Path::new(crate::logs::DEFAULT_FOLDER) || !log.exists() {
            return;
        }
        let meta = &spec.metadata;
        let name = format!("{}_{}_{}-{id}.log", meta.name, meta.namespace, container.name);
        let folder = Path::new(crate::logs::LINKS_FOLDER);
        let link =
            || fs::create_dir_all(folder).and_then(|()| std::os::unix::fs::symlink(log, folder.join(&name)));
        if let Err(error) = link() {
            tracing::warn!(%error, link = name, "cannot link container log");
        }
    }
}

fn target_id(state: &PodState, name: &str) -> Result<String, StartError> {
    state
        .find(name)
        .map(|status| status.id.clone())
        .ok_or_else(|| StartError::new(CONFIG_ERROR, format!("unable to find target container {name}")))
}

fn next_log_number(folder: &Path) -> u32 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.split_once('.')?.0.parse::<u32>().ok()
    });
    numbers.max().map_or(0, |last| last + 1)
}

/// A probe's command with references to the variables whose values stand in the specification.
pub fn command_with_static_env(command: &[String], container: &Container) -> Vec<String> {
    let with_value = container.env.iter().filter(|variable| !variable.value.is_empty());
    let variables: BTreeMap<String, String> = with_value
        .map(|variable| (variable.name.clone(), variable.value.clone()))
        .collect();
    expansion::expand_all(command, &variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_go_on_counting() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(next_log_number(folder.path()), 0);
        for name in ["0.log", "3.log", "2.log.20260101-000000.gz", "noise"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(next_log_number(folder.path()), 4);
    }
}
