//! The plan of one sync. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::apps::v1::{Deployment, ReplicaSet};
use api::core::v1::Pod;
use apimachinery::time::Time;

use super::annotations::desired_replicas;
use super::rollout::{CreateNew, Rollout};
use super::{conditions, progress, recreate, rolling, scaling, sizes};

/// The deployment, the replica sets that it owns, and their pods by the replica set's UID.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub deployment: Deployment,
    pub replica_sets: Vec<ReplicaSet>,
    pub pods: HashMap<String, Vec<Arc<Pod>>>,
}

/// One request, and the event that tells of it once it succeeded.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    CreateReplicaSet(Box<ReplicaSet>),
    UpdateReplicaSet {
        replica_set: Box<ReplicaSet>,
        event: Option<String>,
    },
    DeleteReplicaSet {
        name: String,
    },
    /// Status and annotations.
    UpdateStatus(Box<Deployment>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// When to look again though nothing may have changed.
    pub check_after: Option<Duration>,
}

/// What to do now. Later steps of a rollout follow from the changes that the earlier ones cause.
pub fn plan(observed: &Observed, now: Time) -> Plan {
    let mut rollout = Rollout::new(observed, now);
    let deployment = &observed.deployment;
    if deployment.metadata.deletion_timestamp.is_some() {
        rollout.adopt_new(CreateNew::Never);
        return rollout.finish(conditions::status);
    }
    rollout.note_pause();
    if deployment.spec.paused || is_scaling(observed) {
        return resize(rollout);
    }
    match deployment.spec.strategy.type_.as_str() {
        "Recreate" => recreate::plan(&mut rollout, &observed.pods),
        _ => rolling::plan(&mut rollout),
    }
    rollout.finish(progress::status)
}

/// Sizes change while nothing is rolled out, or while it is paused.
fn resize(mut rollout: Rollout) -> Plan {
    rollout.adopt_new(CreateNew::Never);
    scaling::scale(&mut rollout);
    if rollout.deployment.spec.paused {
        rollout.clean_up();
    }
    rollout.finish(conditions::status)
}

/// Whether the deployment's size changed since its replica sets were sized.
fn is_scaling(observed: &Observed) -> bool {
    let wanted = sizes::replicas(&observed.deployment);
    let active = observed.replica_sets.iter().filter(|set| sizes::size(set) > 0);
    active
        .filter_map(desired_replicas)
        .any(|desired| desired != wanted)
}

#[cfg(test)]
mod tests;
