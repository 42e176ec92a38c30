//! The extension points of a scheduling cycle.
//!
//! A plugin is asked once a cycle for a filter and for a scorer of the pod at hand. What upstream passes from one
//! extension point to the next in a keyed state is here the filter's or scorer's own fields, so a plugin that has
//! nothing to say of a pod costs one call.

use std::collections::BTreeSet;

use crate::cache::Cluster;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// The highest score of a node.
pub const MAX_SCORE: i64 = 100;

/// Why a node, or every node, was ruled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reasons: Vec<String>,
    pub remedy: Remedy,
}

/// Whether other pods going away could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// The node might fit once pods on it are gone (upstream: Unschedulable).
    Preemption,
    /// No pod stands in the way (upstream: UnschedulableAndUnresolvable).
    None,
}

impl Rejection {
    pub fn resolvable(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
            remedy: Remedy::Preemption,
        }
    }

    pub fn unresolvable(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
            remedy: Remedy::None,
        }
    }
}

/// What a plugin says of a pod before any node is looked at.
pub enum Filtering<'a> {
    /// Every node passes.
    Pass,
    /// No node passes.
    Reject(Rejection),
    /// Each node is to be asked.
    Ask(Box<dyn NodeFilter + 'a>),
    /// Only these nodes are to be asked.
    AskOnly(BTreeSet<String>, Box<dyn NodeFilter + 'a>),
}

/// A plugin's judgement of single nodes for one pod.
pub trait NodeFilter {
    fn check(&self, node: &NodeInfo) -> Result<(), Rejection>;

    /// Accounts for `other` coming to (or going from) `node` in a simulation; the caller changes `node` itself.
    fn simulate(&mut self, _other: &PodInfo, _node: &NodeInfo, _change: Change) {}
}

/// Direction of a simulated change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Remove,
}

impl Change {
    /// What the change does to a count.
    pub fn delta(self) -> i64 {
        match self {
            Self::Add => 1,
            Self::Remove => -1,
        }
    }
}

/// A plugin's preference among the nodes that passed.
pub trait NodeScore {
    fn score(&self, node: &NodeInfo) -> i64;

    /// Brings the scores of all nodes into 0..=[`MAX_SCORE`]; `nodes` are in the order of `scores`.
    fn normalize(&self, _nodes: &[&NodeInfo], _scores: &mut [i64]) {}
}

/// A scheduling plugin. Configured once, asked each cycle.
pub trait Plugin: Send + Sync {
    fn name(&self) -> &'static str;

    /// Whether the pod may enter the active queue at all; the message says why not.
    fn gate(&self, _pod: &PodInfo) -> Result<(), String> {
        Ok(())
    }

    fn filter<'a>(&'a self, _pod: &'a PodInfo, _cluster: &'a Cluster) -> Filtering<'a> {
        Filtering::Pass
    }

    /// `None` where the plugin has no preference for this pod. `feasible` are the nodes that will be scored.
    fn score<'a>(
        &'a self,
        _pod: &'a PodInfo,
        _cluster: &'a Cluster,
        _feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        None
    }

    /// Whether `event` may make a pod schedulable that this plugin rejected.
    fn is_helped_by(&self, _pod: &PodInfo, _event: &Event<'_>) -> bool {
        false
    }
}

/// A change of the cluster that may help a waiting pod.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A node came, or changed in a way that matters to scheduling.
    NodeAdded(&'a NodeInfo),
    NodeChanged {
        node: &'a NodeInfo,
        change: NodeChange,
    },
    /// A pod was bound or a bound pod's labels changed.
    AssignedPodAdded(&'a PodInfo),
    AssignedPodChanged {
        old: &'a PodInfo,
        new: &'a PodInfo,
    },
    /// A bound pod (or an assumption) is gone.
    AssignedPodDeleted(&'a PodInfo),
    /// The waiting pod itself changed.
    PodChanged {
        old: &'a PodInfo,
    },
    /// Something that only volumes or devices depend on changed.
    StorageChanged,
    /// Every waiting pod is to be tried again.
    Unconditional,
}

/// What changed of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    pub allocatable: bool,
    pub labels: bool,
    pub taints: bool,
    /// `spec.unschedulable` included.
    pub conditions: bool,
}

impl NodeChange {
    pub fn any(self) -> bool {
        self.allocatable || self.labels || self.taints || self.conditions
    }
}

/// Scales scores so that the highest becomes [`MAX_SCORE`]; `reverse` makes the lowest raw score the best.
pub fn normalize_to_max(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in scores.iter_mut() {
        *score = match (max, reverse) {
            (0, true) => MAX_SCORE,
            (0, false) => *score,
            (_, true) => MAX_SCORE - MAX_SCORE * *score / max,
            (_, false) => MAX_SCORE * *score / max,
        };
    }
}
