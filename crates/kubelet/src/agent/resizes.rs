//! Which resizes the node accepts. Upstream: `retryPendingResizes`, `handlePodResourcesResize`.

use super::dispatch::Dispatch;
use crate::{
    pod,
    resize::{
        allocation,
        conditions::{DEFERRED, INFEASIBLE},
        message::message,
    },
};
use api::core::v1::Pod;
use std::{sync::Arc, time::Duration};

/// How often resizes that wait are tried though nothing happened.
const RETRY: Duration = Duration::from_secs(180);

/// The resizes that wait; at most one for each pod of the node.
#[derive(Default)]
pub(super) struct Waiting {
    uids: Vec<String>,
    /// When they were last tried.
    tried: Duration,
    /// Every pod that should be known is: only then is known what is free.
    ready: bool,
}

impl Dispatch {
    /// A pod was taken: from now on it has what it was given before, or else what it asks for.
    pub(super) fn allocate(&mut self, spec: &Arc<Pod>) {
        let uid = &spec.metadata.uid;
        let allocated = self.resizes.allocated_pod(spec);
        if let Err(error) = self.resizes.allocated.set(uid, allocation::of(&allocated)) {
            tracing::error!(pod = %pod::description(spec), %error, "cannot keep what a pod was given");
        }
        self.resizes.conditions.backfill(spec);
        if !Arc::ptr_eq(&allocated, spec) {
            self.wait(spec);
        }
    }

    /// A known pod has changed.
    pub(super) async fn changed(&mut self, old: &Arc<Pod>, new: &Arc<Pod>) {
        let changes = allocation::changes(old, new);
        for change in &changes {
            self.metrics.resize_requested(change);
        }
        if !changes.is_empty() || old.spec.resources != new.spec.resources {
            if Arc::ptr_eq(&self.resizes.allocated_pod(new), new) {
                // A resize that waited was taken back.
                self.resizes.conditions.clear_pending(&new.metadata.uid);
            } else {
                self.wait(new);
                self.retry_resizes("pod_updated").await;
            }
        } else if pod::is_terminal(&new.status.phase) && !pod::is_terminal(&old.status.phase) {
            self.retry_resizes("pod_terminated").await;
        } else if !self.waiting.uids.is_empty() && self.gave_back(old, new) {
            self.retry_resizes("pod_resized").await;
        }
    }

    /// The pod holds less than before.
    fn gave_back(&self, old: &Arc<Pod>, new: &Arc<Pod>) -> bool {
        let held = |spec: &Arc<Pod>| api::pod_requests::pod_requests(&self.resizes.allocated_pod(spec));
        let (old, new) = (held(old), held(new));
        ["cpu", "memory"]
            .iter()
            .any(|resource| new.get(*resource) < old.get(*resource))
    }

    fn wait(&mut self, spec: &Arc<Pod>) {
        let uid = &spec.metadata.uid;
        if !self.waiting.uids.contains(uid) {
            self.waiting.uids.push(uid.clone());
        }
    }

    /// Resizes are judged once every pod is known.
    pub(super) async fn resizes_may_start(&mut self) {
        self.waiting.ready = true;
        self.retry_resizes("pods_added").await;
    }

    pub(super) async fn retry_resizes_now_and_then(&mut self) {
        if self.clock.monotonic().saturating_sub(self.waiting.tried) >= RETRY {
            self.retry_resizes("periodic_retry").await;
        }
    }

    /// Tries what waits, the most urgent first.
    pub(super) async fn retry_resizes(&mut self, trigger: &str) {
        if !self.waiting.ready {
            return;
        }
        self.waiting.tried = self.clock.monotonic();
        let uids = std::mem::take(&mut self.waiting.uids);
        let mut pods: Vec<Arc<Pod>> = uids.iter().filter_map(|uid| self.pods.get(uid)).collect();
        pods.sort_by_cached_key(|spec| {
            let pending = self.resizes.conditions.pending(&spec.metadata.uid);
            let since = pending.and_then(|condition| condition.last_transition_time);
            allocation::urgency(spec, &self.resizes.allocated_pod(spec), since)
        });
        for spec in pods {
            let uid = &spec.metadata.uid;
            let before = self.resizes.conditions.pending(uid);
            let accepted = self.judge(&spec).await;
            let after = self.resizes.conditions.pending(uid);
            let deferred = |reason: &str| reason == DEFERRED;
            if after
                .as_ref()
                .is_some_and(|condition| deferred(&condition.reason))
            {
                self.waiting.uids.push(uid.clone());
            } else if accepted
                && before
                    .as_ref()
                    .is_some_and(|condition| deferred(&condition.reason))
            {
                self.metrics.deferred_resize_accepted(trigger);
            }
            if accepted || before != after {
                self.pool.poke(uid);
            }
        }
    }

    /// Gives a pod what it asks for, or says why not. Says whether it was given.
    async fn judge(&self, spec: &Arc<Pod>) -> bool {
        let (uid, conditions) = (&spec.metadata.uid, &self.resizes.conditions);
        if Arc::ptr_eq(&self.resizes.allocated_pod(spec), spec) {
            conditions.clear_pending(uid);
            return false;
        }
        let generation = spec.metadata.generation;
        let rejection = match self.admit(spec).await {
            Err(rejection) => (rejection.reason, rejection.message),
            Ok(()) => {
                if let Err(error) = self.resizes.allocated.set(uid, allocation::of(spec)) {
                    tracing::error!(pod = %pod::description(spec), %error, "cannot keep what a pod was given");
                }
                conditions.accepted(spec);
                self.events
                    .normal(spec, "ResizeStarted", message("started", spec, generation, ""));
                return true;
            }
        };
        let (reason, why) = rejection;
        if conditions.set_pending(spec, &reason, &why) {
            let event = if reason == INFEASIBLE {
                "ResizeInfeasible"
            } else {
                "ResizeDeferred"
            };
            self.events
                .warning(spec, event, message(&reason, spec, generation, &why));
        }
        false
    }
}
