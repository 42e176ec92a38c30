//! A rolling update: the new replica set grows into the surge, old ones shrink by what may be unavailable. Pure.
//!
//! Upstream: pkg/controller/deployment/rolling.go

use super::rollout::{CreateNew, Rollout, Sized};
use super::sizes;

pub fn plan(rollout: &mut Rollout) {
    rollout.adopt_new(CreateNew::IfMissing);
    // The next step needs the new replica set to exist.
    if rollout.creates_new() || grow_new(rollout) || shrink_old(rollout) {
        return;
    }
    if super::progress::is_complete(&rollout.deployment, &rollout.deployment.status) {
        rollout.clean_up();
    }
}

/// Gives whether the new replica set's size changed.
fn grow_new(rollout: &mut Rollout) -> bool {
    let total = rollout.total_size();
    let wanted = sizes::replicas(&rollout.deployment);
    let Some(new) = &mut rollout.new else { return false };
    let size = if new.size() >= wanted {
        wanted
    } else {
        sizes::new_replica_set_size(&rollout.deployment, total, new.size())
    };
    Rollout::resize(&rollout.deployment, new, size, false)
}

/// Gives whether any old replica set's size changed.
fn shrink_old(rollout: &mut Rollout) -> bool {
    let old_size: i32 = rollout.old.iter().map(Sized::size).sum();
    if old_size == 0 {
        return false;
    }
    let min_available = sizes::replicas(&rollout.deployment) - sizes::max_unavailable(&rollout.deployment);
    // Pods of the new replica set that aren't available yet could become it: they don't count as room.
    let new_unavailable = rollout.new.as_ref().map_or(0, |new| new.size() - new.available());
    let room = rollout.total_size() - min_available - new_unavailable;
    if room <= 0 {
        return false;
    }
    let unhealthy = remove_unhealthy(rollout, room);
    let healthy = remove_healthy(rollout, min_available);
    unhealthy + healthy > 0
}

/// Pods that aren't available block nobody but the rollout: they go first, up to `room`.
fn remove_unhealthy(rollout: &mut Rollout, room: i32) -> i32 {
    let mut removed = 0;
    for old in &mut rollout.old {
        if removed >= room {
            break;
        }
        let unhealthy = old.size() - old.available();
        if old.size() == 0 || unhealthy <= 0 {
            continue;
        }
        let count = unhealthy.min(room - removed);
        let size = old.size() - count;
        Rollout::resize(&rollout.deployment, old, size, false);
        removed += count;
    }
    removed
}

/// Then available ones, as many as may be missing.
fn remove_healthy(rollout: &mut Rollout, min_available: i32) -> i32 {
    let room = rollout.total_available() - min_available;
    let mut removed = 0;
    for old in &mut rollout.old {
        if removed >= room {
            break;
        }
        let count = old.size().min(room - removed);
        if count <= 0 {
            continue;
        }
        let size = old.size() - count;
        Rollout::resize(&rollout.deployment, old, size, false);
        removed += count;
    }
    removed
}
