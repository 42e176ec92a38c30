//! Writing files whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::Error;

pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    write_with(path, text, 0o644)
}

/// For keys: readable by the owner only, from the first byte on.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    write_with(path, text, 0o600)
}

fn write_with(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&unfinished)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}
