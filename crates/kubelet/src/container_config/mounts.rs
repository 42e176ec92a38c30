//! The mounts of a container: its volumes, its hosts file, its message file. Upstream: `makeMounts`.

use crate::{
    env::expansion,
    hosts,
    settings::Settings,
    volume::{manager::ReadyVolumes, sub_path},
};
use api::core::v1::{Container, Pod, VolumeMount};
use cri_api::v1::{Mount, MountPropagation};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const ETC_HOSTS: &str = "/etc/hosts";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot find volume {volume:?} to mount into container {container:?}")]
    NoVolume { volume: String, container: String },
    #[error("subPathExpr {0:?} refers to a variable that is not set: {1}")]
    UnsetVariable(String, String),
    #[error("failed to prepare subPath for volumeMount {volume:?} of container {container:?}: {source}")]
    SubPath {
        volume: String,
        container: String,
        source: io::Error,
    },
    #[error(transparent)]
    Hosts(#[from] hosts::Error),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// What the mounts are made from.
pub struct Inputs<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub env: &'a [(String, String)],
    pub volumes: &'a ReadyVolumes,
    pub pod_ips: &'a [String],
    pub restart_count: u32,
}

pub fn make(inputs: &Inputs<'_>, settings: &Settings) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    for (index, mount) in inputs.container.volume_mounts.iter().enumerate() {
        mounts.push(of_volume(inputs, index, mount, settings)?);
    }
    let own_hosts = inputs
        .container
        .volume_mounts
        .iter()
        .any(|mount| mount.mount_path == ETC_HOSTS);
    if !inputs.pod_ips.is_empty() && !own_hosts {
        mounts.push(hosts_file(inputs, settings)?);
    }
    if !inputs.container.termination_message_path.is_empty() {
        mounts.push(message_file(inputs, settings)?);
    }
    Ok(mounts)
}

fn of_volume(
    inputs: &Inputs<'_>,
    index: usize,
    mount: &VolumeMount,
    settings: &Settings,
) -> Result<Mount, Error> {
    let container = &inputs.container.name;
    let ready = inputs.volumes.get(&mount.name).ok_or_else(|| Error::NoVolume {
        volume: mount.name.clone(),
        container: container.clone(),
    })?;
    let sub_path = sub_path_of(mount, inputs.env)?;
    let host_path = if sub_path.is_empty() {
        ready.path.clone()
    } else {
        let target = settings
            .root
            .sub_paths(&inputs.pod.metadata.uid)
            .join(&mount.name)
            .join(container);
        let target = target.join(index.to_string());
        sub_path::mount(&ready.path, Path::new(&sub_path), &target).map_err(|source| Error::SubPath {
            volume: mount.name.clone(),
            container: container.clone(),
            source,
        })?;
        target
    };
    Ok(Mount {
        container_path: absolute(&mount.mount_path),
        host_path: host_path.to_string_lossy().into_owned(),
        readonly: mount.read_only,
        propagation: propagation(mount.mount_propagation.as_deref()).into(),
        ..Mount::default()
    })
}

fn sub_path_of(mount: &VolumeMount, env: &[(String, String)]) -> Result<String, Error> {
    if mount.sub_path_expr.is_empty() {
        return Ok(mount.sub_path.clone());
    }
    let variables: BTreeMap<&str, &str> = env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for name in expansion::references(&mount.sub_path_expr) {
        if variables.get(name.as_str()).is_none_or(|value| value.is_empty()) {
            return Err(Error::UnsetVariable(mount.sub_path_expr.clone(), name));
        }
    }
    Ok(expansion::expand(&mount.sub_path_expr, |name| {
        variables.get(name).map(ToString::to_string)
    }))
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

fn propagation(mode: Option<&str>) -> MountPropagation {
    match mode {
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |source| Error::Io {
        path: path.to_path_buf(),
        source,
    }
}

fn hosts_file(inputs: &Inputs<'_>, settings: &Settings) -> Result<Mount, Error> {
    let spec = &inputs.pod.spec;
    let text = if spec.host_network {
        let node = fs::read_to_string(ETC_HOSTS).map_err(io_error(Path::new(ETC_HOSTS)))?;
        hosts::node_file(&node, &spec.host_aliases)
    } else {
        let (host, domain) = hosts::names(inputs.pod, &settings.dns.domain)?;
        hosts::managed_file(inputs.pod_ips, &host, &domain, &spec.host_aliases)
    };
    let path = settings.root.etc_hosts(&inputs.pod.metadata.uid);
    fs::write(&path, text).map_err(io_error(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(io_error(&path))?;
    let context = inputs.container.security_context.as_deref();
    Ok(Mount {
        container_path: ETC_HOSTS.into(),
        host_path: path.to_string_lossy().into_owned(),
        readonly: context.and_then(|context| context.read_only_root_filesystem) == Some(true),
        ..Mount::default()
    })
}

/// A file that any user of the container may write its last words to; one a start, since they belong to one run.
fn message_file(inputs: &Inputs<'_>, settings: &Settings) -> Result<Mount, Error> {
    let folder = settings
        .root
        .container(&inputs.pod.metadata.uid, &inputs.container.name);
    fs::create_dir_all(&folder).map_err(io_error(&folder))?;
    let path = folder.join(inputs.restart_count.to_string());
    fs::write(&path, "").map_err(io_error(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(io_error(&path))?;
    Ok(Mount {
        container_path: inputs.container.termination_message_path.clone(),
        host_path: path.to_string_lossy().into_owned(),
        ..Mount::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_paths_expand_only_what_is_set() {
        let mount = |expression: &str| VolumeMount {
            sub_path_expr: expression.into(),
            ..VolumeMount::default()
        };
        let env = [
            ("POD".to_owned(), "web-0".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ];
        assert_eq!(
            sub_path_of(&mount("logs/$(POD)"), &env).ok().as_deref(),
            Some("logs/web-0")
        );
        assert!(sub_path_of(&mount("$(NOPE)"), &env).is_err());
        assert!(sub_path_of(&mount("$(EMPTY)"), &env).is_err());
    }
}
