//! What a pod's conditions and phase mean to those who count pods.
//!
//! Upstream: pkg/api/v1/pod/util.go, pkg/controller/controller_utils.go

use std::time::Duration;

use apimachinery::time::Time;

use crate::core::v1::{Pod, PodCondition, PodStatus};

/// The condition of a type, if the pod has it.
pub fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a PodCondition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

/// Whether the pod serves: its `Ready` condition is `True`.
pub fn is_ready(pod: &Pod) -> bool {
    condition(&pod.status, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Since when the pod is ready, if it is.
pub fn ready_since(pod: &Pod) -> Option<Time> {
    condition(&pod.status, "Ready")
        .filter(|ready| ready.status == "True")?
        .last_transition_time
}

/// Whether the pod has been ready for at least so long.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Time) -> bool {
    if !is_ready(pod) {
        return false;
    }
    if min_ready_seconds <= 0 {
        return true;
    }
    ready_since(pod).is_some_and(|since| ready_for(since, now) >= i64::from(min_ready_seconds))
}

/// When a ready pod that isn't available yet will be, from `now`.
pub fn available_in(pod: &Pod, min_ready_seconds: i32, now: Time) -> Option<Duration> {
    let wait = i64::from(min_ready_seconds) - ready_for(ready_since(pod)?, now);
    u64::try_from(wait).ok().map(Duration::from_secs)
}

fn ready_for(since: Time, now: Time) -> i64 {
    now.timestamp()
        .as_second()
        .saturating_sub(since.timestamp().as_second())
}

/// Whether all containers have ended for good.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")
}

/// Whether the pod runs or will: it hasn't ended and isn't being deleted.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Whether the pod is being deleted and hasn't ended yet.
pub fn is_terminating(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(ready: &str, since: i64) -> Pod {
        let mut pod = Pod::default();
        pod.status.conditions.push(PodCondition {
            type_: "Ready".into(),
            status: ready.into(),
            last_transition_time: Time::from_unix(since, 0),
            ..PodCondition::default()
        });
        pod
    }

    #[test]
    fn available_once_ready_for_long_enough() {
        let now = Time::from_unix(100, 0).unwrap();
        assert!(is_available(&pod("True", 90), 0, now));
        assert!(is_available(&pod("True", 90), 10, now));
        assert!(!is_available(&pod("True", 91), 10, now));
        assert!(!is_available(&pod("False", 0), 0, now));
        assert!(!is_available(&Pod::default(), 0, now));
        assert_eq!(
            available_in(&pod("True", 91), 10, now),
            Some(Duration::from_secs(1))
        );
        assert_eq!(available_in(&pod("True", 50), 10, now), None);
    }

    #[test]
    fn terminal_pods_are_neither_active_nor_terminating() {
        let mut gone = pod("True", 0);
        gone.metadata.deletion_timestamp = Time::from_unix(1, 0);
        assert!(is_terminating(&gone) && !is_active(&gone));
        gone.status.phase = "Failed".into();
        assert!(!is_terminating(&gone) && !is_active(&gone) && is_terminal(&gone));
    }
}
