//! Where a pod's files stand under the kubelet's root, and who may use them. Upstream: `kubelet_getters.go`,
//! `pkg/volume/volume_linux.go`.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

/// Group read and write, for a volume that may be written.
const READ_WRITE: u32 = 0o660;
const READ_ONLY: u32 = 0o440;
/// Folders also get traversal, and pass their group on to what is made in them.
const FOLDER: u32 = 0o2110;

/// The kubelet's folders; upstream's names, so that either kubelet finds what the other left.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

/// What kind of volume a folder holds, by the name of upstream's plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    EmptyDir,
    ConfigMap,
    Secret,
    DownwardApi,
    Projected,
}

impl Plugin {
    fn folder(self) -> &'static str {
        match self {
            Self::EmptyDir => "kubernetes.io~empty-dir",
            Self::ConfigMap => "kubernetes.io~configmap",
            Self::Secret => "kubernetes.io~secret",
            Self::DownwardApi => "kubernetes.io~downward-api",
            Self::Projected => "kubernetes.io~projected",
        }
    }

    /// Secrets stay off the disk.
    pub fn in_memory(self) -> bool {
        matches!(self, Self::Secret | Self::DownwardApi | Self::Projected)
    }
}

impl Root {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn pods(&self) -> PathBuf {
        self.path.join("pods")
    }

    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    pub fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    pub fn volume(&self, uid: &str, plugin: Plugin, name: &str) -> PathBuf {
        self.volumes(uid).join(plugin.folder()).join(name)
    }

    pub fn sub_paths(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volume-subpaths")
    }

    pub fn etc_hosts(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    /// The folder of a container's own files, of which termination messages are the only ones.
    pub fn container(&self, uid: &str, container: &str) -> PathBuf {
        self.pod(uid).join("containers").join(container)
    }

    pub fn seccomp(&self) -> PathBuf {
        self.path.join("seccomp")
    }

    /// Makes the folders that every pod has.
    pub fn make_pod(&self, uid: &str) -> io::Result<()> {
        for path in [self.pod(uid), self.volumes(uid), self.pod(uid).join("plugins")] {
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o750))?;
        }
        Ok(())
    }

    /// The uids of pods that have a folder.
    pub fn pod_uids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.pods())
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

/// Gives everything in the folder to the pod's group.
pub fn give_to_group(path: &Path, gid: u32, read_only: bool) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    lchown(path, None, Some(gid))?;
    if meta.file_type().is_symlink() {
        return Ok(());
    }
    let mut bits = if read_only { READ_ONLY } else { READ_WRITE };
    if meta.is_dir() {
        bits |= FOLDER;
        for entry in fs::read_dir(path)? {
            give_to_group(&entry?.path(), gid, read_only)?;
        }
    }
    // Changing the group drops the set-group bit, so the mode comes after.
    fs::set_permissions(path, fs::Permissions::from_mode(meta.mode() & 0o7777 | bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_upstream_s_names() {
        let root = Root::new("/var/lib/kubelet");
        assert_eq!(
            root.volume("u", Plugin::Projected, "token").to_str(),
            Some("/var/lib/kubelet/pods/u/volumes/kubernetes.io~projected/token")
        );
        assert_eq!(
            root.etc_hosts("u").to_str(),
            Some("/var/lib/kubelet/pods/u/etc-hosts")
        );
    }

    #[test]
    fn a_group_gets_access() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "").unwrap();
        // The own group can be given by anyone.
        let gid = fs::metadata(&file).unwrap().gid();
        for (before, read_only, after) in [(0o440, true, 0o440), (0o600, true, 0o640), (0o600, false, 0o660)]
        {
            fs::set_permissions(&file, fs::Permissions::from_mode(before)).unwrap();
            give_to_group(folder.path(), gid, read_only).unwrap();
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, after);
        }
        assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o2770, 0o2770);
    }
}
