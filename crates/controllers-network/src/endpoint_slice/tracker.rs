//! What we wrote and the cache may not show yet: planning on a stale cache would make slices twice.
//!
//! Upstream: staging/src/k8s.io/endpointslice/util/endpointslice_tracker.go

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::discovery::v1::EndpointSlice;
use controller_runtime::ObjectKey;

/// Of a slice: the generation that we wrote last, or that we deleted it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Generation(i64),
    Deleted,
}

/// Expectations by service and slice UID.
#[derive(Debug, Default)]
pub struct Tracker(Mutex<HashMap<ObjectKey, HashMap<String, Expected>>>);

impl Tracker {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, HashMap<String, Expected>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wrote(&self, service: &ObjectKey, slice: &EndpointSlice) {
        let expected = Expected::Generation(slice.metadata.generation);
        self.lock()
            .entry(service.clone())
            .or_default()
            .insert(slice.metadata.uid.clone(), expected);
    }

    pub fn deleted(&self, service: &ObjectKey, slice: &EndpointSlice) {
        let mut services = self.lock();
        services
            .entry(service.clone())
            .or_default()
            .insert(slice.metadata.uid.clone(), Expected::Deleted);
    }

    pub fn forget(&self, service: &ObjectKey) {
        self.lock().remove(service);
    }

    /// Whether the cache is behind our writes.
    pub fn is_stale(&self, service: &ObjectKey, cached: &[Arc<EndpointSlice>]) -> bool {
        let services = self.lock();
        let Some(expected) = services.get(service) else {
            return false;
        };
        let cached: HashMap<&str, i64> = cached
            .iter()
            .map(|slice| (slice.metadata.uid.as_str(), slice.metadata.generation))
            .collect();
        expected
            .iter()
            .any(|(uid, expected)| match (expected, cached.get(uid.as_str())) {
                (Expected::Generation(wrote), Some(cached)) => cached < wrote,
                (Expected::Generation(_), None) => true,
                (Expected::Deleted, cached) => cached.is_some(),
            })
    }

    /// Takes in what the cache heard. Gives whether it is news, that is, not the echo of our own write.
    pub fn observe(&self, service: &ObjectKey, slice: &EndpointSlice, gone: bool) -> bool {
        let mut services = self.lock();
        let Some(slices) = services.get_mut(service) else {
            return true;
        };
        let uid = &slice.metadata.uid;
        if gone {
            return slices.remove(uid) != Some(Expected::Deleted);
        }
        match slices.get(uid) {
            Some(Expected::Generation(wrote)) => slice.metadata.generation > *wrote,
            Some(Expected::Deleted) => false,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(uid: &str, generation: i64) -> Arc<EndpointSlice> {
        let mut slice = EndpointSlice::default();
        slice.metadata.uid = uid.into();
        slice.metadata.generation = generation;
        Arc::new(slice)
    }

    #[test]
    fn stale_until_the_cache_shows_our_writes() {
        let (tracker, service) = (Tracker::default(), ObjectKey::new("ns", "web"));
        assert!(!tracker.is_stale(&service, &[]));
        tracker.wrote(&service, &slice("a", 1));
        assert!(tracker.is_stale(&service, &[]));
        assert!(!tracker.is_stale(&service, &[slice("a", 1)]));
        tracker.wrote(&service, &slice("a", 2));
        assert!(tracker.is_stale(&service, &[slice("a", 1)]));
        tracker.deleted(&service, &slice("a", 2));
        assert!(tracker.is_stale(&service, &[slice("a", 2)]));
        assert!(!tracker.is_stale(&service, &[]));
    }

    #[test]
    fn echoes_of_our_writes_are_no_news() {
        let (tracker, service) = (Tracker::default(), ObjectKey::new("ns", "web"));
        tracker.wrote(&service, &slice("a", 2));
        assert!(!tracker.observe(&service, &slice("a", 2), false));
        assert!(tracker.observe(&service, &slice("a", 3), false));
        assert!(
            tracker.observe(&service, &slice("a", 3), true),
            "deleted by somebody else"
        );
        tracker.deleted(&service, &slice("b", 1));
        assert!(!tracker.observe(&service, &slice("b", 1), true));
    }
}
