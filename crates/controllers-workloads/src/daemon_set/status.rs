//! What a daemon set's status counts. Pure.

use std::time::Duration;

use api::apps::v1::DaemonSetStatus;
use api::pod_conditions::{available_in, is_available, is_ready};
use apimachinery::time::Time;

use super::placement::{self, Relation};
use super::plan::Observed;

pub fn status(observed: &Observed, now: Time) -> DaemonSetStatus {
    let old = &observed.set.status;
    let mut status = DaemonSetStatus {
        observed_generation: observed.set.metadata.generation,
        collision_count: old.collision_count,
        conditions: old.conditions.clone(),
        ..DaemonSetStatus::default()
    };
    let by_node = observed.pods_by_node();
    for node in &observed.nodes {
        let pod = by_node
            .get(node.metadata.name.as_str())
            .and_then(|pods| pods.first());
        let runs = placement::relation(&observed.set, node) == Relation::Run;
        status.desired_number_scheduled += i32::from(runs);
        match pod {
            Some(pod) if runs => {
                status.current_number_scheduled += 1;
                status.number_ready += i32::from(is_ready(pod));
                status.number_available += i32::from(is_available(pod, observed.min_ready_seconds(), now));
                status.updated_number_scheduled += i32::from(observed.is_current(pod));
            }
            Some(_) => status.number_misscheduled += 1,
            None => {}
        }
    }
    status.number_unavailable = status.desired_number_scheduled - status.number_available;
    status
}

/// When a ready pod becomes available without any event.
pub fn next_check(observed: &Observed, now: Time) -> Option<Duration> {
    let seconds = observed.min_ready_seconds();
    if seconds <= 0 {
        return None;
    }
    let waiting = observed
        .pods
        .iter()
        .filter(|pod| is_ready(pod) && !is_available(pod, seconds, now));
    waiting.filter_map(|pod| available_in(pod, seconds, now)).min()
}
