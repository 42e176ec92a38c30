//! Mounts, and the kernel's table of them.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

fn io_error(error: nix::errno::Errno) -> io::Error {
    io::Error::from(error)
}

/// Mounts a file system in memory, unless one is there already.
pub fn ensure_tmpfs(target: &Path, options: &str) -> io::Result<()> {
    if is_mount_point(target)? {
        return Ok(());
    }
    mount(
        Some("tmpfs"),
        target,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options),
    )
    .map_err(io_error)
}

/// Makes `target` show what `source` shows, with the mounts below it.
pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    mount(
        Some(source),
        target,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )
    .map_err(io_error)
}

/// Unmounts, also what is busy: the mount disappears at once and is freed with its last user.
pub fn unmount(target: &Path) -> io::Result<()> {
    umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).map_err(io_error)
}

pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    Ok(mount_points()?.iter().any(|point| point == path))
}

/// All mount points, in the order of mounting.
pub fn mount_points() -> io::Result<Vec<PathBuf>> {
    Ok(parse(&fs::read_to_string("/proc/self/mountinfo")?))
}

/// Unmounts everything at or below a path, the last mount first.
pub fn unmount_below(path: &Path) -> io::Result<()> {
    for point in mount_points()?
        .iter()
        .rev()
        .filter(|point| point.starts_with(path))
    {
        unmount(point)?;
    }
    Ok(())
}

fn parse(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(unescape(point)))
        .collect()
}

/// The kernel writes blanks and backslashes as octal numbers.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
        {
            Some(byte) => {
                result.push(char::from(byte));
                result.push_str(&part[3..]);
            }
            None => {
                result.push('\\');
                result.push_str(part);
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_table() {
        let table = "22 1 0:20 / / rw - ext4 /dev/a rw\n30 22 0:25 / /mnt/a\\040b rw,nosuid shared:1 - tmpfs tmpfs rw\n";
        assert_eq!(parse(table), [PathBuf::from("/"), PathBuf::from("/mnt/a b")]);
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(is_mount_point(Path::new("/proc")).unwrap());
        assert!(!is_mount_point(Path::new("/proc/self")).unwrap());
    }
}
