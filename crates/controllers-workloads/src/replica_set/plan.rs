//! What to do about the pods of one owner, and what its status says. Pure.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use api::pod_conditions::{available_in, is_available, is_ready};
use apimachinery::labels::Selector;
use apimachinery::time::Time;
use client::Error;

use super::kinds::{Condition, Counts, ReplicaOwner};
use crate::pods::ranking::pods_to_delete;

/// The most pods created or deleted in one go.
const BURST: usize = 500;

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What brings the number of pods in line.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    None,
    Create(usize),
    Delete(Vec<Arc<Pod>>),
}

/// How far this sync's change got.
#[derive(Debug, Default)]
pub struct Attempt {
    pub creating: bool,
    pub error: Option<Error>,
}

/// Everything that the status tells of.
pub struct Observed<'a, K> {
    pub owner: &'a K,
    pub pods: &'a [Arc<Pod>],
    pub terminating: usize,
    pub attempt: &'a Attempt,
    pub now: Time,
}

/// The change that `replicas` ask for, given the active pods. `related` are those of the owner's siblings too.
pub fn change(replicas: i32, pods: &[Arc<Pod>], related: &[Arc<Pod>], now: Time) -> Change {
    let wanted = usize::try_from(replicas).unwrap_or_default();
    if pods.len() < wanted {
        Change::Create((wanted - pods.len()).min(BURST))
    } else if pods.len() > wanted {
        Change::Delete(pods_to_delete(
            pods,
            related,
            (pods.len() - wanted).min(BURST),
            now,
        ))
    } else {
        Change::None
    }
}

/// The status as it is now. Counts are of pods that exist, not of those just created: they are seen next time.
pub fn status<K: ReplicaOwner>(observed: &Observed<'_, K>) -> Counts {
    let Observed {
        owner,
        pods,
        terminating,
        attempt,
        now,
    } = observed;
    let template = Selector::from_labels(&owner.template().metadata.labels);
    let count = |matches: &dyn Fn(&Pod) -> bool| saturate(pods.iter().filter(|pod| matches(pod)).count());
    let old = owner.counts();
    Counts {
        replicas: saturate(pods.len()),
        fully_labeled: count(&|pod| template.matches(&pod.metadata.labels)),
        ready: count(&is_ready),
        available: count(&|pod| is_available(pod, owner.min_ready_seconds(), *now)),
        terminating: K::COUNTS_TERMINATING.then(|| saturate(*terminating)),
        observed_generation: owner.metadata().generation,
        conditions: conditions(old.conditions, attempt, *now),
    }
}

fn conditions(mut conditions: Vec<Condition>, attempt: &Attempt, now: Time) -> Vec<Condition> {
    let failing = conditions
        .iter()
        .any(|condition| condition.type_ == REPLICA_FAILURE);
    match &attempt.error {
        Some(error) if !failing => conditions.push(Condition {
            type_: REPLICA_FAILURE.into(),
            status: "True".into(),
            last_transition_time: Some(now.truncated()),
            reason: if attempt.creating {
                "FailedCreate"
            } else {
                "FailedDelete"
            }
            .into(),
            message: error.to_string(),
        }),
        None => conditions.retain(|condition| condition.type_ != REPLICA_FAILURE),
        // Told already; a later message would only make the object change for ever.
        Some(_) => {}
    }
    conditions
}

/// Whether the stored status says all that already.
pub fn is_current<K: ReplicaOwner>(owner: &K, status: &Counts) -> bool {
    owner.counts() == *status
}

/// When a ready pod becomes available without any event.
pub fn next_check<K: ReplicaOwner>(owner: &K, pods: &[Arc<Pod>], now: Time) -> Option<Duration> {
    let seconds = owner.min_ready_seconds();
    if seconds <= 0 {
        return None;
    }
    let waiting = pods
        .iter()
        .filter(|pod| is_ready(pod) && !is_available(pod, seconds, now));
    waiting.filter_map(|pod| available_in(pod, seconds, now)).min()
}

fn saturate(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
