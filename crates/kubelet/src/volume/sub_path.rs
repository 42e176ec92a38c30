//! Mounts a part of a volume. The volume's content belongs to the pod's users, who may place links in it that lead to
//! the node's files: the kernel resolves the path and refuses to leave the volume. Upstream: `pkg/volume/util/subpath`.

use super::mount_table;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{Mode, mkdirat},
};
use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Opens `path` beneath `volume` as a handle that only serves to mount it.
fn open_beneath(volume: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(volume, path, how)
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::File::open(path)?.into())
}

/// Opens the path, making the folders on its way that don't exist.
fn open_or_make(volume: &OwnedFd, path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    match open_beneath(volume, path) {
        Err(Errno::ENOENT) => {}
        result => return Ok(result?),
    }
    let mut so_far = PathBuf::new();
    for part in path.components() {
        let parent = if so_far.as_os_str().is_empty() {
            Path::new(".")
        } else {
            so_far.as_path()
        };
        let parent = open_beneath(volume, parent)?;
        match mkdirat(parent.as_fd(), part.as_os_str(), mode) {
            Err(error) if error != Errno::EEXIST => return Err(error.into()),
            _ => so_far.push(part),
        }
    }
    Ok(open_beneath(volume, path)?)
}

/// Makes the part of the volume available at `target`, and returns once it is mounted there.
pub fn mount(volume: &Path, sub_path: &Path, target: &Path) -> io::Result<()> {
    if mount_table::is_mount_point(target)? {
        return Ok(());
    }
    let root = open_folder(volume)?;
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        Mode::from_bits_truncate(fs::metadata(volume)?.permissions().mode() & 0o777)
    };
    let handle = open_or_make(&root, sub_path, mode)?;
    let source = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    // A mount needs something of its own kind to cover.
    if fs::metadata(&source)?.is_dir() {
        fs::create_dir_all(target)?;
    } else if fs::symlink_metadata(target).is_err() {
        fs::File::create(target)?;
    }
    mount_table::bind(&source, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_don_t_lead_out() {
        let volume = tempfile::tempdir().unwrap();
        fs::create_dir(volume.path().join("in")).unwrap();
        std::os::unix::fs::symlink("in", volume.path().join("good")).unwrap();
        std::os::unix::fs::symlink("/etc", volume.path().join("bad")).unwrap();
        std::os::unix::fs::symlink("../..", volume.path().join("worse")).unwrap();
        let root = open_folder(volume.path()).unwrap();
        let open = |path: &str| open_or_make(&root, Path::new(path), Mode::S_IRWXU).is_ok();
        assert!(open("in") && open("good"));
        assert!(!open("bad") && !open("bad/passwd") && !open("worse") && !open("../x"));
        assert!(open("new/deep"));
        assert!(volume.path().join("new/deep").is_dir());
        assert!(!open("worse/made"));
    }
}
