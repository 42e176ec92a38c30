//! Pods that use more local storage than they may. Pure.

use super::load::{FileSystem, Layout, PodLoad};
use apimachinery::quantity::Quantity;

/// A limit that was broken, and what the pod's owner is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// As metrics name it.
    pub signal: &'static str,
    pub message: String,
}

const STORAGE: &str = "ephemeral-storage";

fn exceeds(used: u64, limit: &Quantity) -> bool {
    limit.sign() > 0 && i128::from(used) > i128::from(limit.value())
}

/// The first limit that the pod breaks: of a volume, of all its containers together, of a container.
pub fn broken(load: &PodLoad, layout: Layout) -> Option<Broken> {
    volume(load)
        .or_else(|| pod(load))
        .or_else(|| container(load, layout))
}

/// Whether the pod has limits for which its files have to be measured.
pub fn has_any(pod: &api::core::v1::Pod) -> bool {
    let sized = |volume: &api::core::v1::Volume| {
        volume
            .volume_source
            .empty_dir
            .as_ref()
            .is_some_and(|empty_dir| empty_dir.size_limit.is_some())
    };
    pod.spec.volumes.iter().any(sized) || api::pod_requests::pod_limits(pod).contains_key(STORAGE)
}

fn volume(load: &PodLoad) -> Option<Broken> {
    load.pod.spec.volumes.iter().find_map(|volume| {
        let limit = volume.volume_source.empty_dir.as_ref()?.size_limit.as_ref()?;
        let used = load.volumes.get(&volume.name)?;
        exceeds(used.bytes, limit).then(|| Broken {
            signal: "emptydirfs.limit",
            message: format!(
                "Usage of EmptyDir volume {:?} exceeds the limit {:?}. ",
                volume.name,
                limit.to_string()
            ),
        })
    })
}

fn pod(load: &PodLoad) -> Option<Broken> {
    let limits = api::pod_requests::pod_limits(&load.pod);
    let limit = limits.get(STORAGE)?;
    let mut used = load.files(FileSystem::Node, Layout::Dedicated);
    used.add(load.files(FileSystem::Image, Layout::Dedicated));
    exceeds(used.bytes, limit).then(|| Broken {
        signal: "ephemeralpodfs.limit",
        message: format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "),
    })
}

fn container(load: &PodLoad, layout: Layout) -> Option<Broken> {
    load.containers.iter().find_map(|measured| {
        let declared = load
            .pod
            .spec
            .containers
            .iter()
            .find(|container| container.name == measured.name)?;
        let limit = declared.resources.limits.get(STORAGE)?;
        let mut used = measured.logs.bytes;
        if layout == Layout::Shared {
            used += measured.rootfs.bytes;
        }
        exceeds(used, limit).then(|| Broken {
            signal: "ephemeralcontainerfs.limit",
            message: format!(
                "Container {} exceeded its local ephemeral storage limit {:?}. ",
                measured.name,
                limit.to_string()
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::load::{ContainerLoad, Files};
    use api::{Message, core::v1::Pod};
    use std::sync::Arc;

    fn check(volume: u64, rootfs: u64, logs: u64, layout: Layout, expected: Option<&str>) {
        let pod = br#"{"spec":{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Ki"}}],"containers":[
            {"name":"a","resources":{"limits":{"ephemeral-storage":"2Ki"}}},
            {"name":"b","resources":{"limits":{"ephemeral-storage":"1Ki"}}}]}}"#;
        let bytes = |bytes| Files { bytes, inodes: 1 };
        let load = PodLoad {
            pod: Arc::new(Pod::from_json(pod).unwrap()),
            containers: vec![ContainerLoad {
                name: "a".into(),
                rootfs: bytes(rootfs),
                logs: bytes(logs),
                ..ContainerLoad::default()
            }],
            volumes: [("v".to_owned(), bytes(volume))].into(),
            ..PodLoad::default()
        };
        assert!(has_any(&load.pod));
        let broken = broken(&load, layout);
        assert_eq!(broken.as_ref().map(|broken| broken.message.as_str()), expected);
    }

    #[test]
    fn of_volumes_pods_and_containers() {
        check(1024, 1024, 1024, Layout::Shared, None);
        check(
            1025,
            0,
            0,
            Layout::Shared,
            Some(r#"Usage of EmptyDir volume "v" exceeds the limit "1Ki". "#),
        );
        check(
            1024,
            1025,
            1024,
            Layout::Shared,
            Some("Pod ephemeral local storage usage exceeds the total limit of containers 3Ki. "),
        );
        check(
            0,
            2000,
            49,
            Layout::Shared,
            Some(r#"Container a exceeded its local ephemeral storage limit "2Ki". "#),
        );
        check(0, 2000, 49, Layout::Dedicated, None);
        assert!(!has_any(&Pod::default()));
    }
}
