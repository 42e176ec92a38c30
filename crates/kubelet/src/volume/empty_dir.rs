//! Folders that live as long as their pod, on disk or in memory. Upstream: `pkg/volume/emptydir`.

use super::mount_table;
use api::core::v1::{EmptyDirVolumeSource, Pod};
use apimachinery::quantity::Quantity;
use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// Anyone in the pod may write.
const MODE: u32 = 0o777;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unknown storage medium {0:?}")]
    Medium(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub fn set_up(path: &Path, source: &EmptyDirVolumeSource, pod: &Pod, node_memory: i64) -> Result<(), Error> {
    fs::create_dir_all(path)?;
    match source.medium.as_str() {
        "" => {}
        "Memory" => {
            mount_table::ensure_tmpfs(path, &format!("size={}", memory_size(source, pod, node_memory)))?
        }
        other => return Err(Error::Medium(other.to_owned())),
    }
    if fs::metadata(path)?.permissions().mode() & MODE != MODE {
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    }
    Ok(())
}

/// No larger than the volume's own limit, what the pod may use, and what the node offers.
pub fn memory_size(source: &EmptyDirVolumeSource, pod: &Pod, node_memory: i64) -> i64 {
    let own = source
        .size_limit
        .as_ref()
        .map(Quantity::value)
        .filter(|bytes| *bytes > 0);
    let every_container_limited = pod
        .spec
        .containers
        .iter()
        .all(|container| container.resources.limits.contains_key("memory"));
    let of_pod = api::pod_requests::pod_limits(pod)
        .get("memory")
        .map(Quantity::value);
    let of_pod = of_pod.filter(|bytes| every_container_limited && *bytes > 0);
    [own, of_pod].into_iter().flatten().fold(node_memory, i64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[test]
    fn memory_is_bounded_by_the_smallest_limit() {
        let size = |source: &str, spec: &str| {
            let source = EmptyDirVolumeSource::from_json(source.as_bytes()).unwrap();
            let pod = Pod::from_json(format!(r#"{{"spec":{spec}}}"#).as_bytes()).unwrap();
            memory_size(&source, &pod, 1000)
        };
        let limited = r#"{"containers":[{"name":"a","resources":{"limits":{"memory":"500"}}}]}"#;
        let partly = r#"{"containers":[{"name":"a","resources":{"limits":{"memory":"500"}}},{"name":"b"}]}"#;
        assert_eq!(size("{}", r#"{"containers":[{"name":"a"}]}"#), 1000);
        assert_eq!(size("{}", limited), 500);
        assert_eq!(size("{}", partly), 1000);
        assert_eq!(size(r#"{"sizeLimit":"200"}"#, limited), 200);
    }
}
