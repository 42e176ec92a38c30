//! The deployment's conditions and the counts beside them. Pure.

use api::apps::v1::{DeploymentCondition, DeploymentStatus, ReplicaSet};
use apimachinery::time::Time;

use super::rollout::Rollout;
use super::sizes;

pub const AVAILABLE: &str = "Available";
pub const PROGRESSING: &str = "Progressing";
pub const REPLICA_FAILURE: &str = "ReplicaFailure";

pub const PAUSED: &str = "DeploymentPaused";
pub const RESUMED: &str = "DeploymentResumed";
pub const TIMED_OUT: &str = "ProgressDeadlineExceeded";
pub const CREATED_NEW: &str = "NewReplicaSetCreated";
pub const CREATE_FAILED: &str = "ReplicaSetCreateError";
pub const FOUND_NEW: &str = "FoundNewReplicaSet";
pub const UPDATED: &str = "ReplicaSetUpdated";
pub const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";

pub fn find<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<&'a DeploymentCondition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

pub fn new(type_: &str, status: &str, reason: &str, message: String, now: Time) -> DeploymentCondition {
    let now = Some(now.truncated());
    DeploymentCondition {
        type_: type_.into(),
        status: status.into(),
        last_update_time: now,
        last_transition_time: now,
        reason: reason.into(),
        message,
    }
}

/// Sets a condition, unless it says the same already. The time of transition is that of the status' last change.
pub fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(current) = find(status, &condition.type_) {
        if current.status == condition.status && current.reason == condition.reason {
            return;
        }
        if current.status == condition.status {
            condition.last_transition_time = current.last_transition_time;
        }
    }
    remove(status, &condition.type_);
    status.conditions.push(condition);
}

pub fn remove(status: &mut DeploymentStatus, type_: &str) {
    status.conditions.retain(|condition| condition.type_ != type_);
}

/// Counts and availability; conditions about progress stay as they are.
pub fn status(rollout: &Rollout) -> DeploymentStatus {
    let deployment = &rollout.deployment;
    let existing = || rollout.all().map(|sized| &sized.set);
    let sum = |count: fn(&ReplicaSet) -> i32| existing().map(count).sum::<i32>();
    let available = sum(|set| set.status.available_replicas);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: sum(|set| set.status.replicas),
        updated_replicas: rollout.new.as_ref().map_or(0, |new| new.set.status.replicas),
        ready_replicas: sum(|set| set.status.ready_replicas),
        available_replicas: available,
        unavailable_replicas: (rollout.total_size() - available).max(0),
        terminating_replicas: terminating(existing()),
        conditions: deployment.status.conditions.clone(),
        collision_count: deployment.status.collision_count,
    };
    let enough = sizes::replicas(deployment) - sizes::max_unavailable(deployment);
    let condition = if available >= enough {
        let message = "Deployment has minimum availability.";
        new(
            AVAILABLE,
            "True",
            "MinimumReplicasAvailable",
            message.into(),
            rollout.now,
        )
    } else {
        let message = "Deployment does not have minimum availability.";
        new(
            AVAILABLE,
            "False",
            "MinimumReplicasUnavailable",
            message.into(),
            rollout.now,
        )
    };
    set(&mut status, condition);
    status
}

/// The pods that are going; unknown when a replica set that was synced doesn't tell.
fn terminating<'a>(mut sets: impl Iterator<Item = &'a ReplicaSet>) -> Option<i32> {
    sets.try_fold(0, |sum, set| match set.status.terminating_replicas {
        Some(count) => Some(sum + count),
        None if set.status.observed_generation == 0 => Some(sum),
        None => None,
    })
}
