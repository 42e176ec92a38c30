//! Keeps container logs within their size. Upstream: `kubelet/logs/container_log_manager.go`.

use cri_api::{Runtime, v1};
use flate2::{Compression, write::GzEncoder};
use jiff::{Timestamp, tz::TimeZone};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

const COMPRESSED: &str = ".gz";
const TEMPORARY: &str = ".tmp";

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub max_bytes: u64,
    /// Including the current one.
    pub max_files: usize,
}

/// Rotates the logs of all running containers that have grown too large.
pub async fn rotate_all(
    runtime: &Arc<dyn Runtime>,
    limits: Limits,
    now: Timestamp,
) -> Result<(), cri_api::Error> {
    let running = Some(v1::ContainerStateValue {
        state: v1::ContainerState::ContainerRunning.into(),
    });
    let filter = Some(v1::ContainerFilter {
        state: running,
        ..Default::default()
    });
    for container in runtime
        .list_containers(v1::ListContainersRequest { filter })
        .await?
        .containers
    {
        let request = v1::ContainerStatusRequest {
            container_id: container.id.clone(),
            verbose: false,
        };
        let path = match runtime.container_status(request).await {
            Ok(response) => PathBuf::from(response.status.map(|status| status.log_path).unwrap_or_default()),
            Err(error) => {
                tracing::debug!(container = %container.id, %error, "no status of a container whose log to rotate");
                continue;
            }
        };
        let too_large = fs::metadata(&path).is_ok_and(|meta| meta.len() >= limits.max_bytes);
        if too_large && let Err(error) = rotate(runtime, &container.id, &path, limits, now).await {
            tracing::warn!(path = %path.display(), %error, "cannot rotate container log");
        }
    }
    Ok(())
}

async fn rotate(
    runtime: &Arc<dyn Runtime>,
    id: &str,
    path: &Path,
    limits: Limits,
    now: Timestamp,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let older = tidy(path, limits.max_files)?;
    tokio::task::spawn_blocking(move || older.iter().try_for_each(|path| compress(path))).await??;
    let stamp = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S");
    let rotated = PathBuf::from(format!("{}.{stamp}", path.display()));
    fs::rename(path, &rotated)?;
    let reopened = runtime
        .reopen_container_log(v1::ReopenContainerLogRequest {
            container_id: id.to_owned(),
        })
        .await;
    if let Err(error) = reopened {
        // The container still writes to the old file: put it back rather than lose what follows.
        fs::rename(&rotated, path)?;
        return Err(error.into());
    }
    Ok(())
}

/// Removes leftovers and the oldest files, so that there is room for one more; gives those that are left uncompressed.
fn tidy(path: &Path, max_files: usize) -> io::Result<Vec<PathBuf>> {
    let mut rotated = rotated_logs(path)?;
    for leftover in rotated.extract_if(.., |name| name.to_string_lossy().ends_with(TEMPORARY)) {
        fs::remove_file(leftover)?;
    }
    rotated.sort();
    // The current file and the one that it becomes take two places.
    let keep = max_files.saturating_sub(2);
    let excess = rotated.len().saturating_sub(keep);
    for oldest in rotated.drain(..excess) {
        fs::remove_file(oldest)?;
    }
    rotated.retain(|name| !name.to_string_lossy().ends_with(COMPRESSED));
    Ok(rotated)
}

/// The earlier files of a log.
pub fn rotated_logs(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn compress(path: &Path) -> io::Result<()> {
    let temporary = PathBuf::from(format!("{}{TEMPORARY}", path.display()));
    let mut encoder = GzEncoder::new(fs::File::create(&temporary)?, Compression::default());
    io::copy(&mut fs::File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    fs::rename(&temporary, format!("{}{COMPRESSED}", path.display()))?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_so_many_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        for name in [
            "0.log",
            "0.log.1",
            "0.log.2",
            "0.log.3.gz",
            "0.log.4",
            "0.log.5.tmp",
            "1.log",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let left = tidy(&path, 4).unwrap();
        assert_eq!(left, [folder.path().join("0.log.4")]);
        compress(&left[0]).unwrap();
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["0.log", "0.log.3.gz", "0.log.4.gz", "1.log"]);
    }
}
