//! What a stateful set's status counts. Pure.

use std::time::Duration;

use api::apps::v1::{StatefulSet, StatefulSetStatus};
use api::core::v1::Pod;
use api::pod_conditions::{available_in, is_available, is_ready};
use apimachinery::time::Time;

use super::identity::{replicas, revision_of};
use super::plan::{Groups, Observed, Step};

/// The status once `steps` are taken.
pub fn status(observed: &Observed, steps: &Groups, now: Time) -> StatefulSetStatus {
    let set = &observed.set;
    let mut status = StatefulSetStatus {
        observed_generation: set.metadata.generation,
        current_revision: observed.current.name.clone(),
        update_revision: observed.update.name.clone(),
        collision_count: Some(set.status.collision_count.unwrap_or_default()),
        conditions: set.status.conditions.clone(),
        ..StatefulSetStatus::default()
    };
    for pod in &observed.pods {
        count(&mut status, set, pod, now);
    }
    let replaced = steps
        .iter()
        .flatten()
        .filter(|step| matches!(step, Step::Replace(_)));
    status.current_replicas -= replaced.count() as i32;
    complete(&mut status, set);
    status
}

fn count(status: &mut StatefulSetStatus, set: &StatefulSet, pod: &Pod, now: Time) {
    if pod.status.phase.is_empty() {
        return;
    }
    status.replicas += 1;
    if pod.status.phase == "Running" && is_ready(pod) {
        status.ready_replicas += 1;
        status.available_replicas += i32::from(is_available(pod, set.spec.min_ready_seconds, now));
    }
    if pod.metadata.deletion_timestamp.is_none() {
        let revision = revision_of(pod);
        status.current_replicas += i32::from(revision == status.current_revision);
        status.updated_replicas += i32::from(revision == status.update_revision);
    }
}

/// An update whose pods are all there is over.
fn complete(status: &mut StatefulSetStatus, set: &StatefulSet) {
    let wanted = replicas(set);
    if set.spec.update_strategy.type_ == "RollingUpdate"
        && [status.updated_replicas, status.ready_replicas, status.replicas] == [wanted; 3]
    {
        status.current_replicas = status.updated_replicas;
        status.current_revision = status.update_revision.clone();
    }
}

/// Whether the status says something that the stored one does not.
pub fn is_news(set: &StatefulSet, status: &StatefulSetStatus) -> bool {
    let stored = StatefulSetStatus {
        // Another count of collisions alone is not worth a write.
        collision_count: status.collision_count,
        ..set.status.clone()
    };
    *status != stored
}

/// When a ready pod becomes available without any event.
pub fn next_check(observed: &Observed, now: Time) -> Option<Duration> {
    let seconds = observed.set.spec.min_ready_seconds;
    if seconds <= 0 {
        return None;
    }
    let waiting = observed
        .pods
        .iter()
        .filter(|pod| is_ready(pod) && !is_available(pod, seconds, now));
    waiting.filter_map(|pod| available_in(pod, seconds, now)).min()
}
