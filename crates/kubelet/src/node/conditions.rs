//! The node's conditions. Pure. Upstream: `nodestatus/setters.go`.

use crate::eviction::pressure::Condition;
use api::core::v1::NodeCondition;
use apimachinery::time::Time;

struct Words {
    pressure: Condition,
    bad_reason: &'static str,
    bad: &'static str,
    good_reason: &'static str,
    good: &'static str,
}

const PRESSURES: [Words; 3] = [
    Words {
        pressure: Condition::Memory,
        bad_reason: "KubeletHasInsufficientMemory",
        bad: "kubelet has insufficient memory available",
        good_reason: "KubeletHasSufficientMemory",
        good: "kubelet has sufficient memory available",
    },
    Words {
        pressure: Condition::Disk,
        bad_reason: "KubeletHasDiskPressure",
        bad: "kubelet has disk pressure",
        good_reason: "KubeletHasNoDiskPressure",
        good: "kubelet has no disk pressure",
    },
    Words {
        pressure: Condition::Pid,
        bad_reason: "KubeletHasInsufficientPID",
        bad: "kubelet has insufficient PID available",
        good_reason: "KubeletHasSufficientPID",
        good: "kubelet has sufficient PID available",
    },
];

/// The kubelet's conditions in upstream's order, with the transition times of those that stay as they were. `problems`
/// are what keeps the node from running pods.
pub fn conditions(
    problems: &[String],
    pressures: &[Condition],
    old: &[NodeCondition],
    now: Time,
) -> Vec<NodeCondition> {
    let mut conditions: Vec<NodeCondition> = PRESSURES
        .iter()
        .map(|words| {
            let pressed = pressures.contains(&words.pressure);
            let (reason, message) = if pressed {
                (words.bad_reason, words.bad)
            } else {
                (words.good_reason, words.good)
            };
            condition(words.pressure.as_str(), pressed, reason, message.to_owned())
        })
        .collect();
    conditions.push(if problems.is_empty() {
        condition(
            "Ready",
            true,
            "KubeletReady",
            "kubelet is posting ready status".into(),
        )
    } else {
        condition("Ready", false, "KubeletNotReady", aggregate(problems))
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn now(second: i64) -> Time {
        Time::from(Timestamp::from_second(second).unwrap())
    }

    fn words(conditions: &[NodeCondition]) -> Vec<String> {
        conditions
            .iter()
            .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
            .collect()
    }

    #[test]
    fn a_healthy_node() {
        let conditions = conditions(&[], &[], &[], now(5));
        assert_eq!(
            words(&conditions),
            [
                "MemoryPressure=False KubeletHasSufficientMemory",
                "DiskPressure=False KubeletHasNoDiskPressure",
                "PIDPressure=False KubeletHasSufficientPID",
                "Ready=True KubeletReady",
            ]
        );
        let later = super::conditions(&[], &[], &conditions, now(9));
        assert_eq!(
            (later[3].last_transition_time, later[3].last_heartbeat_time),
            (Some(now(5)), Some(now(9)))
        );
    }

    #[test]
    fn pressures_and_problems() {
        let problems = ["runtime is down".to_owned(), "PLEG is not healthy".to_owned()];
        let conditions = conditions(&problems, &[Condition::Memory, Condition::Disk], &[], now(5));
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
