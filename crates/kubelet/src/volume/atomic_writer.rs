//! Files that change all at once: they live in a timestamped folder, `..data` links to it, and each visible name
//! links through `..data`. Replacing that one link swaps everything. Upstream: `pkg/volume/util/atomic_writer.go`.

use super::payload::Payload;
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";
/// The mode of the folders that the writer makes; ownership by group is set on top.
const FOLDER_MODE: u32 = 0o755;

/// Makes the folder hold exactly the payload. Returns whether anything changed. `stamp` names the new version and must
/// differ from call to call; `prepare` is given the new version's folder before it becomes visible.
pub fn write(
    target: &Path,
    payload: &Payload,
    stamp: &str,
    prepare: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<bool> {
    let current = current_version(target)?;
    let stale = stale_names(target, payload)?;
    if stale.is_empty() && current.as_deref().is_some_and(|folder| holds(folder, payload)) {
        return Ok(false);
    }
    let name = format!("..{stamp}");
    let folder = target.join(&name);
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(FOLDER_MODE))?;
    write_files(&folder, payload)?;
    prepare(&folder)?;
    let new_link = target.join(NEW_DATA);
    remove_if_present(&new_link)?;
    symlink(&name, &new_link)?;
    fs::rename(&new_link, target.join(DATA))?;
    link_names(target, payload)?;
    for name in stale {
        remove_if_present(&target.join(name))?;
    }
    if let Some(old) = current.filter(|old| old != &folder) {
        fs::remove_dir_all(old)?;
    }
    Ok(true)
}

fn current_version(target: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_link(target.join(DATA)) {
        Ok(name) => Ok(Some(target.join(name))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Visible names that the payload no longer has.
fn stale_names(target: &Path, payload: &Payload) -> io::Result<Vec<String>> {
    let wanted: BTreeSet<&str> = payload.keys().map(|path| first_part(path)).collect();
    let mut stale = Vec::new();
    for entry in fs::read_dir(target)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(name.as_str()) {
            stale.push(name);
        }
    }
    Ok(stale)
}

fn first_part(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn holds(folder: &Path, payload: &Payload) -> bool {
    let same = payload.iter().all(|(path, file)| {
        let path = folder.join(path);
        let same_mode = fs::metadata(&path).is_ok_and(|meta| {
            let owner = file.owner.is_none_or(|owner| owner == meta.uid());
            // Group bits may have been widened for the pod's group.
            owner && meta.mode() & 0o707 == file.mode & 0o707
        });
        same_mode && fs::read(&path).is_ok_and(|data| data == file.data)
    });
    same && count_files(folder) == payload.len()
}

fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                count_files(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

fn write_files(folder: &Path, payload: &Payload) -> io::Result<()> {
    for (path, file) in payload {
        let full = folder.join(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&full, &file.data)?;
        // Set after writing, since the umask cuts the mode of a new file.
        fs::set_permissions(&full, fs::Permissions::from_mode(file.mode))?;
        if let Some(owner) = file.owner {
            chown(&full, Some(owner), None)?;
        }
    }
    Ok(())
}

fn link_names(target: &Path, payload: &Payload) -> io::Result<()> {
    for name in payload
        .keys()
        .map(|path| first_part(path))
        .collect::<BTreeSet<_>>()
    {
        let link = target.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    Ok(())
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::payload::File, *};

    fn payload(files: &[(&str, &str)]) -> Payload {
        files
            .iter()
            .map(|(path, data)| {
                (
                    (*path).to_owned(),
                    File {
                        data: data.as_bytes().to_vec(),
                        mode: 0o640,
                        owner: None,
                    },
                )
            })
            .collect()
    }

    fn put(target: &Path, files: &[(&str, &str)], stamp: &str) -> bool {
        write(target, &payload(files), stamp, |_| Ok(())).unwrap()
    }

    fn names(target: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(target)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writes_changes_and_removes() {
        let target = tempfile::tempdir().unwrap();
        let path = target.path();
        assert!(put(path, &[("a", "1"), ("d/b", "2")], "one"));
        assert_eq!(names(path), ["..data", "..one", "a", "d"]);
        assert_eq!(fs::read_to_string(path.join("d/b")).unwrap(), "2");
        assert_eq!(fs::metadata(path.join("a")).unwrap().mode() & 0o777, 0o640);
        assert!(!put(path, &[("a", "1"), ("d/b", "2")], "two"), "nothing to do");
        assert!(put(path, &[("a", "1x"), ("c", "3")], "three"));
        assert_eq!(names(path), ["..data", "..three", "a", "c"]);
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "1x");
        assert!(put(path, &[("a", "1x")], "four"), "a file less is a change");
        assert_eq!(names(path), ["..data", "..four", "a"]);
        assert!(put(path, &[], "five"));
        assert_eq!(names(path), ["..data", "..five"]);
    }
}
