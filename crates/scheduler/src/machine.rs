//! The scheduler without IO: watches and results go in, binds and reports come out.
//!
//! Upstream: `pkg/scheduler/eventhandlers.go`, `schedule_one.go`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use api::core::v1::{Node, Pod};
use jiff::Timestamp;

use crate::cache::Cache;
use crate::cycle::{self, Choice, Failure, Nominated};
use crate::framework::{Event, NodeChange};
use crate::owners::Owners;
use crate::pod_info::PodInfo;
use crate::preemption::{self, Budgets};
use crate::profile::Profile;
use crate::queue::{Counts, Queue, Timing, Waiting};

/// What the machine wants done.
#[derive(Debug)]
pub enum Step {
    /// Bind the pod to the node; [`Machine::bound`] or [`Machine::bind_failed`] tells the end.
    Bind {
        pod: Arc<PodInfo>,
        choice: Choice,
        attempts: u32,
        first_attempt: Timestamp,
    },
    /// Tell why the pod has no node yet.
    Report(Report),
    /// The pod is being deleted: it is not scheduled any more.
    SkipDeleting { pod: Arc<PodInfo> },
}

/// A pod found no node.
#[derive(Debug)]
pub struct Report {
    pub pod: Arc<PodInfo>,
    pub message: String,
    /// The node that is being cleared for it; `Some("")` takes an earlier nomination back.
    pub nominate: Option<String>,
    /// Pods to delete on that node.
    pub victims: Vec<Arc<PodInfo>>,
    /// Pods that lose their nomination to that node.
    pub displaced: Vec<Arc<PodInfo>>,
}

/// A change of one watched object, or the whole set of them.
#[derive(Debug)]
pub enum Input<K> {
    Replace(Vec<K>),
    Apply(K),
    Delete(K),
}

pub struct Machine {
    cache: Cache,
    queue: Queue,
    profiles: BTreeMap<String, Profile>,
    budgets: Budgets,
    nominated: Nominated,
    /// Pods that were given a node and are being bound, with what to go back to if that fails.
    binding: HashMap<String, Waiting>,
    start: usize,
}

impl Machine {
    pub fn new(profiles: Vec<Profile>, timing: Timing) -> Self {
        Self {
            cache: Cache::default(),
            queue: Queue::new(timing),
            profiles: profiles
                .into_iter()
                .map(|profile| (profile.scheduler_name.clone(), profile))
                .collect(),
            budgets: Budgets::default(),
            nominated: Nominated::new(),
            binding: HashMap::new(),
            start: 0,
        }
    }

    pub fn counts(&self) -> Counts {
        self.queue.counts()
    }

    /// When [`Machine::next`] may have something to do although nothing came in.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.queue.next_deadline()
    }

    /// Runs one cycle; `None` when no pod is to be tried now.
    pub fn next(&mut self, now: Timestamp, random: u64) -> Option<Step> {
        self.queue.tick(now);
        let waiting = self.queue.pop(now)?;
        let pod = waiting.info.clone();
        if pod.is_terminating() {
            return Some(Step::SkipDeleting { pod });
        }
        let profile = self.profiles.get(&pod.pod.spec.scheduler_name)?;
        let input = cycle::Input {
            profile,
            pod: &pod,
            nominated: &self.nominated,
            start: self.start,
            random,
        };
        let outcome = cycle::run(&input, self.cache.cluster());
        self.start = outcome.next_start;
        Some(match outcome.result {
            Ok(choice) => self.assume(waiting, choice),
            Err(failure) => Step::Report(self.no_node(waiting, failure, now)),
        })
    }

    fn assume(&mut self, waiting: Waiting, choice: Choice) -> Step {
        let pod = waiting.info.clone();
        self.cache.assume(pod.clone(), &choice.node);
        self.denominate(pod.uid());
        let (attempts, first_attempt) = (waiting.attempts, waiting.first_attempt.unwrap_or(waiting.since));
        self.binding.insert(pod.uid().to_owned(), waiting);
        Step::Bind {
            pod,
            choice,
            attempts,
            first_attempt,
        }
    }

    fn no_node(&mut self, waiting: Waiting, failure: Failure, now: Timestamp) -> Report {
        let pod = waiting.info.clone();
        let had_nomination = !pod.pod.status.nominated_node_name.is_empty();
        let clear = had_nomination.then(String::new);
        let mut report = Report {
            pod: pod.clone(),
            message: String::new(),
            nominate: None,
            victims: vec![],
            displaced: vec![],
        };
        let mut diagnosis = match failure {
            Failure::NoNodes => {
                report.message = "no nodes available to schedule pods".to_owned();
                report.nominate = clear;
                self.denominate(pod.uid());
                self.queue.unschedulable(waiting, BTreeSet::new(), now);
                return report;
            }
            Failure::Unfit(diagnosis) => diagnosis,
        };
        match self.preempt(&pod, &diagnosis) {
            Some(Ok(plan)) => {
                report.displaced = self.lower_nominated(&plan.node, pod.priority());
                for other in &report.displaced {
                    self.denominate(other.uid());
                }
                self.nominate(&pod, &plan.node);
                report.nominate = Some(plan.node);
                report.victims = plan.victims;
            }
            Some(Err(reason)) => {
                // Not eligible means that an earlier preemption is still under way: its nomination stands.
                if !reason.starts_with("not eligible") {
                    self.denominate(pod.uid());
                    report.nominate = clear;
                }
                diagnosis.preemption = Some(format!("no new claims to deallocate, {}", prefixed(reason)));
            }
            None => {}
        }
        report.message = diagnosis.to_string();
        self.queue.unschedulable(waiting, diagnosis.plugins, now);
        report
    }

    fn preempt(
        &mut self,
        pod: &PodInfo,
        diagnosis: &crate::diagnosis::Diagnosis,
    ) -> Option<Result<preemption::Plan, preemption::Reason>> {
        let profile = self
            .profiles
            .get(&pod.pod.spec.scheduler_name)
            .filter(|profile| profile.preemption)?;
        let budgets = self.budgets.all();
        Some(preemption::plan(
            profile,
            pod,
            self.cache.cluster(),
            &self.nominated,
            &budgets,
            diagnosis,
        ))
    }

    /// The bind succeeded; the watch will confirm it.
    pub fn bound(&mut self, uid: &str) {
        self.binding.remove(uid);
    }

    /// The bind failed: what the pod held is free again, and it is tried again later unless it is gone or has got a
    /// node in another way.
    pub fn bind_failed(&mut self, uid: &str, now: Timestamp) {
        let waiting = self.binding.remove(uid);
        let assumed = self.cache.pod(uid).cloned();
        if !self.cache.forget(uid) {
            return;
        }
        if let Some(pod) = assumed {
            self.fire(&Event::AssignedPodDeleted(&pod), now);
        }
        if let Some(waiting) = waiting {
            self.queue.failed(waiting, now);
        }
    }

    pub fn pods(&mut self, input: Input<Pod>, now: Timestamp) {
        match input {
            Input::Apply(pod) => self.set_pod(pod, now),
            Input::Delete(pod) => self.remove_pod(&pod.metadata.uid, now),
            Input::Replace(pods) => {
                let present: HashSet<_> = pods.iter().map(|pod| pod.metadata.uid.clone()).collect();
                let known = self.cache.pod_uids().chain(self.queue.uids());
                let gone: Vec<_> = known
                    .filter(|uid| !present.contains(*uid))
                    .map(str::to_owned)
                    .collect();
                for uid in gone {
                    self.remove_pod(&uid, now);
                }
                for pod in pods {
                    self.set_pod(pod, now);
                }
            }
        }
    }

    fn set_pod(&mut self, pod: Pod, now: Timestamp) {
        if !pod.spec.node_name.is_empty() {
            self.set_assigned(Arc::new(PodInfo::bound(pod)), now);
        } else if self.profiles.contains_key(&pod.spec.scheduler_name) {
            self.set_waiting(Arc::new(PodInfo::new(Arc::new(pod))), now);
        }
    }

    fn set_assigned(&mut self, new: Arc<PodInfo>, now: Timestamp) {
        self.queue.remove(new.uid());
        self.denominate(new.uid());
        let old = self
            .cache
            .pod(new.uid())
            .cloned()
            .filter(|_| !self.cache.is_assumed(new.uid()));
        self.cache.set_pod(new.clone());
        match old {
            None => self.fire(&Event::AssignedPodAdded(&new), now),
            Some(old)
                if old.pod.metadata.labels != new.pod.metadata.labels || old.requests != new.requests =>
            {
                self.fire(&Event::AssignedPodChanged { old: &old, new: &new }, now);
            }
            Some(_) => {}
        }
    }

    fn set_waiting(&mut self, new: Arc<PodInfo>, now: Timestamp) {
        if let Some(waiting) = self.binding.get_mut(new.uid()) {
            waiting.info = new;
            return;
        }
        if self.cache.is_assumed(new.uid()) {
            // Bound as far as we know; the watch is behind.
            return;
        }
        let nominated = new.pod.status.nominated_node_name.clone();
        if nominated.is_empty() {
            self.denominate(new.uid());
        } else {
            self.nominate(&new, &nominated);
        }
        let Some(profile) = self.profiles.get(&new.pod.spec.scheduler_name) else {
            return;
        };
        let gate = profile.gate(&new).err().map(|(plugin, _)| plugin);
        match self.queue.get(new.uid()) {
            None => self.queue.add(new, gate, now),
            Some((waiting, _)) => {
                let old = waiting.info.clone();
                let helped = spec_changed(&old, &new)
                    && profile.is_helped(&new, &waiting.rejectors, &Event::PodChanged { old: &old });
                self.queue.update(new, gate, helped, now);
            }
        }
    }

    fn remove_pod(&mut self, uid: &str, now: Timestamp) {
        self.queue.remove(uid);
        self.binding.remove(uid);
        self.denominate(uid);
        if let Some(pod) = self.cache.pod(uid).cloned() {
            self.cache.remove_pod(uid);
            self.fire(&Event::AssignedPodDeleted(&pod), now);
        }
    }

    pub fn nodes(&mut self, input: Input<Node>, now: Timestamp) {
        match input {
            Input::Apply(node) => self.set_node(node, now),
            Input::Delete(node) => self.cache.remove_node(&node.metadata.name),
            Input::Replace(nodes) => {
                let present: HashSet<_> = nodes.iter().map(|node| node.metadata.name.clone()).collect();
                let gone: Vec<_> = self.cache.nodes().map(|node| node.name().to_owned()).collect();
                for name in gone.iter().filter(|name| !present.contains(*name)) {
                    self.cache.remove_node(name);
                }
                for node in nodes {
                    self.set_node(node, now);
                }
            }
        }
    }

    fn set_node(&mut self, node: Node, now: Timestamp) {
        let node = Arc::new(slim_node(node));
        let old = self.cache.node(&node.metadata.name).map(|info| info.node.clone());
        self.cache.set_node(node.clone());
        let change = old.map(|old| node_change(&old, &node));
        if change.is_some_and(|change| !change.any()) {
            return;
        }
        // The info carries the pods too: plugins judge by what is free.
        let Some(info) = self.cache.node(&node.metadata.name).cloned() else {
            return;
        };
        match change {
            None => self.fire(&Event::NodeAdded(&info), now),
            Some(change) => self.fire(&Event::NodeChanged { node: &info, change }, now),
        }
    }

    /// Labels of a namespace; `None`: it is gone.
    pub fn namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>, now: Timestamp) {
        match labels {
            None => self.cache.remove_namespace(name),
            Some(labels) if self.cache.namespace_labels(name) != Some(&labels) => {
                self.cache.set_namespace(name.to_owned(), labels);
                self.queue
                    .on_event(|waiting| waiting.rejectors.contains("InterPodAffinity"), now);
            }
            Some(_) => {}
        }
    }

    /// Forgets the namespaces that are not to be kept.
    pub fn retain_namespaces(&mut self, keep: impl Fn(&str) -> bool) {
        self.cache.retain_namespaces(keep);
    }

    pub fn owners_mut(&mut self) -> &mut Owners {
        self.cache.owners_mut()
    }

    pub fn budgets_mut(&mut self) -> &mut Budgets {
        &mut self.budgets
    }

    fn fire(&mut self, event: &Event<'_>, now: Timestamp) {
        let profiles = &self.profiles;
        let helps = |waiting: &Waiting| {
            let profile = profiles.get(&waiting.info.pod.spec.scheduler_name);
            profile.is_some_and(|profile| profile.is_helped(&waiting.info, &waiting.rejectors, event))
        };
        self.queue.on_event(helps, now);
    }

    fn nominate(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.denominate(pod.uid());
        self.nominated
            .entry(node.to_owned())
            .or_default()
            .push(pod.clone());
    }

    fn denominate(&mut self, uid: &str) {
        self.nominated.retain(|_, pods| {
            pods.retain(|pod| pod.uid() != uid);
            !pods.is_empty()
        });
    }

    fn lower_nominated(&self, node: &str, priority: i32) -> Vec<Arc<PodInfo>> {
        self.nominated
            .get(node)
            .into_iter()
            .flatten()
            .filter(|pod| pod.priority() < priority)
            .cloned()
            .collect()
    }
}

fn prefixed(reason: String) -> String {
    if reason.starts_with("preemption: ") {
        reason
    } else {
        format!("preemption: {reason}")
    }
}

/// Whether anything but the status changed that scheduling could depend on.
fn spec_changed(old: &PodInfo, new: &PodInfo) -> bool {
    old.pod.spec != new.pod.spec || old.pod.metadata.labels != new.pod.metadata.labels
}

fn node_change(old: &Node, new: &Node) -> NodeChange {
    NodeChange {
        allocatable: old.status.allocatable != new.status.allocatable,
        labels: old.metadata.labels != new.metadata.labels,
        taints: old.spec.taints != new.spec.taints,
        conditions: old.spec.unschedulable != new.spec.unschedulable,
    }
}

/// The node without what scheduling never reads: heartbeats would otherwise be kept for nothing.
fn slim_node(mut node: Node) -> Node {
    node.metadata.managed_fields = Vec::new();
    node.metadata.annotations.clear();
    let status = std::mem::take(&mut node.status);
    node.status.allocatable = status.allocatable;
    node.status.images = status.images;
    node
}

#[cfg(test)]
mod tests;
