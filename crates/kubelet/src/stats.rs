//! What the node, its pods and their containers use.
//!
//! - [`measure`] asks the runtime and the kernel.
//! - [`summary`] and [`text`] render it: the summary API, and the metrics that upstream takes from cAdvisor. Pure.
//!
//! Upstream: `pkg/kubelet/stats`, `metrics/collectors`.

pub mod summary;
pub mod text;

use crate::{
    cgroup::{hierarchy::Usage, pods::PodGroups},
    node::{machine::Disk, status::NodeFacts},
    runtime::labels,
};
use api::core::v1::Pod;
use cri_api::{Error, Runtime, v1};
use jiff::Timestamp;
use std::{borrow::Borrow, collections::HashMap};

#[derive(Debug, Clone, Default)]
pub struct ContainerUse {
    pub name: String,
    pub id: String,
    pub image: String,
    /// Unix nanoseconds.
    pub created_at: i64,
    pub cpu_nanos: u64,
    pub nano_cores: u64,
    pub working_set_bytes: u64,
    pub usage_bytes: u64,
    pub rss_bytes: u64,
    pub page_faults: u64,
    pub major_page_faults: u64,
    pub rootfs_bytes: u64,
    pub rootfs_inodes: u64,
}

#[derive(Debug, Clone, Default)]
pub struct PodUse {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub start_time: Option<Timestamp>,
    pub usage: Option<Usage>,
    pub containers: Vec<ContainerUse>,
}

#[derive(Debug, Clone, Default)]
pub struct Measured {
    pub node_name: String,
    pub time: Timestamp,
    pub boot_time: Option<Timestamp>,
    pub processors: i64,
    pub memory_bytes: u64,
    pub node: Usage,
    pub node_disk: Disk,
    pub image_disk: Disk,
    pub image_bytes: u64,
    pub pods: Vec<PodUse>,
}

/// Measures everything once.
pub async fn measure(
    runtime: &dyn Runtime,
    facts: &NodeFacts,
    groups: &PodGroups,
    pods: &[impl Borrow<Pod>],
    now: Timestamp,
) -> Result<Measured, Error> {
    let stats = runtime
        .list_container_stats(v1::ListContainerStatsRequest::default())
        .await?
        .stats;
    let listed = runtime
        .list_containers(v1::ListContainersRequest::default())
        .await?
        .containers;
    let images = runtime
        .image_fs_info(v1::ImageFsInfoRequest {})
        .await?
        .image_filesystems;
    let by_id: HashMap<&str, &v1::Container> = listed
        .iter()
        .map(|container| (container.id.as_str(), container))
        .collect();
    let mut by_pod: HashMap<String, Vec<ContainerUse>> = HashMap::new();
    for stat in &stats {
        let Some(attributes) = &stat.attributes else {
            continue;
        };
        let Some((uid, ..)) = labels::pod_identity(&attributes.labels) else {
            continue;
        };
        let listed = by_id.get(attributes.id.as_str()).copied();
        // The runtime also counts for containers that have ended.
        if listed.is_none_or(|container| container.state != i32::from(v1::ContainerState::ContainerRunning)) {
            continue;
        }
        by_pod.entry(uid).or_default().push(container(stat, listed));
    }
    let pods = pods
        .iter()
        .map(Borrow::borrow)
        .map(|pod: &Pod| PodUse {
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            start_time: pod.status.start_time.map(|time| time.timestamp()),
            usage: groups.usage(pod),
            containers: by_pod.remove(&pod.metadata.uid).unwrap_or_default(),
        })
        .filter(|pod| !pod.containers.is_empty())
        .collect();
    let disk = |path: &std::path::Path| Disk::of(path).unwrap_or_default();
    Ok(Measured {
        node_name: facts.node_name.clone(),
        time: now,
        boot_time: boot_time(),
        processors: facts.machine.processors,
        memory_bytes: facts.machine.memory_bytes.unsigned_abs(),
        node: node_usage(groups),
        node_disk: disk(&facts.root_dir),
        image_disk: disk(&facts.image_dir),
        image_bytes: images
            .iter()
            .filter_map(|fs| fs.used_bytes)
            .map(|bytes| bytes.value)
            .sum(),
        pods,
    })
}

fn container(stat: &v1::ContainerStats, listed: Option<&v1::Container>) -> ContainerUse {
    let value = |number: &Option<v1::UInt64Value>| number.map_or(0, |number| number.value);
    let attributes = stat.attributes.clone().unwrap_or_default();
    let (cpu, memory) = (stat.cpu.unwrap_or_default(), stat.memory.unwrap_or_default());
    let rootfs = stat.writable_layer.clone().unwrap_or_default();
    let working_set = value(&memory.working_set_bytes);
    ContainerUse {
        name: attributes
            .labels
            .get(labels::CONTAINER_NAME)
            .cloned()
            .unwrap_or_default(),
        id: attributes.id,
        image: listed
            .and_then(|container| container.image.as_ref())
            .map(|image| image.image.clone())
            .unwrap_or_default(),
        created_at: listed.map_or(0, |container| container.created_at),
        cpu_nanos: value(&cpu.usage_core_nano_seconds),
        nano_cores: value(&cpu.usage_nano_cores),
        working_set_bytes: working_set,
        usage_bytes: value(&memory.usage_bytes).max(working_set),
        rss_bytes: value(&memory.rss_bytes),
        page_faults: value(&memory.page_faults),
        major_page_faults: value(&memory.major_page_faults),
        rootfs_bytes: value(&rootfs.used_bytes),
        rootfs_inodes: value(&rootfs.inodes_used),
    }
}

/// What the whole machine uses. The root group has no memory controller on version 2; what the kernel says of the machine stands in.
pub fn node_usage(groups: &PodGroups) -> Usage {
    if let Some(usage) = groups.root_usage() {
        return usage;
    }
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |name: &str| {
        let mut lines = memory.lines().filter_map(|line| line.split_once(':'));
        let value = lines
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().trim_end_matches(" kB"));
        value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0) << 10
    };
    let used = bytes("MemTotal").saturating_sub(bytes("MemFree"));
    Usage {
        cpu_nanos: cpu_nanos().unwrap_or(0),
        memory_bytes: used,
        working_set_bytes: used.saturating_sub(bytes("Inactive(file)")),
        rss_bytes: bytes("AnonPages"),
        ..Usage::default()
    }
}

/// The time that all processors were busy, from `/proc/stat`.
fn cpu_nanos() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    let busy = ticks.iter().take(8).sum::<u64>() - idle;
    // The kernel reports in hundredths of a second to everyone.
    Some(busy * 10_000_000)
}

fn boot_time() -> Option<Timestamp> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    Timestamp::from_second(seconds).ok()
}
