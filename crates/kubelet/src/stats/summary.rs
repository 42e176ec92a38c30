//! The summary API, `/stats/summary`. Upstream: `kubelet/pkg/apis/stats/v1alpha1`.

use super::{ContainerUse, Measured, PodUse};
use crate::{cgroup::hierarchy::Usage, node::machine::Disk};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn cpu(time: Timestamp, nanos: u64, nano_cores: u64) -> Value {
    let mut cpu = json!({ "time": stamp(time), "usageCoreNanoSeconds": nanos });
    if nano_cores > 0 {
        cpu["usageNanoCores"] = nano_cores.into();
    }
    cpu
}

fn group_cpu(time: Timestamp, usage: &Usage) -> Value {
    cpu(time, usage.cpu_nanos, 0)
}

fn group_memory(time: Timestamp, usage: &Usage, total: Option<u64>) -> Value {
    let mut memory = json!({
        "time": stamp(time),
        "usageBytes": usage.memory_bytes,
        "workingSetBytes": usage.working_set_bytes,
        "rssBytes": usage.rss_bytes,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_page_faults,
    });
    if let Some(limit) = usage.memory_limit.or(total) {
        memory["availableBytes"] = limit.saturating_sub(usage.working_set_bytes).into();
    }
    memory
}

fn disk(time: Timestamp, disk: Disk, used: Option<u64>) -> Value {
    json!({
        "time": stamp(time),
        "availableBytes": disk.available_bytes,
        "capacityBytes": disk.total_bytes,
        "usedBytes": used.unwrap_or(disk.total_bytes.saturating_sub(disk.available_bytes)),
        "inodesFree": disk.inodes_free,
        "inodes": disk.inodes,
        "inodesUsed": disk.inodes.saturating_sub(disk.inodes_free),
    })
}

fn container(time: Timestamp, image_disk: Disk, container: &ContainerUse) -> Value {
    let started = Timestamp::from_nanosecond(i128::from(container.created_at)).unwrap_or(time);
    let mut rootfs = disk(time, image_disk, Some(container.rootfs_bytes));
    rootfs["inodesUsed"] = container.rootfs_inodes.into();
    json!({
        "name": container.name,
        "startTime": stamp(started),
        "cpu": cpu(time, container.cpu_nanos, container.nano_cores),
        "memory": {
            "time": stamp(time),
            "usageBytes": container.usage_bytes,
            "workingSetBytes": container.working_set_bytes,
            "rssBytes": container.rss_bytes,
            "pageFaults": container.page_faults,
            "majorPageFaults": container.major_page_faults,
        },
        "rootfs": rootfs,
    })
}

fn pod(measured: &Measured, pod: &PodUse) -> Value {
    let time = measured.time;
    let mut document = Map::new();
    document.insert(
        "podRef".into(),
        json!({ "name": pod.name, "namespace": pod.namespace, "uid": pod.uid }),
    );
    if let Some(started) = pod.start_time {
        document.insert("startTime".into(), stamp(started).into());
    }
    let containers = pod
        .containers
        .iter()
        .map(|one| container(time, measured.image_disk, one));
    document.insert("containers".into(), containers.collect());
    if let Some(usage) = &pod.usage {
        document.insert("cpu".into(), group_cpu(time, usage));
        document.insert("memory".into(), group_memory(time, usage, None));
        document.insert(
            "process_stats".into(),
            json!({ "process_count": usage.processes }),
        );
    }
    Value::Object(document)
}

pub fn document(measured: &Measured) -> Value {
    let time = measured.time;
    let mut node = json!({
        "nodeName": measured.node_name,
        "cpu": group_cpu(time, &measured.node),
        "memory": group_memory(time, &measured.node, Some(measured.memory_bytes)),
        "fs": disk(time, measured.node_disk, None),
        "runtime": {
            "imageFs": disk(time, measured.image_disk, Some(measured.image_bytes)),
            "containerFs": disk(time, measured.image_disk, None),
        },
    });
    if let Some(booted) = measured.boot_time {
        node["startTime"] = stamp(booted).into();
    }
    json!({ "node": node, "pods": measured.pods.iter().map(|one| pod(measured, one)).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_what_the_limit_leaves() {
        let usage = Usage {
            memory_limit: Some(100),
            working_set_bytes: 30,
            ..Usage::default()
        };
        assert_eq!(
            group_memory(Timestamp::UNIX_EPOCH, &usage, Some(1000))["availableBytes"],
            70
        );
        let usage = Usage {
            memory_limit: None,
            ..usage
        };
        assert_eq!(
            group_memory(Timestamp::UNIX_EPOCH, &usage, Some(1000))["availableBytes"],
            970
        );
        assert!(
            group_memory(Timestamp::UNIX_EPOCH, &usage, None)
                .get("availableBytes")
                .is_none()
        );
    }
}
