//! Which pod is next, and who waits for what: a state machine that is given the time.
//!
//! A pod is *active* (to be tried, by priority, then by age), in *backoff* (was tried, may be tried again after a
//! pause that doubles), *unschedulable* (waits for an event that helps a plugin which rejected it) or *gated*. A
//! cycle runs between two inputs, so there is no moment at which a pod is in none of them and an event could be
//! missed.
//!
//! Upstream: `pkg/scheduler/backend/queue`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::pod_info::PodInfo;
use crate::profile::PluginName;

/// Pauses of the queue.
#[derive(Clone, Debug)]
pub struct Timing {
    pub initial_backoff: Duration,
    pub max_backoff: Duration,
    /// After this long, an unschedulable pod is tried again whatever happened.
    pub max_unschedulable: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            max_unschedulable: Duration::from_secs(5 * 60),
        }
    }
}

/// A pod that waits for a node.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub info: Arc<PodInfo>,
    /// When it last entered the queue: pods of one priority go by this.
    pub since: Timestamp,
    /// Cycles so far.
    pub attempts: u32,
    /// When it was first tried.
    pub first_attempt: Option<Timestamp>,
    /// The plugins that rejected it last.
    pub rejectors: BTreeSet<PluginName>,
    /// Cycles or binds that failed by an error in a row, rather than for want of a node.
    errors: u32,
    /// Cycles that found no node in a row.
    misses: u32,
}

/// Where a waiting pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Active,
    /// Until then.
    Backoff {
        until: Timestamp,
        after_error: bool,
    },
    Unschedulable {
        since: Timestamp,
    },
    Gated,
}

/// Order of the active pods: highest priority, then longest waiting, then a number that makes it total.
type ActiveKey = (std::cmp::Reverse<i32>, Timestamp, u64);

pub struct Queue {
    timing: Timing,
    pods: HashMap<String, (Waiting, Place, u64)>,
    active: std::collections::BTreeMap<ActiveKey, String>,
    backoff: BTreeSet<(Timestamp, String)>,
    sequence: u64,
}

/// How many pods are where, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub active: usize,
    pub backoff: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

impl Queue {
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            pods: HashMap::new(),
            active: std::collections::BTreeMap::new(),
            backoff: BTreeSet::new(),
            sequence: 0,
        }
    }

    pub fn get(&self, uid: &str) -> Option<(&Waiting, Place)> {
        self.pods.get(uid).map(|(waiting, place, _)| (waiting, *place))
    }

    pub fn uids(&self) -> impl Iterator<Item = &str> {
        self.pods.keys().map(String::as_str)
    }

    /// A pod came that has no node. `gate`: the plugin that holds it back.
    pub fn add(&mut self, info: Arc<PodInfo>, gate: Option<PluginName>, now: Timestamp) {
        self.remove(info.uid());
        let rejectors = gate.into_iter().collect();
        let waiting = Waiting {
            info,
            since: now,
            attempts: 0,
            first_attempt: None,
            rejectors,
            errors: 0,
            misses: 0,
        };
        self.put(
            waiting,
            if gate.is_some() {
                Place::Gated
            } else {
                Place::Active
            },
        );
    }

    /// The pod changed. One that was unschedulable or gated and may now be tried goes back to be; `helped` says
    /// whether a plugin that rejected it takes the change as a help.
    pub fn update(&mut self, info: Arc<PodInfo>, gate: Option<PluginName>, helped: bool, now: Timestamp) {
        let Some((mut waiting, place)) = self.remove(info.uid()) else {
            return self.add(info, gate, now);
        };
        waiting.info = info;
        match (place, gate) {
            (Place::Gated, None) => {
                waiting.since = now;
                waiting.rejectors.clear();
                self.put(waiting, Place::Active);
            }
            (Place::Unschedulable { .. }, None) if helped => self.release(waiting, now),
            (place, _) => self.put(waiting, place),
        }
    }

    /// The pod is gone or has a node.
    pub fn remove(&mut self, uid: &str) -> Option<(Waiting, Place)> {
        let (waiting, place, sequence) = self.pods.remove(uid)?;
        match place {
            Place::Active => {
                self.active.remove(&active_key(&waiting, sequence));
            }
            Place::Backoff { until, .. } => {
                self.backoff.remove(&(until, uid.to_owned()));
            }
            Place::Unschedulable { .. } | Place::Gated => {}
        }
        Some((waiting, place))
    }

    /// The next pod to try. With no active pod left, one in backoff goes early: the pause is there to let others
    /// go first, and there are none. Pods whose last cycle ended in an error do wait.
    pub fn pop(&mut self, now: Timestamp) -> Option<Waiting> {
        let uid = match self.active.first_key_value() {
            Some((_, uid)) => uid.clone(),
            None => {
                let early = |(_, uid): &&(Timestamp, String)| {
                    matches!(
                        self.pods.get(uid),
                        Some((
                            _,
                            Place::Backoff {
                                after_error: false,
                                ..
                            },
                            _
                        ))
                    )
                };
                self.backoff.iter().find(early)?.1.clone()
            }
        };
        let (mut waiting, _) = self.remove(&uid)?;
        waiting.attempts += 1;
        waiting.first_attempt.get_or_insert(now);
        Some(waiting)
    }

    /// The cycle found no node: wait for an event that helps one of `rejectors`.
    pub fn unschedulable(&mut self, mut waiting: Waiting, rejectors: BTreeSet<PluginName>, now: Timestamp) {
        waiting.rejectors = rejectors;
        waiting.errors = 0;
        waiting.misses += 1;
        waiting.since = now;
        self.put(waiting, Place::Unschedulable { since: now });
    }

    /// The cycle or the bind failed by an error: try again after a pause.
    pub fn failed(&mut self, mut waiting: Waiting, now: Timestamp) {
        waiting.rejectors.clear();
        waiting.errors += 1;
        waiting.misses = 0;
        waiting.since = now;
        let until = now + self.pause(waiting.errors);
        self.put(
            waiting,
            Place::Backoff {
                until,
                after_error: true,
            },
        );
    }

    /// Something happened: releases the unschedulable and gated pods that it helps.
    pub fn on_event(&mut self, helps: impl Fn(&Waiting) -> bool, now: Timestamp) -> usize {
        let waits = |place: &Place| matches!(place, Place::Unschedulable { .. });
        let helped = self
            .pods
            .iter()
            .filter(|(_, (waiting, place, _))| waits(place) && helps(waiting));
        let uids: Vec<_> = helped.map(|(uid, _)| uid.clone()).collect();
        for uid in &uids {
            if let Some((waiting, _)) = self.remove(uid) {
                self.release(waiting, now);
            }
        }
        uids.len()
    }

    /// Moves what the clock releases: pauses that are over, and pods that waited too long for an event. Returns how
    /// many of the latter.
    pub fn tick(&mut self, now: Timestamp) -> usize {
        while let Some((until, uid)) = self.backoff.first().cloned() {
            if until > now {
                break;
            }
            if let Some((waiting, _)) = self.remove(&uid) {
                self.put(waiting, Place::Active);
            }
        }
        let limit = self.timing.max_unschedulable;
        let overdue =
            |place: &Place| matches!(place, Place::Unschedulable { since } if *since + limit <= now);
        let uids: Vec<_> = self
            .pods
            .iter()
            .filter(|(_, (_, place, _))| overdue(place))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in &uids {
            if let Some((waiting, _)) = self.remove(uid) {
                self.release(waiting, now);
            }
        }
        uids.len()
    }

    /// When [`Queue::tick`] next has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let unschedulable = self.pods.values().filter_map(|(_, place, _)| match place {
            Place::Unschedulable { since } => Some(*since + self.timing.max_unschedulable),
            _ => None,
        });
        unschedulable
            .chain(self.backoff.first().map(|(until, _)| *until))
            .min()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, place, _) in self.pods.values() {
            *match place {
                Place::Active => &mut counts.active,
                Place::Backoff { .. } => &mut counts.backoff,
                Place::Unschedulable { .. } => &mut counts.unschedulable,
                Place::Gated => &mut counts.gated,
            } += 1;
        }
        counts
    }

    /// To backoff, or straight to the active pods if the pause since it was last tried is over.
    fn release(&mut self, waiting: Waiting, now: Timestamp) {
        let until = waiting.since + self.pause(waiting.misses);
        let place = if until <= now {
            Place::Active
        } else {
            Place::Backoff {
                until,
                after_error: false,
            }
        };
        self.put(waiting, place);
    }

    fn put(&mut self, waiting: Waiting, place: Place) {
        self.sequence += 1;
        let uid = waiting.info.uid().to_owned();
        match place {
            Place::Active => {
                self.active
                    .insert(active_key(&waiting, self.sequence), uid.clone());
            }
            Place::Backoff { until, .. } => {
                self.backoff.insert((until, uid.clone()));
            }
            Place::Unschedulable { .. } | Place::Gated => {}
        }
        self.pods.insert(uid, (waiting, place, self.sequence));
    }

    /// The pause after that many failures in a row: doubles from the initial to the maximal.
    fn pause(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
                self.timing
                    .initial_backoff
                    .saturating_mul(factor)
                    .min(self.timing.max_backoff)
            }
        }
    }
}

fn active_key(waiting: &Waiting, sequence: u64) -> ActiveKey {
    (
        std::cmp::Reverse(waiting.info.priority()),
        waiting.since,
        sequence,
    )
}

#[cfg(test)]
mod tests;
