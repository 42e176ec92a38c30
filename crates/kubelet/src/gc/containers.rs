//! Removes dead containers, sandboxes and their logs.

use super::plan::{self, DeadContainer, DeadSandbox};
use crate::runtime::labels;
use cri_api::{Error, Runtime, v1};
use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc, time::Duration};

/// A container that was only just made may be about to start.
const MIN_AGE: Duration = Duration::from_secs(60);

pub struct ContainerGc {
    pub runtime: Arc<dyn Runtime>,
}

impl ContainerGc {
    /// One round. `is_gone` says of a pod's uid that nobody wants its containers any more; `now` is Unix time.
    pub async fn collect(
        &self,
        pod_logs: &Path,
        is_gone: impl Fn(&str) -> bool,
        now: Duration,
    ) -> Result<(), Error> {
        let containers = self
            .runtime
            .list_containers(v1::ListContainersRequest::default())
            .await?
            .containers;
        let running = i32::from(v1::ContainerState::ContainerRunning);
        let old_enough = |created_at: i64| {
            now.saturating_sub(Duration::from_nanos(u64::try_from(created_at).unwrap_or(0))) >= MIN_AGE
        };
        let dead: Vec<DeadContainer> = containers
            .iter()
            .filter(|container| container.state != running)
            .filter_map(|container| {
                let (pod_uid, ..) = labels::pod_identity(&container.labels)?;
                let name = container.labels.get(labels::CONTAINER_NAME)?.clone();
                Some(DeadContainer {
                    id: container.id.clone(),
                    pod_uid,
                    name,
                    created_at: container.created_at,
                })
            })
            .filter(|container| is_gone(&container.pod_uid) || old_enough(container.created_at))
            .collect();
        let remove = plan::containers(&dead, &is_gone);
        for id in &remove {
            self.remove_container(id).await;
        }
        self.collect_sandboxes(&containers, &remove, &is_gone).await?;
        if let Err(error) = remove_logs(pod_logs, &is_gone) {
            tracing::warn!(%error, "cannot remove logs of pods that are gone");
        }
        Ok(())
    }

    async fn remove_container(&self, id: &str) {
        let status = self.runtime.container_status(v1::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        });
        let log = status
            .await
            .ok()
            .and_then(|response| response.status)
            .map(|status| status.log_path)
            .unwrap_or_default();
        let removed = self
            .runtime
            .remove_container(v1::RemoveContainerRequest {
                container_id: id.to_owned(),
            })
            .await;
        match removed {
            Err(error) if !error.is_not_found() => tracing::warn!(id, %error, "cannot remove dead container"),
            _ => remove_log(Path::new(&log)),
        }
    }

    async fn collect_sandboxes(
        &self,
        containers: &[v1::Container],
        removed: &[String],
        is_gone: &impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let sandboxes = self
            .runtime
            .list_pod_sandbox(v1::ListPodSandboxRequest::default())
            .await?
            .items;
        let occupied: BTreeSet<&str> = containers
            .iter()
            .filter(|container| !removed.contains(&container.id))
            .map(|container| container.pod_sandbox_id.as_str())
            .collect();
        let ready = i32::from(v1::PodSandboxState::SandboxReady);
        let dead: Vec<DeadSandbox> = sandboxes
            .iter()
            .filter(|sandbox| sandbox.state != ready)
            .filter_map(|sandbox| {
                let (pod_uid, ..) = labels::pod_identity(&sandbox.labels)?;
                Some(DeadSandbox {
                    has_containers: occupied.contains(sandbox.id.as_str()),
                    id: sandbox.id.clone(),
                    pod_uid,
                    created_at: sandbox.created_at,
                })
            })
            .collect();
        for id in plan::sandboxes(&dead, is_gone) {
            let request = v1::RemovePodSandboxRequest {
                pod_sandbox_id: id.clone(),
            };
            match self.runtime.remove_pod_sandbox(request).await {
                Err(error) if !error.is_not_found() => {
                    tracing::warn!(id, %error, "cannot remove dead sandbox")
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Removes a log with its earlier files.
fn remove_log(path: &Path) {
    if path.as_os_str().is_empty() {
        return;
    }
    let mut files = crate::logs::rotate::rotated_logs(path).unwrap_or_default();
    files.push(path.to_path_buf());
    for file in files {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %file.display(), %error, "cannot remove container log");
            }
            _ => {}
        }
    }
}

/// Removes the log folders of pods that are gone, and links to logs that are.
fn remove_logs(pod_logs: &Path, is_gone: &impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(pod_logs)? {
        let entry = entry?;
        let name = entry.file_name();
        let uid = name
            .to_string_lossy()
            .rsplit('_')
            .next()
            .unwrap_or_default()
            .to_owned();
        if is_gone(&uid) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    if pod_logs == Path::new(crate::logs::DEFAULT_FOLDER) {
        for entry in fs::read_dir(crate::logs::LINKS_FOLDER)? {
            let path = entry?.path();
            if fs::metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}
