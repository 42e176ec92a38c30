//! Which pods to make, correct and delete, in which order. Pure.
//!
//! In order, unless the set says `Parallel`: a pod is made once all before it are available, and deleted once all
//! after it are gone. Scaling goes before updating, and at most one pod is being updated.

use std::sync::Arc;

use api::apps::v1::StatefulSet;
use api::core::v1::{Pod, PodTemplateSpec};
use api::pod_conditions::{is_available, is_ready, is_terminal};
use apimachinery::time::Time;

use super::claims::{self, Claims};
use super::identity::{self, identity_matches, ordinal_of, ordinals, revision_of, start, storage_matches};

/// A template, by the name of its revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    pub name: String,
    pub template: PodTemplateSpec,
}

pub struct Observed {
    pub set: StatefulSet,
    /// What pods had before the update that goes on, and what they get by it. The same if none does.
    pub current: Revision,
    pub update: Revision,
    /// The set's pods, ended and going ones too.
    pub pods: Vec<Arc<Pod>>,
    pub claims: Claims,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// With its claims before it.
    Create(Box<Pod>, i32),
    /// Claims that a waiting pod lacks.
    EnsureClaims(Arc<Pod>, i32),
    /// Its labels and volumes, and who owns its claims.
    Correct(Arc<Pod>, i32),
    /// Who owns the claims of a pod that is to go.
    OwnClaims(Arc<Pod>, i32),
    Delete(Arc<Pod>),
    /// So that it is made anew from another template.
    Replace(Arc<Pod>),
}

/// Steps that may be taken at once; the next group when all of one have succeeded.
pub type Groups = Vec<Vec<Step>>;

/// The pod of an ordinal that the set wants.
enum Slot<'a> {
    There(&'a Arc<Pod>),
    /// To be made.
    Empty(Box<Pod>),
}

/// Whether what follows may be done as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

pub fn plan(observed: &Observed, now: Time) -> Groups {
    if observed.set.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let mut planner = Planner {
        observed,
        now,
        one_by_one: observed.set.spec.pod_management_policy != "Parallel",
        groups: Vec::new(),
    };
    planner.run();
    planner.groups.retain(|group| !group.is_empty());
    planner.groups
}

struct Planner<'a> {
    observed: &'a Observed,
    now: Time,
    one_by_one: bool,
    groups: Groups,
}

impl<'a> Planner<'a> {
    fn run(&mut self) {
        let slots = self.slots();
        let condemned = self.condemned();
        if self.replicas(&slots) == Flow::Stop {
            return;
        }
        let observed = self.observed;
        let set = &observed.set;
        let mistaken = condemned
            .iter()
            .filter(|(ordinal, pod)| !claims::owners_match(set, pod, *ordinal, &observed.claims));
        let owned = mistaken.map(|(ordinal, pod)| Step::OwnClaims((*pod).clone(), *ordinal));
        self.groups.push(owned.collect());
        if self.scale_down(&slots, &condemned) == Flow::Stop {
            return;
        }
        if set.spec.update_strategy.type_ != "OnDelete" {
            self.replace_one(&slots);
        }
    }

    fn slots(&self) -> Vec<(i32, Slot<'a>)> {
        let observed = self.observed;
        let slot = |ordinal| match observed
            .pods
            .iter()
            .find(|pod| ordinal_of(&observed.set, pod) == Some(ordinal))
        {
            Some(pod) => Slot::There(pod),
            None => Slot::Empty(Box::new(self.new_pod(ordinal))),
        };
        ordinals(&observed.set)
            .map(|ordinal| (ordinal, slot(ordinal)))
            .collect()
    }

    /// Below the partition, and during an update that has none, as long as pods of before are to stay: from the
    /// template of before.
    fn new_pod(&self, ordinal: i32) -> Pod {
        let Observed {
            set, current, update, ..
        } = self.observed;
        let strategy = &set.spec.update_strategy;
        let stay = match &strategy.rolling_update {
            Some(rolling) => rolling.partition.unwrap_or_default(),
            None if strategy.type_ == "RollingUpdate" => set.status.current_replicas,
            None => 0,
        };
        let revision = if ordinal < start(set).saturating_add(stay) {
            current
        } else {
            update
        };
        identity::new_pod(set, &revision.template, &revision.name, ordinal)
    }

    /// Pods of ordinals that are no longer wanted, the highest first.
    fn condemned(&self) -> Vec<(i32, &'a Arc<Pod>)> {
        let observed = self.observed;
        let wanted = ordinals(&observed.set);
        let mut condemned: Vec<(i32, &'a Arc<Pod>)> = observed
            .pods
            .iter()
            .filter_map(|pod| Some((ordinal_of(&observed.set, pod)?, pod)))
            .filter(|(ordinal, _)| !wanted.contains(ordinal))
            .collect();
        condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
        condemned
    }

    fn replicas(&mut self, slots: &[(i32, Slot<'_>)]) -> Flow {
        let mut group = Vec::new();
        for (ordinal, slot) in slots {
            let flow = match slot {
                Slot::Empty(pod) => self.make(pod, *ordinal, &mut group),
                Slot::There(pod) => self.keep(pod, *ordinal, &mut group),
            };
            if self.one_by_one {
                self.groups.push(std::mem::take(&mut group));
                if flow == Flow::Stop {
                    return Flow::Stop;
                }
            }
        }
        self.groups.push(group);
        Flow::Continue
    }

    fn make(&self, pod: &Pod, ordinal: i32, group: &mut Vec<Step>) -> Flow {
        if !claims::is_stale(&self.observed.set, pod, ordinal, &self.observed.claims) {
            group.push(Step::Create(Box::new(pod.clone()), ordinal));
        }
        Flow::Stop
    }

    fn keep(&self, pod: &Arc<Pod>, ordinal: i32, group: &mut Vec<Step>) -> Flow {
        let set = &self.observed.set;
        let is_going = pod.metadata.deletion_timestamp.is_some();
        if is_terminal(pod) {
            // It is made anew once it is gone.
            group.extend((!is_going).then(|| Step::Delete(pod.clone())));
            return Flow::Stop;
        }
        if pod.status.phase == "Pending" {
            let claims = &self.observed.claims;
            let lacks_some = claims::names(set, ordinal).any(|name| !claims.contains_key(&name));
            if lacks_some || !claims::owners_match(set, pod, ordinal, claims) {
                group.push(Step::EnsureClaims(pod.clone(), ordinal));
            }
        }
        if self.one_by_one && (is_going || !self.is_running_and_available(pod)) {
            return Flow::Stop;
        }
        let is_right = identity_matches(pod)
            && storage_matches(set, pod, ordinal)
            && claims::owners_match(set, pod, ordinal, &self.observed.claims);
        if !is_right {
            group.push(Step::Correct(pod.clone(), ordinal));
        }
        Flow::Continue
    }

    fn scale_down(&mut self, slots: &[(i32, Slot<'_>)], condemned: &[(i32, &Arc<Pod>)]) -> Flow {
        let first_unavailable = self.first_unavailable(slots, condemned);
        let mut group = Vec::new();
        let mut flow = Flow::Continue;
        for (ordinal, pod) in condemned {
            if pod.metadata.deletion_timestamp.is_some() {
                if self.one_by_one {
                    flow = Flow::Stop;
                    break;
                }
                continue;
            }
            let may_go = self.is_running_and_available(pod) || Some(*ordinal) == first_unavailable;
            if !self.one_by_one || may_go {
                group.push(Step::Delete((*pod).clone()));
            }
            if self.one_by_one {
                flow = Flow::Stop;
                break;
            }
        }
        self.groups.push(group);
        flow
    }

    /// Its ordinal: of those that are wanted the lowest, then of those that are not.
    fn first_unavailable(&self, slots: &[(i32, Slot<'_>)], condemned: &[(i32, &Arc<Pod>)]) -> Option<i32> {
        let wanted = slots.iter().find(|(_, slot)| match slot {
            Slot::There(pod) => self.is_unavailable(pod),
            Slot::Empty(_) => true,
        });
        let unwanted = condemned.iter().rev().find(|(_, pod)| self.is_unavailable(pod));
        wanted
            .map(|(ordinal, _)| *ordinal)
            .or(unwanted.map(|(ordinal, _)| *ordinal))
    }

    /// The highest pod that is of another template, once all above it are available.
    fn replace_one(&mut self, slots: &[(i32, Slot<'_>)]) {
        let rolling = self.observed.set.spec.update_strategy.rolling_update.as_ref();
        let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or_default();
        let partition = usize::try_from(partition).unwrap_or_default();
        for (_, slot) in slots.iter().skip(partition).rev() {
            let Slot::There(pod) = slot else { return };
            let is_going = pod.metadata.deletion_timestamp.is_some();
            if revision_of(pod) != self.observed.update.name && !is_going {
                self.groups.push(vec![Step::Replace((*pod).clone())]);
                return;
            }
            if self.is_unavailable(pod) {
                return;
            }
        }
    }

    fn is_running_and_available(&self, pod: &Pod) -> bool {
        pod.status.phase == "Running"
            && is_ready(pod)
            && is_available(pod, self.observed.set.spec.min_ready_seconds, self.now)
    }

    fn is_unavailable(&self, pod: &Pod) -> bool {
        !is_available(pod, self.observed.set.spec.min_ready_seconds, self.now)
            || pod.metadata.deletion_timestamp.is_some()
    }
}

#[cfg(test)]
mod tests;
