//! What users are told of resizes. Upstream: `SetPodResizePendingCondition` and its like.

use crate::metrics::Metrics;
use api::core::v1::{Pod, PodCondition};
use apimachinery::time::Time;
use component_base::clock::Clock;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub const PENDING: &str = "PodResizePending";
pub const IN_PROGRESS: &str = "PodResizeInProgress";
pub const DEFERRED: &str = "Deferred";
pub const INFEASIBLE: &str = "Infeasible";
pub const ERROR: &str = "Error";

#[derive(Debug, Default)]
struct Entry {
    pending: Option<PodCondition>,
    in_progress: Option<PodCondition>,
}

/// The conditions of all pods that are being resized.
pub struct Conditions {
    table: Mutex<HashMap<String, Entry>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Conditions {
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            table: Mutex::default(),
            clock,
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pending first.
    pub fn of(&self, uid: &str) -> Vec<PodCondition> {
        let table = self.lock();
        let entry = table.get(uid);
        entry
            .into_iter()
            .flat_map(|entry| [&entry.pending, &entry.in_progress])
            .flatten()
            .cloned()
            .collect()
    }

    /// Since when the pod's resize waits, and why.
    pub fn pending(&self, uid: &str) -> Option<PodCondition> {
        self.lock().get(uid).and_then(|entry| entry.pending.clone())
    }

    /// Takes over what the kubelet before has told.
    pub fn backfill(&self, spec: &Pod) {
        let find = |kind: &str| {
            let conditions = &spec.status.conditions;
            conditions
                .iter()
                .find(|condition| condition.type_ == kind)
                .cloned()
        };
        let (pending, in_progress) = (find(PENDING), find(IN_PROGRESS));
        if pending.is_some() || in_progress.is_some() {
            self.change(&spec.metadata.uid, |entry| {
                *entry = Entry { pending, in_progress }
            });
        }
    }

    /// The resize waits. Says whether that is news: for another reason, or of another version of the pod.
    pub fn set_pending(&self, spec: &Pod, reason: &str, message: &str) -> bool {
        let reason = if reason == INFEASIBLE {
            INFEASIBLE
        } else {
            DEFERRED
        };
        let generation = spec.metadata.generation;
        self.change(&spec.metadata.uid, |entry| {
            let before = entry.pending.take();
            let news = before
                .as_ref()
                .is_none_or(|before| before.reason != reason || before.observed_generation != generation);
            entry.pending = Some(self.condition(PENDING, before.as_ref(), reason, message, generation));
            news
        })
    }

    pub fn clear_pending(&self, uid: &str) {
        if self.pending(uid).is_some() {
            self.change(uid, |entry| entry.pending = None);
        }
    }

    /// A resize was accepted: whatever was told of the one before is over.
    pub fn accepted(&self, spec: &Pod) {
        let generation = spec.metadata.generation;
        self.change(&spec.metadata.uid, |entry| {
            entry.pending = None;
            entry.in_progress = Some(self.condition(IN_PROGRESS, None, "", "", generation));
        });
    }

    /// The resize is being carried out, with an error if one is given. Says of which version of the pod it is, and
    /// whether anything changed. An error stays until the resize is done.
    pub fn set_in_progress(&self, spec: &Pod, error: Option<&str>) -> (i64, bool) {
        self.change(&spec.metadata.uid, |entry| {
            let before = entry.in_progress.take();
            let generation = before
                .as_ref()
                .map_or(spec.metadata.generation, |before| before.observed_generation);
            let (reason, message) = match (error, &before) {
                (Some(message), _) => (ERROR.to_owned(), message.to_owned()),
                (None, Some(before)) => (before.reason.clone(), before.message.clone()),
                (None, None) => (String::new(), String::new()),
            };
            let changed = before
                .as_ref()
                .is_none_or(|before| before.reason != reason || before.message != message);
            let condition = self.condition(IN_PROGRESS, before.as_ref(), &reason, &message, generation);
            entry.in_progress = Some(condition);
            (generation, changed)
        })
    }

    /// The resize is done. Gives the version of the pod that it was of, if there was one.
    pub fn clear_in_progress(&self, uid: &str) -> Option<i64> {
        self.lock().get(uid)?.in_progress.as_ref()?;
        self.change(uid, |entry| entry.in_progress.take())
            .map(|condition| condition.observed_generation)
    }

    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        let mut table = self.lock();
        table.retain(|uid, _| wanted(uid));
        self.count(&table);
    }

    fn change<T>(&self, uid: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut table = self.lock();
        let entry = table.entry(uid.to_owned()).or_default();
        let result = change(entry);
        if entry.pending.is_none() && entry.in_progress.is_none() {
            table.remove(uid);
        }
        self.count(&table);
        result
    }

    fn count(&self, table: &HashMap<String, Entry>) {
        let mut pending: BTreeMap<String, i64> = BTreeMap::new();
        for condition in table.values().filter_map(|entry| entry.pending.as_ref()) {
            *pending.entry(condition.reason.to_lowercase()).or_default() += 1;
        }
        let in_progress = table.values().filter(|entry| entry.in_progress.is_some()).count();
        self.metrics.set_resizes(&pending, in_progress);
    }

    fn condition(
        &self,
        kind: &str,
        before: Option<&PodCondition>,
        reason: &str,
        message: &str,
        generation: i64,
    ) -> PodCondition {
        let now = Some(Time::from(self.clock.now()).truncated());
        let since = before
            .filter(|before| before.reason == reason)
            .and_then(|before| before.last_transition_time);
        PodCondition {
            type_: kind.into(),
            status: "True".into(),
            reason: reason.into(),
            message: message.into(),
            observed_generation: generation,
            last_probe_time: now,
            last_transition_time: since.or(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use component_base::{clock::FakeClock, metrics::Registry};
    use jiff::Timestamp;

    fn pod(generation: i64) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.uid = "u".into();
        pod.metadata.generation = generation;
        pod
    }

    #[test]
    fn what_is_news() {
        let metrics = Arc::new(Metrics::new(&Registry::new()));
        let conditions = Conditions::new(FakeClock::new(Timestamp::UNIX_EPOCH), metrics);
        assert!(conditions.set_pending(&pod(2), "OutOfcpu", "full"));
        assert!(
            !conditions.set_pending(&pod(2), "OutOfmemory", "full"),
            "both are deferred"
        );
        assert!(conditions.set_pending(&pod(3), "OutOfcpu", "full"));
        conditions.accepted(&pod(3));
        assert!(conditions.pending("u").is_none());
        assert_eq!(conditions.set_in_progress(&pod(4), None), (3, false));
        assert_eq!(conditions.set_in_progress(&pod(4), Some("no")), (3, true));
        assert_eq!(
            conditions.set_in_progress(&pod(4), None),
            (3, false),
            "errors stay"
        );
        assert_eq!(conditions.of("u")[0].reason, ERROR);
        assert_eq!(conditions.clear_in_progress("u"), Some(3));
        assert_eq!(conditions.clear_in_progress("u"), None);
    }
}
