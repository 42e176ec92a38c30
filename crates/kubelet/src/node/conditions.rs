//! The node's conditions. Pure. Upstream: `nodestatus/setters.go`.

use super::{capacity::threshold_value, machine::Disk};
use crate::config::Config;
use api::core::v1::NodeCondition;
use apimachinery::time::Time;

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// What keeps the node from running pods.
    pub problems: Vec<String>,
    pub memory_total: u64,
    pub memory_available: u64,
    pub node_disk: Disk,
    pub image_disk: Disk,
    pub pids_max: i64,
    pub pids_used: i64,
}

struct Words {
    kind: &'static str,
    bad_reason: &'static str,
    bad: &'static str,
    good_reason: &'static str,
    good: &'static str,
}

const PRESSURES: [Words; 3] = [
    Words {
        kind: "MemoryPressure",
        bad_reason: "KubeletHasInsufficientMemory",
        bad: "kubelet has insufficient memory available",
        good_reason: "KubeletHasSufficientMemory",
        good: "kubelet has sufficient memory available",
    },
    Words {
        kind: "DiskPressure",
        bad_reason: "KubeletHasDiskPressure",
        bad: "kubelet has disk pressure",
        good_reason: "KubeletHasNoDiskPressure",
        good: "kubelet has no disk pressure",
    },
    Words {
        kind: "PIDPressure",
        bad_reason: "KubeletHasInsufficientPID",
        bad: "kubelet has insufficient PID available",
        good_reason: "KubeletHasSufficientPID",
        good: "kubelet has sufficient PID available",
    },
];

/// The kubelet's conditions in upstream's order, with the transition times of those that stay as they were.
pub fn conditions(
    measured: &Measured,
    config: &Config,
    old: &[NodeCondition],
    now: Time,
) -> Vec<NodeCondition> {
    let pressed = [
        memory_pressed(measured, config),
        disk_pressed(measured, config),
        pids_pressed(measured, config),
    ];
    let mut conditions: Vec<NodeCondition> = PRESSURES
        .iter()
        .zip(pressed)
        .map(|(words, pressed)| {
            let (reason, message) = if pressed {
                (words.bad_reason, words.bad)
            } else {
                (words.good_reason, words.good)
            };
            condition(words.kind, pressed, reason, message.to_owned())
        })
        .collect();
    conditions.push(if measured.problems.is_empty() {
        condition(
            "Ready",
            true,
            "KubeletReady",
            "kubelet is posting ready status".into(),
        )
    } else {
        condition("Ready", false, "KubeletNotReady", aggregate(&measured.problems))
    });
    for condition in &mut conditions {
        let before = old.iter().find(|other| other.type_ == condition.type_);
        condition.last_heartbeat_time = Some(now);
        condition.last_transition_time = match before {
            Some(before) if before.status == condition.status => before.last_transition_time.or(Some(now)),
            _ => Some(now),
        };
    }
    conditions
}

/// Several errors as Go prints them together.
fn aggregate(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

fn condition(kind: &str, status: bool, reason: &str, message: String) -> NodeCondition {
    NodeCondition {
        type_: kind.into(),
        status: if status { "True" } else { "False" }.into(),
        reason: reason.into(),
        message,
        ..NodeCondition::default()
    }
}

fn below(config: &Config, signal: &str, available: u64, total: u64) -> bool {
    config
        .eviction_hard
        .get(signal)
        .is_some_and(|threshold| available < threshold_value(threshold, total))
}

fn memory_pressed(measured: &Measured, config: &Config) -> bool {
    below(
        config,
        "memory.available",
        measured.memory_available,
        measured.memory_total,
    )
}

fn disk_pressed(measured: &Measured, config: &Config) -> bool {
    let (node, image) = (measured.node_disk, measured.image_disk);
    below(config, "nodefs.available", node.available_bytes, node.total_bytes)
        || below(config, "nodefs.inodesFree", node.inodes_free, node.inodes)
        || below(
            config,
            "imagefs.available",
            image.available_bytes,
            image.total_bytes,
        )
        || below(config, "imagefs.inodesFree", image.inodes_free, image.inodes)
}

fn pids_pressed(measured: &Measured, config: &Config) -> bool {
    let left = u64::try_from(measured.pids_max - measured.pids_used).unwrap_or(0);
    below(config, "pid.available", left, measured.pids_max.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn now(second: i64) -> Time {
        Time::from(Timestamp::from_second(second).unwrap())
    }

    fn healthy() -> Measured {
        let disk = Disk {
            total_bytes: 100,
            available_bytes: 90,
            inodes: 100,
            inodes_free: 90,
        };
        Measured {
            memory_total: 8 << 30,
            memory_available: 4 << 30,
            node_disk: disk,
            image_disk: disk,
            ..Measured::default()
        }
    }

    fn words(conditions: &[NodeCondition]) -> Vec<String> {
        conditions
            .iter()
            .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
            .collect()
    }

    #[test]
    fn a_healthy_node() {
        let conditions = conditions(&healthy(), &Config::default(), &[], now(5));
        assert_eq!(
            words(&conditions),
            [
                "MemoryPressure=False KubeletHasSufficientMemory",
                "DiskPressure=False KubeletHasNoDiskPressure",
                "PIDPressure=False KubeletHasSufficientPID",
                "Ready=True KubeletReady",
            ]
        );
        let later = super::conditions(&healthy(), &Config::default(), &conditions, now(9));
        assert_eq!(
            (later[3].last_transition_time, later[3].last_heartbeat_time),
            (Some(now(5)), Some(now(9)))
        );
    }

    #[test]
    fn pressures_and_problems() {
        let mut measured = healthy();
        measured.memory_available = 50 << 20;
        measured.image_disk.available_bytes = 10;
        measured.problems = vec!["runtime is down".into(), "PLEG is not healthy".into()];
        let conditions = conditions(&measured, &Config::default(), &[], now(5));
        assert_eq!(
            words(&conditions),
            [
                "MemoryPressure=True KubeletHasInsufficientMemory",
                "DiskPressure=True KubeletHasDiskPressure",
                "PIDPressure=False KubeletHasSufficientPID",
                "Ready=False KubeletNotReady",
            ]
        );
        assert_eq!(conditions[3].message, "[runtime is down, PLEG is not healthy]");
    }
}
