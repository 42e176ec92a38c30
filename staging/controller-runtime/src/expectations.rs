//! What a controller has asked for and hasn't seen in its cache yet, so that it doesn't ask again.
//!
//! Upstream: pkg/controller/controller_utils.go (UIDTrackingControllerExpectations)

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::key::ObjectKey;

/// A change not seen for so long won't be: the controller looks at its cache as it is.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Pending {
    creations: u32,
    deletions: HashSet<String>,
    since: Instant,
}

impl Pending {
    fn is_met(&self) -> bool {
        self.creations == 0 && self.deletions.is_empty()
    }
}

/// The expectations of a controller's objects, by key. Bounded by the number of objects: [`forget`] with them.
///
/// [`forget`]: Expectations::forget
#[derive(Debug, Default)]
pub struct Expectations(Mutex<HashMap<ObjectKey, Pending>>);

impl Expectations {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before creating so many children.
    pub fn expect_creations(&self, key: &ObjectKey, count: u32, now: Instant) {
        let pending = Pending {
            creations: count,
            deletions: HashSet::new(),
            since: now,
        };
        self.lock().insert(key.clone(), pending);
    }

    /// Before deleting these children, each by a name that no successor has (`namespace/name/uid`).
    pub fn expect_deletions(
        &self,
        key: &ObjectKey,
        children: impl IntoIterator<Item = String>,
        now: Instant,
    ) {
        let pending = Pending {
            creations: 0,
            deletions: children.into_iter().collect(),
            since: now,
        };
        self.lock().insert(key.clone(), pending);
    }

    /// Before both.
    pub fn expect(
        &self,
        key: &ObjectKey,
        creations: u32,
        deletions: impl IntoIterator<Item = String>,
        now: Instant,
    ) {
        let pending = Pending {
            creations,
            deletions: deletions.into_iter().collect(),
            since: now,
        };
        self.lock().insert(key.clone(), pending);
    }

    /// A child appeared, or its creation failed.
    pub fn creation_observed(&self, key: &ObjectKey) {
        if let Some(pending) = self.lock().get_mut(key) {
            pending.creations = pending.creations.saturating_sub(1);
        }
    }

    /// A child went (or is going) away, or its deletion failed.
    pub fn deletion_observed(&self, key: &ObjectKey, child: &str) {
        if let Some(pending) = self.lock().get_mut(key) {
            pending.deletions.remove(child);
        }
    }

    /// Whether the cache can be trusted to show everything that was asked for.
    pub fn satisfied(&self, key: &ObjectKey, now: Instant) -> bool {
        match self.lock().get(key) {
            Some(pending) => pending.is_met() || now.saturating_duration_since(pending.since) > TIMEOUT,
            None => true,
        }
    }

    pub fn forget(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn satisfied_once_all_was_seen_or_time_is_up() {
        let (expectations, key, now) = (
            Expectations::default(),
            ObjectKey::new("ns", "rs"),
            Instant::now(),
        );
        assert!(expectations.satisfied(&key, now));
        expectations.expect_creations(&key, 2, now);
        expectations.creation_observed(&key);
        assert!(!expectations.satisfied(&key, now));
        expectations.creation_observed(&key);
        expectations.creation_observed(&key);
        assert!(expectations.satisfied(&key, now));

        expectations.expect_deletions(&key, ["a".to_owned(), "b".to_owned()], now);
        expectations.deletion_observed(&key, "a");
        expectations.deletion_observed(&key, "a");
        assert!(!expectations.satisfied(&key, now));
        assert!(expectations.satisfied(&key, now + TIMEOUT + Duration::from_secs(1)));
        expectations.forget(&key);
        assert!(expectations.satisfied(&key, now));
    }
}
