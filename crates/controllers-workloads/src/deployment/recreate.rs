//! Recreate: all old pods go before the first new one comes. Pure.
//!
//! Upstream: pkg/controller/deployment/recreate.go

use std::collections::HashMap;
use std::sync::Arc;

use api::core::v1::Pod;
use api::pod_conditions::is_terminal;

use super::rollout::{CreateNew, Rollout};
use super::sizes;

pub fn plan(rollout: &mut Rollout, pods: &HashMap<String, Vec<Arc<Pod>>>) {
    rollout.adopt_new(CreateNew::Never);
    let mut shrunk = false;
    for old in &mut rollout.old {
        shrunk |= Rollout::resize(&rollout.deployment, old, 0, false);
    }
    if shrunk || old_pods_run(rollout, pods) {
        return;
    }
    if rollout.new.is_none() {
        rollout.adopt_new(CreateNew::IfMissing);
        return;
    }
    let wanted = sizes::replicas(&rollout.deployment);
    if let Some(new) = &mut rollout.new {
        Rollout::resize(&rollout.deployment, new, wanted, false);
    }
    if super::progress::is_complete(&rollout.deployment, &rollout.deployment.status) {
        rollout.clean_up();
    }
}

fn old_pods_run(rollout: &Rollout, pods: &HashMap<String, Vec<Arc<Pod>>>) -> bool {
    if rollout.old.iter().any(|old| old.set.status.replicas > 0) {
        return true;
    }
    let new = rollout.new.as_ref().map(|new| new.set.metadata.uid.as_str());
    let old = pods.iter().filter(|(owner, _)| new != Some(owner.as_str()));
    old.flat_map(|(_, pods)| pods).any(|pod| !is_terminal(pod))
}
