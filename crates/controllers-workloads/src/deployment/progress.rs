//! Whether a rollout is complete, moves, or is stuck. Pure.
//!
//! Upstream: pkg/controller/deployment/progress.go

use std::time::Duration;

use api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use apimachinery::time::Time;

use super::conditions::{self, NEW_AVAILABLE, PROGRESSING, REPLICA_FAILURE, TIMED_OUT, UPDATED};
use super::rollout::Rollout;
use super::sizes;

/// All pods are of the new template and available, and no old ones are left.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = sizes::replicas(deployment);
    status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && status.observed_generation >= deployment.metadata.generation
}

/// Something grew that should grow, or shrank that should shrink.
fn moves(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    new.updated_replicas > old.updated_replicas
        || new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

/// The status of a rollout, with what its progress means.
pub fn status(rollout: &Rollout) -> DeploymentStatus {
    let deployment = &rollout.deployment;
    let mut status = conditions::status(rollout);
    if !sizes::has_progress_deadline(deployment) {
        conditions::remove(&mut status, PROGRESSING);
    }
    let current = conditions::find(&deployment.status, PROGRESSING).cloned();
    let was_complete = status.replicas == status.updated_replicas
        && current
            .as_ref()
            .is_some_and(|condition| condition.reason == NEW_AVAILABLE);
    if sizes::has_progress_deadline(deployment) && !was_complete {
        tell(rollout, &mut status, current);
    }
    match replica_failure(rollout) {
        Some(failure) => conditions::set(&mut status, failure),
        None => conditions::remove(&mut status, REPLICA_FAILURE),
    }
    status
}

fn tell(rollout: &Rollout, status: &mut DeploymentStatus, current: Option<DeploymentCondition>) {
    let (deployment, now) = (&rollout.deployment, rollout.now);
    let subject = match &rollout.new {
        Some(new) => format!("ReplicaSet {:?}", new.set.metadata.name),
        None => format!("Deployment {:?}", deployment.metadata.name),
    };
    let condition = |status, reason, message| conditions::new(PROGRESSING, status, reason, message, now);
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        conditions::set(status, condition("True", NEW_AVAILABLE, message));
    } else if moves(&rollout.stored().status, status) {
        let mut condition = condition("True", UPDATED, format!("{subject} is progressing."));
        // Said again with each step: the deadline counts from the last one.
        if let Some(current) = current {
            if current.status == "True" {
                condition.last_transition_time = current.last_transition_time;
            }
            conditions::remove(status, PROGRESSING);
        }
        conditions::set(status, condition);
    } else if is_timed_out(deployment, status, now) {
        let message = format!("{subject} has timed out progressing.");
        conditions::set(status, condition("False", TIMED_OUT, message));
    }
}

fn is_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Time) -> bool {
    let Some(condition) = conditions::find(status, PROGRESSING) else {
        return false;
    };
    match condition.reason.as_str() {
        // Complete by the last look: what follows is another rollout's beginning.
        NEW_AVAILABLE => false,
        TIMED_OUT => true,
        _ => remaining_seconds(deployment, condition, now).is_some_and(|remaining| remaining < 0),
    }
}

/// Seconds until the deadline, counted from the condition's last update.
fn remaining_seconds(deployment: &Deployment, condition: &DeploymentCondition, now: Time) -> Option<i64> {
    let deadline = i64::from(deployment.spec.progress_deadline_seconds?);
    let since = condition.last_update_time?.timestamp().as_second();
    Some(since + deadline - now.timestamp().as_second())
}

/// When to look whether the rollout is stuck. Nothing else would tell: being stuck causes no event.
pub fn check_after(stored: &Deployment, new: &DeploymentStatus, now: Time) -> Option<Duration> {
    if !sizes::has_progress_deadline(stored) || is_complete(stored, new) {
        return None;
    }
    let condition = conditions::find(new, PROGRESSING)?;
    if matches!(condition.reason.as_str(), TIMED_OUT | NEW_AVAILABLE) {
        return None;
    }
    let remaining = remaining_seconds(stored, condition, now)?.max(0);
    // A second more, so that the clock has certainly passed the deadline.
    Some(Duration::from_secs(remaining.unsigned_abs() + 1))
}

/// A replica set that can't make pods, the new one's failure before others'.
fn replica_failure(rollout: &Rollout) -> Option<DeploymentCondition> {
    let mut sets = rollout.new.iter().chain(&rollout.old);
    let failure = sets.find_map(|sized| {
        sized
            .set
            .status
            .conditions
            .iter()
            .find(|condition| condition.type_ == REPLICA_FAILURE)
    })?;
    Some(DeploymentCondition {
        type_: failure.type_.clone(),
        status: failure.status.clone(),
        last_update_time: failure.last_transition_time,
        last_transition_time: failure.last_transition_time,
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    })
}
