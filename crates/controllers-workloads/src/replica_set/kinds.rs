//! The two kinds that keep replicas, seen alike.

use std::collections::BTreeMap;

use api::Resource;
use api::apps::v1::{ReplicaSet, ReplicaSetCondition};
use api::core::v1::{PodTemplateSpec, ReplicationController, ReplicationControllerCondition};
use apimachinery::labels::Selector;
use apimachinery::time::Time;

/// A condition of either kind; both have only `ReplicaFailure`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    pub type_: String,
    pub status: String,
    pub last_transition_time: Option<Time>,
    pub reason: String,
    pub message: String,
}

/// The status of either kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub replicas: i32,
    pub fully_labeled: i32,
    pub ready: i32,
    pub available: i32,
    pub terminating: Option<i32>,
    pub observed_generation: i64,
    pub conditions: Vec<Condition>,
}

pub trait ReplicaOwner: Resource {
    /// The name of the controller's queue, which its metrics bear.
    const QUEUE: &'static str;
    /// Whether the status has a field for pods that are going.
    const COUNTS_TERMINATING: bool;

    fn replicas(&self) -> i32;
    fn min_ready_seconds(&self) -> i32;
    /// Nothing, when the selector is empty: that must not become everything.
    fn selector(&self) -> Result<Selector, InvalidSelector>;
    fn template(&self) -> &PodTemplateSpec;
    fn counts(&self) -> Counts;
    fn set_counts(&mut self, counts: &Counts);
}

/// A stored selector that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("invalid selector: {0}")]
pub struct InvalidSelector(pub String);

impl ReplicaOwner for ReplicaSet {
    const QUEUE: &'static str = "replicaset";
    const COUNTS_TERMINATING: bool = true;

    fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds
    }

    fn selector(&self) -> Result<Selector, InvalidSelector> {
        match self.spec.selector.as_deref() {
            Some(selector) => api::selector::from_label_selector(selector)
                .map(|selector| {
                    if selector.is_everything() {
                        Selector::nothing()
                    } else {
                        selector
                    }
                })
                .map_err(|error| InvalidSelector(error.to_string())),
            None => Ok(Selector::nothing()),
        }
    }

    fn template(&self) -> &PodTemplateSpec {
        &self.spec.template
    }

    fn counts(&self) -> Counts {
        let status = &self.status;
        let condition = |c: &ReplicaSetCondition| Condition {
            type_: c.type_.clone(),
            status: c.status.clone(),
            last_transition_time: c.last_transition_time,
            reason: c.reason.clone(),
            message: c.message.clone(),
        };
        Counts {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas,
            ready: status.ready_replicas,
            available: status.available_replicas,
            terminating: status.terminating_replicas,
            observed_generation: status.observed_generation,
            conditions: status.conditions.iter().map(condition).collect(),
        }
    }

    fn set_counts(&mut self, counts: &Counts) {
        let status = &mut self.status;
        status.replicas = counts.replicas;
        status.fully_labeled_replicas = counts.fully_labeled;
        status.ready_replicas = counts.ready;
        status.available_replicas = counts.available;
        status.terminating_replicas = counts.terminating;
        status.observed_generation = counts.observed_generation;
        let condition = |c: &Condition| ReplicaSetCondition {
            type_: c.type_.clone(),
            status: c.status.clone(),
            last_transition_time: c.last_transition_time,
            reason: c.reason.clone(),
            message: c.message.clone(),
        };
        status.conditions = counts.conditions.iter().map(condition).collect();
    }
}

impl ReplicaOwner for ReplicationController {
    const QUEUE: &'static str = "replicationmanager";
    const COUNTS_TERMINATING: bool = false;

    fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds
    }

    fn selector(&self) -> Result<Selector, InvalidSelector> {
        let labels: &BTreeMap<String, String> = &self.spec.selector;
        Ok(if labels.is_empty() {
            Selector::nothing()
        } else {
            Selector::from_labels(labels)
        })
    }

    fn template(&self) -> &PodTemplateSpec {
        // Required by validation; an object without it makes pods that the server refuses, and says so.
        static EMPTY: std::sync::LazyLock<PodTemplateSpec> =
            std::sync::LazyLock::new(PodTemplateSpec::default);
        self.spec.template.as_deref().unwrap_or(&EMPTY)
    }

    fn counts(&self) -> Counts {
        let status = &self.status;
        let condition = |c: &ReplicationControllerCondition| Condition {
            type_: c.type_.clone(),
            status: c.status.clone(),
            last_transition_time: c.last_transition_time,
            reason: c.reason.clone(),
            message: c.message.clone(),
        };
        Counts {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas,
            ready: status.ready_replicas,
            available: status.available_replicas,
            terminating: None,
            observed_generation: status.observed_generation,
            conditions: status.conditions.iter().map(condition).collect(),
        }
    }

    fn set_counts(&mut self, counts: &Counts) {
        let status = &mut self.status;
        status.replicas = counts.replicas;
        status.fully_labeled_replicas = counts.fully_labeled;
        status.ready_replicas = counts.ready;
        status.available_replicas = counts.available;
        status.observed_generation = counts.observed_generation;
        let condition = |c: &Condition| ReplicationControllerCondition {
            type_: c.type_.clone(),
            status: c.status.clone(),
            last_transition_time: c.last_transition_time,
            reason: c.reason.clone(),
            message: c.message.clone(),
        };
        status.conditions = counts.conditions.iter().map(condition).collect();
    }
}
