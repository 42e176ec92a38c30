//! The etcd servers at hand.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of etcd servers, separated by colons; instead of those that are found.
pub const VARIABLE: &str = "OXIKUBE_ETCD";

/// A server's executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    /// As it says itself, such as `3.4.23`.
    pub version: String,
}

/// Those that the variable names; else the machine's own, and the one that comes by cargo. Each version once.
pub fn programs() -> Vec<Program> {
    let mut found: Vec<Program> = Vec::new();
    for path in candidates() {
        match version(&path) {
            Some(version) if found.iter().any(|program| program.version == version) => {}
            Some(version) => found.push(Program { path, version }),
            None => println!("skipped: {} is no etcd that runs here", path.display()),
        }
    }
    if found.is_empty() {
        println!("skipped: no etcd is installed, and {VARIABLE} names none");
    }
    found
}

fn candidates() -> Vec<PathBuf> {
    if let Some(paths) = std::env::var_os(VARIABLE) {
        return std::env::split_paths(&paths)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
    }
    let mut found: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("etcd"))
        .find(|path| path.is_file())
        .into_iter()
        .collect();
    match etcd_bin_vendored::etcd_bin_path() {
        Ok(path) => found.push(path.to_owned()),
        Err(error) => println!("skipped: {error}"),
    }
    found
}

/// `etcd Version: 3.4.23` is the first line of what it prints.
fn version(path: &Path) -> Option<String> {
    let output = Command::new(path).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?;
    line.strip_prefix("etcd Version: ")
        .map(|version| version.trim().to_owned())
}
