//! Measures pods' own files on the node's disk.

use super::load::{Files, PodLoad};
use crate::{
    settings::Settings,
    volume::directory::{Plugin, Root},
};
use api::core::v1::{Pod, Volume};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Bytes of a block as `stat` counts them.
const BLOCK: u64 = 512;

/// What is below a path, the path included. Files that go away meanwhile count for nothing.
pub fn below(path: &Path) -> Files {
    let mut files = Files::default();
    let mut left = vec![path.to_path_buf()];
    while let Some(path) = left.pop() {
        match fs::symlink_metadata(&path) {
            Ok(meta) => {
                files.add(Files {
                    bytes: meta.blocks() * BLOCK,
                    inodes: 1,
                });
                if meta.is_dir() {
                    left.extend(entries(&path));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::debug!(path = %path.display(), %error, "cannot measure"),
        }
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).collect()
}

/// Adds logs and volumes to what is known of a pod.
pub fn measure(load: &mut PodLoad, settings: &Settings) {
    let logs = settings.pod_log_folder(&load.pod);
    for container in &mut load.containers {
        container.logs = below(&logs.join(&container.name));
    }
    load.volumes = volumes(&load.pod, &settings.root);
}

/// Volumes that are folders on the kubelet's own file system.
fn volumes(pod: &Pod, root: &Root) -> BTreeMap<String, Files> {
    let uid = &pod.metadata.uid;
    let files = |volume: &Volume| {
        let plugin = plugin(volume)?;
        Some((
            volume.name.clone(),
            below(&root.volume(uid, plugin, &volume.name)),
        ))
    };
    pod.spec.volumes.iter().filter_map(files).collect()
}

fn plugin(volume: &Volume) -> Option<Plugin> {
    let on_disk = |medium: &str| medium.is_empty();
    if volume
        .volume_source
        .empty_dir
        .as_ref()
        .is_some_and(|source| on_disk(&source.medium))
    {
        Some(Plugin::EmptyDir)
    } else if volume.volume_source.config_map.is_some() {
        Some(Plugin::ConfigMap)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_counts_and_what_is_gone_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let before = below(folder.path());
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/f"), vec![1; 20_000]).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let after = below(folder.path());
        assert_eq!(after.inodes - before.inodes, 3);
        assert!(after.bytes - before.bytes >= 20_000 && after.bytes < 1 << 20);
        assert_eq!(below(&folder.path().join("absent")), Files::default());
    }
}
