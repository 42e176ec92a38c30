//! Whether the proxy keeps up: what was asked for must be applied within a while. `/livez` says so; `/healthz` also
//! fails while the node is about to be deleted, so that load balancers turn away from it.
//!
//! Upstream: pkg/proxy/healthcheck/proxy_health.go

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use component_base::clock::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::Family;

/// The taint that the cluster autoscaler puts on a node before it deletes it.
pub const TO_BE_DELETED_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

/// Shared by the proxiers, which report, and the servers, which ask.
#[derive(Clone, Debug)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    families: BTreeMap<Family, FamilyState>,
    node_eligible: bool,
}

#[derive(Clone, Copy, Debug)]
struct FamilyState {
    updated: Timestamp,
    /// Since when a change waits, on the monotonic clock.
    pending_since: Option<Duration>,
}

/// An answer: whether all is well, and the document that says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub healthy: bool,
    pub document: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Live,
    Health,
}

impl Health {
    pub fn new(clock: Arc<dyn Clock>, timeout: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                timeout,
                state: Mutex::default(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sync of the family succeeded, or its proxier starts.
    pub fn updated(&self, family: Family) {
        let state = FamilyState {
            updated: self.inner.clock.now(),
            pending_since: None,
        };
        self.state().families.insert(family, state);
    }

    /// A change waits for a sync.
    pub fn queued(&self, family: Family) {
        let now = self.inner.clock.monotonic();
        if let Some(state) = self.state().families.get_mut(&family) {
            state.pending_since.get_or_insert(now);
        }
    }

    /// Whether the node takes part in load balancing: it exists and nobody is deleting it.
    pub fn set_node_eligible(&self, eligible: bool) {
        self.state().node_eligible = eligible;
    }

    /// Whether every family keeps up.
    pub fn is_healthy(&self) -> bool {
        let now = self.inner.clock.monotonic();
        self.state()
            .families
            .values()
            .all(|family| self.keeps_up(family, now))
    }

    fn keeps_up(&self, family: &FamilyState, now: Duration) -> bool {
        family
            .pending_since
            .is_none_or(|since| now.saturating_sub(since) < self.inner.timeout)
    }

    pub fn report(&self, probe: Probe) -> Report {
        let (now, monotonic) = (self.inner.clock.now(), self.inner.clock.monotonic());
        let state = self.state();
        let status: serde_json::Map<String, Value> = state
            .families
            .iter()
            .map(|(name, family)| {
                let healthy = self.keeps_up(family, monotonic);
                let value = json!({"lastUpdated": family.updated.to_string(), "healthy": healthy});
                (name.as_str().to_owned(), value)
            })
            .collect();
        let current = state
            .families
            .values()
            .all(|family| self.keeps_up(family, monotonic));
        let healthy = current && (probe == Probe::Live || state.node_eligible);
        // While all is well the last update counts as just now: idle proxies have nothing to update.
        let newest = state.families.values().map(|family| family.updated).max();
        let updated = if healthy { now } else { newest.unwrap_or(now) };
        let mut document = json!({
            "lastUpdated": updated.to_string(),
            "currentTime": now.to_string(),
            "healthy": current,
            "status": status,
        });
        if probe == Probe::Health {
            document["nodeEligible"] = Value::Bool(state.node_eligible);
        }
        Report { healthy, document }
    }
}

#[cfg(test)]
mod tests {
    use component_base::clock::FakeClock;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn health() -> (Arc<FakeClock>, Health) {
        let clock = FakeClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let health = Health::new(clock.clone(), TIMEOUT);
        health.set_node_eligible(true);
        health.updated(Family::V4);
        health.updated(Family::V6);
        (clock, health)
    }

    #[test]
    fn a_change_must_be_applied_in_time() {
        let (clock, health) = health();
        clock.advance(10 * TIMEOUT);
        assert!(health.is_healthy(), "nothing to do is healthy");
        health.queued(Family::V6);
        clock.advance(TIMEOUT / 2);
        health.queued(Family::V6);
        assert!(health.is_healthy());
        clock.advance(TIMEOUT / 2);
        assert!(!health.is_healthy(), "the oldest change counts");
        let report = health.report(Probe::Health);
        assert!(!report.healthy);
        assert_eq!(report.document["status"]["IPv4"]["healthy"], true);
        assert_eq!(report.document["status"]["IPv6"]["healthy"], false);
        health.updated(Family::V6);
        assert!(health.report(Probe::Live).healthy);
    }

    #[test]
    fn a_node_that_goes_away_is_alive_but_not_healthy() {
        let (_, health) = health();
        health.set_node_eligible(false);
        assert!(health.report(Probe::Live).healthy);
        let report = health.report(Probe::Health);
        assert!(!report.healthy);
        assert_eq!(report.document["nodeEligible"], false);
        assert_eq!(report.document["healthy"], true, "the proxy itself is");
    }
}
