//! Sets up, refreshes and tears down the volumes of pods. Upstream: `kubelet/volumemanager`.

use super::{
    atomic_writer,
    directory::{Plugin, Root, give_to_group},
    empty_dir, host_path, mount_table,
    payload::{self, File, Payload},
};
use crate::{
    env::{build::Missing, fields::Surroundings},
    objects::Objects,
};
use api::core::v1::{Pod, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeProjection};
use component_base::clock::Clock;
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The mode of a service account token: readable by the pod's user or group alone.
const TOKEN_MODE: u32 = 0o600;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object that the volume needs can't be had.
    #[error("{0}")]
    Lookup(String),
    #[error(transparent)]
    Payload(#[from] payload::Error),
    #[error(transparent)]
    EmptyDir(#[from] empty_dir::Error),
    #[error(transparent)]
    HostPath(#[from] host_path::Error),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("no volume plugin matched name {0:?}")]
    Unsupported(String),
}

/// A volume that is ready: where it is on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub path: PathBuf,
}

/// Ready volumes by name.
pub type ReadyVolumes = BTreeMap<String, Ready>;

pub struct Volumes {
    root: Root,
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    node_memory: i64,
}

impl Volumes {
    pub fn new(root: Root, objects: Arc<dyn Objects>, clock: Arc<dyn Clock>, node_memory: i64) -> Self {
        Self {
            root,
            objects,
            clock,
            node_memory,
        }
    }

    /// Brings every volume of the pod up to date; safe to call as often as one likes. On failure names the volume.
    pub async fn set_up(&self, pod: &Pod, around: &Surroundings) -> Result<ReadyVolumes, (String, Error)> {
        let mut ready = ReadyVolumes::new();
        for volume in &pod.spec.volumes {
            let path = self
                .set_up_one(pod, volume, around)
                .await
                .map_err(|error| (volume.name.clone(), error))?;
            ready.insert(volume.name.clone(), Ready { path });
        }
        Ok(ready)
    }

    async fn set_up_one(&self, pod: &Pod, volume: &Volume, around: &Surroundings) -> Result<PathBuf, Error> {
        let source = &volume.volume_source;
        let path = |plugin| self.root.volume(&pod.metadata.uid, plugin, &volume.name);
        if let Some(host) = &source.host_path {
            host_path::check(&host.path, host.type_.as_deref().unwrap_or_default())?;
            return Ok(PathBuf::from(&host.path));
        }
        if let Some(empty) = &source.empty_dir {
            let path = path(Plugin::EmptyDir);
            let fresh = !path.exists();
            empty_dir::set_up(&path, empty, pod, self.node_memory)?;
            if fresh {
                self.give_to_group(pod, &path, false)?;
            }
            return Ok(path);
        }
        let (plugin, payload) = if let Some(config) = &source.config_map {
            let name = &config.local_object_reference.name;
            let optional = config.optional == Some(true);
            let payload = match self.config_map(pod, name, optional).await? {
                Some(object) => payload::config_map(&object, &config.items, config.default_mode, optional)?,
                None => Payload::new(),
            };
            (Plugin::ConfigMap, payload)
        } else if let Some(secret) = &source.secret {
            let optional = secret.optional == Some(true);
            let payload = match self.secret(pod, &secret.secret_name, optional).await? {
                Some(object) => payload::secret(&object, &secret.items, secret.default_mode, optional)?,
                None => Payload::new(),
            };
            (Plugin::Secret, payload)
        } else if let Some(downward) = &source.downward_api {
            let payload = payload::downward_api(&downward.items, pod, around, downward.default_mode)?;
            (Plugin::DownwardApi, payload)
        } else if let Some(projected) = &source.projected {
            (Plugin::Projected, self.projected(pod, projected, around).await?)
        } else {
            return Err(Error::Unsupported(volume.name.clone()));
        };
        let path = path(plugin);
        self.put(pod, plugin, &path, &payload)?;
        Ok(path)
    }

    async fn projected(
        &self,
        pod: &Pod,
        projected: &ProjectedVolumeSource,
        around: &Surroundings,
    ) -> Result<Payload, Error> {
        let mut payload = Payload::new();
        for source in &projected.sources {
            payload.extend(self.projection(pod, projected, source, around).await?);
        }
        Ok(payload)
    }

    async fn projection(
        &self,
        pod: &Pod,
        projected: &ProjectedVolumeSource,
        source: &VolumeProjection,
        around: &Surroundings,
    ) -> Result<Payload, Error> {
        let mode = projected.default_mode;
        if let Some(config) = &source.config_map {
            let optional = config.optional == Some(true);
            let object = self
                .config_map(pod, &config.local_object_reference.name, optional)
                .await?;
            return Ok(match object {
                Some(object) => payload::config_map(&object, &config.items, mode, optional)?,
                None => Payload::new(),
            });
        }
        if let Some(secret) = &source.secret {
            let optional = secret.optional == Some(true);
            let object = self
                .secret(pod, &secret.local_object_reference.name, optional)
                .await?;
            return Ok(match object {
                Some(object) => payload::secret(&object, &secret.items, mode, optional)?,
                None => Payload::new(),
            });
        }
        if let Some(downward) = &source.downward_api {
            return Ok(payload::downward_api(&downward.items, pod, around, mode)?);
        }
        if let Some(token) = &source.service_account_token {
            return self.token(pod, token, mode).await;
        }
        Err(Error::Unsupported("projected".into()))
    }

    async fn token(
        &self,
        pod: &Pod,
        projection: &ServiceAccountTokenProjection,
        default_mode: Option<i32>,
    ) -> Result<Payload, Error> {
        let token = self.objects.token(pod, projection).await.map_err(Error::Lookup)?;
        let (mode, owner) = token_access(pod, default_mode);
        Ok([(
            projection.path.clone(),
            File {
                data: token.into_bytes(),
                mode,
                owner,
            },
        )]
        .into())
    }

    async fn config_map(
        &self,
        pod: &Pod,
        name: &str,
        optional: bool,
    ) -> Result<Option<Arc<api::core::v1::ConfigMap>>, Error> {
        present(
            self.objects.config_map(&pod.metadata.namespace, name).await,
            optional,
        )
    }

    async fn secret(
        &self,
        pod: &Pod,
        name: &str,
        optional: bool,
    ) -> Result<Option<Arc<api::core::v1::Secret>>, Error> {
        present(self.objects.secret(&pod.metadata.namespace, name).await, optional)
    }

    fn put(&self, pod: &Pod, plugin: Plugin, path: &Path, payload: &Payload) -> Result<(), Error> {
        let stamp = self.clock.now().as_nanosecond().to_string();
        let write = || {
            if fs::metadata(path).is_err() {
                fs::create_dir_all(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
            }
            if plugin.in_memory() {
                mount_table::ensure_tmpfs(path, "size=64m,mode=0777")?;
            }
            atomic_writer::write(path, payload, &stamp, |folder| match group(pod) {
                // Pods only read what the kubelet writes; the kubelet itself is not held by modes.
                Some(gid) => give_to_group(folder, gid, true),
                None => Ok(()),
            })
        };
        match write() {
            Ok(_) => Ok(()),
            Err(source) => Err(Error::Io {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    fn give_to_group(&self, pod: &Pod, path: &Path, read_only: bool) -> Result<(), Error> {
        match group(pod) {
            Some(gid) => give_to_group(path, gid, read_only).map_err(|source| Error::Io {
                path: path.to_path_buf(),
                source,
            }),
            None => Ok(()),
        }
    }

    /// Unmounts and removes everything of a pod that no longer runs.
    pub async fn tear_down(&self, uid: &str) -> io::Result<()> {
        let folder = self.root.pod(uid);
        // Removing may take long when volumes are large.
        tokio::task::spawn_blocking(move || {
            mount_table::unmount_below(&folder)?;
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
        .await?
    }

    pub fn root(&self) -> &Root {
        &self.root
    }
}

fn group(pod: &Pod) -> Option<u32> {
    let gid = pod.spec.security_context.as_ref()?.fs_group?;
    u32::try_from(gid).ok()
}

fn present<T>(found: Result<Arc<T>, Missing>, optional: bool) -> Result<Option<Arc<T>>, Error> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(Missing::NotFound(_)) if optional => Ok(None),
        Err(Missing::NotFound(message) | Missing::Failed(message)) => Err(Error::Lookup(message)),
    }
}

/// A token is for the pod's user when all containers run as one, for its group when it has one, otherwise as asked.
fn token_access(pod: &Pod, default_mode: Option<i32>) -> (u32, Option<u32>) {
    if group(pod).is_some() {
        return (TOKEN_MODE, None);
    }
    let mut users = crate::pod::all_containers(pod).map(|c| crate::security::effective(pod, &c).run_as_user);
    match users.next().flatten() {
        Some(first) if users.all(|user| user == Some(first)) => (TOKEN_MODE, u32::try_from(first).ok()),
        _ => (payload::mode(None, default_mode), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[test]
    fn tokens_are_readable_by_those_who_need_them() {
        let access = |spec: &str| {
            let pod = Pod::from_json(format!(r#"{{"spec":{spec}}}"#).as_bytes()).unwrap();
            token_access(&pod, Some(0o644))
        };
        assert_eq!(access(r#"{"containers":[{"name":"a"}]}"#), (0o644, None));
        assert_eq!(
            access(r#"{"securityContext":{"fsGroup":5},"containers":[{"name":"a"}]}"#),
            (0o600, None)
        );
        assert_eq!(
            access(r#"{"securityContext":{"runAsUser":7},"containers":[{"name":"a"}]}"#),
            (0o600, Some(7))
        );
        let mixed = r#"{"securityContext":{"runAsUser":7},
            "containers":[{"name":"a"},{"name":"b","securityContext":{"runAsUser":8}}]}"#;
        assert_eq!(access(mixed), (0o644, None));
    }
}
