//! The deployment's size changed: its replica sets follow in proportion, so that a rollout under way stays as far as
//! it is. Pure.
//!
//! Upstream: pkg/controller/deployment/sync.go (scale)

use std::cmp::Reverse;

use api::apps::v1::Deployment;

use super::rollout::{Rollout, Sized};
use super::{annotations, sizes};

pub fn scale(rollout: &mut Rollout) {
    let wanted = sizes::replicas(&rollout.deployment);
    let active = rollout.all().filter(|set| set.size() > 0).count();
    if active <= 1 {
        if let Some(only) = only_active_or_latest(rollout) {
            resize(rollout, only, wanted, false);
        }
    } else if is_saturated(rollout) {
        for index in 0..rollout.old.len() {
            resize(rollout, Which::Old(index), 0, false);
        }
    } else if sizes::is_rolling(&rollout.deployment) {
        for (which, size) in proportions(rollout) {
            resize(rollout, which, size, true);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    New,
    Old(usize),
}

fn resize(rollout: &mut Rollout, which: Which, size: i32, force: bool) {
    let set = match which {
        Which::New => rollout.new.as_mut(),
        Which::Old(index) => rollout.old.get_mut(index),
    };
    if let Some(set) = set {
        Rollout::resize(&rollout.deployment, set, size, force);
    }
}

fn indexed(rollout: &Rollout) -> impl Iterator<Item = (Which, &Sized)> {
    let old = rollout
        .old
        .iter()
        .enumerate()
        .map(|(index, set)| (Which::Old(index), set));
    old.chain(rollout.new.iter().map(|set| (Which::New, set)))
}

/// The replica set that has all the pods, or the newest one when none has any.
fn only_active_or_latest(rollout: &Rollout) -> Option<Which> {
    let active = indexed(rollout)
        .find(|(_, set)| set.size() > 0)
        .map(|(which, _)| which);
    active.or_else(|| indexed(rollout).last().map(|(which, _)| which))
}

/// The new replica set has all the pods that it needs, and they are available.
fn is_saturated(rollout: &Rollout) -> bool {
    let wanted = sizes::replicas(&rollout.deployment);
    rollout.new.as_ref().is_some_and(|new| {
        new.size() == wanted
            && annotations::desired_replicas(&new.set) == Some(wanted)
            && new.available() == wanted
    })
}

/// The new sizes of all active replica sets, largest first. What rounding leaves over goes to the largest.
fn proportions(rollout: &Rollout) -> Vec<(Which, i32)> {
    let deployment = &rollout.deployment;
    let wanted = sizes::replicas(deployment);
    let mut active: Vec<(Which, &Sized)> = indexed(rollout).filter(|(_, set)| set.size() > 0).collect();
    let total: i32 = active.iter().map(|(_, set)| set.size()).sum();
    let allowed = if wanted > 0 {
        sizes::max_total(deployment)
    } else {
        0
    };
    let to_add = allowed - total;
    // Among equals the newer grows first and the older shrinks first.
    let age = |set: &Sized| (set.set.metadata.creation_timestamp, set.set.metadata.name.clone());
    if to_add > 0 {
        active.sort_by_key(|(_, set)| (Reverse(set.size()), Reverse(age(set))));
    } else {
        active.sort_by_key(|(_, set)| (Reverse(set.size()), age(set)));
    }
    let mut added = 0;
    let mut result: Vec<(Which, i32)> = Vec::with_capacity(active.len());
    for (which, set) in active {
        let share = proportion(deployment, set, to_add, added);
        added += share;
        result.push((which, set.size() + share));
    }
    if let Some((_, largest)) = result.first_mut() {
        *largest = (*largest + to_add - added).max(0);
    }
    result
}

/// A replica set's share of the pods to add (or, negative, to remove), given what others got already.
fn proportion(deployment: &Deployment, set: &Sized, to_add: i32, added: i32) -> i32 {
    if to_add == added {
        return 0;
    }
    let fraction = fraction(deployment, set);
    if to_add > 0 {
        fraction.min(to_add - added)
    } else {
        fraction.max(to_add - added)
    }
}

fn fraction(deployment: &Deployment, set: &Sized) -> i32 {
    let size = set.size();
    if sizes::replicas(deployment) == 0 {
        return -size;
    }
    // Without the note of its former maximum, the deployment's present size has to do.
    let before = annotations::max_replicas(&set.set)
        .filter(|max| *max > 0)
        .unwrap_or(deployment.status.replicas);
    if before == 0 {
        return 0;
    }
    let scaled = f64::from(size) * f64::from(sizes::max_total(deployment)) / f64::from(before);
    scaled.round() as i32 - size
}
