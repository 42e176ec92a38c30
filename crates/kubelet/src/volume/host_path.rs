//! Files and folders of the node, checked to be what the pod expects. Upstream: `pkg/volume/hostpath`.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("hostPath type check failed: {path} is not a {expected}")]
    Mismatch { path: String, expected: &'static str },
    #[error("{0} is an invalid volume type")]
    Kind(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Checks the path, and makes it where its type says so.
pub fn check(path: &str, kind: &str) -> Result<(), Error> {
    let found = fs::metadata(path).ok().map(|meta| meta.file_type());
    let expect = |is: fn(&fs::FileType) -> bool, expected: &'static str| {
        if found.as_ref().is_some_and(is) {
            Ok(())
        } else {
            Err(Error::Mismatch {
                path: path.to_owned(),
                expected,
            })
        }
    };
    match kind {
        "" => Ok(()),
        "DirectoryOrCreate" if found.is_none() => {
            fs::create_dir_all(path)?;
            Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
        }
        "DirectoryOrCreate" | "Directory" => expect(fs::FileType::is_dir, "directory"),
        "FileOrCreate" if found.is_none() => {
            fs::File::create_new(Path::new(path))?;
            Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o644))?)
        }
        "FileOrCreate" | "File" => expect(fs::FileType::is_file, "file"),
        "Socket" => expect(fs::FileType::is_socket, "socket file"),
        "CharDevice" => expect(fs::FileType::is_char_device, "character device"),
        "BlockDevice" => expect(fs::FileType::is_block_device, "block device"),
        other => Err(Error::Kind(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_and_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        check(&path("d"), "DirectoryOrCreate").unwrap();
        check(&path("d"), "Directory").unwrap();
        check(&path("f"), "FileOrCreate").unwrap();
        check(&path("f"), "File").unwrap();
        check("/dev/null", "CharDevice").unwrap();
        check(&path("none"), "").unwrap();
        let error = check(&path("f"), "Directory").unwrap_err().to_string();
        assert_eq!(
            error,
            format!("hostPath type check failed: {} is not a directory", path("f"))
        );
        assert!(matches!(check(&path("d"), "Nonsense"), Err(Error::Kind(_))));
    }
}
