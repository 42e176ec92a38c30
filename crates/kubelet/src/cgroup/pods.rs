//! The groups of pods and of their classes. Upstream: `cm/pod_container_manager_linux.go`, `qos_container_manager_linux.go`.

use super::{
    hierarchy::{Error, Hierarchy, Usage},
    layout::Layout,
    resources::{self, GroupLimits, Policy},
};
use api::{core::v1::Pod, qos::Class};
use apimachinery::quantity::Quantity;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{sync::Arc, time::Duration};

/// How often, and how far apart, what is left in a pod's group is killed before its removal is given up for now.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct PodGroups {
    hierarchy: Arc<Hierarchy>,
    layout: Layout,
    policy: Policy,
}

impl PodGroups {
    pub fn new(hierarchy: Hierarchy, layout: Layout, policy: Policy) -> Self {
        Self {
            hierarchy: Arc::new(hierarchy),
            layout,
            policy,
        }
    }

    /// Makes the groups of all pods and of the classes. `limits` are what all pods together may use.
    pub fn prepare(&self, limits: &GroupLimits) -> Result<(), Error> {
        let classes = self.layout.classes();
        if classes.is_empty() {
            return Ok(());
        }
        self.hierarchy.ensure(&self.layout.pods(), limits)?;
        let least = GroupLimits {
            cpu_shares: Some(2),
            ..GroupLimits::default()
        };
        self.hierarchy
            .ensure(&self.layout.class(Class::Burstable), &least)?;
        self.hierarchy
            .ensure(&self.layout.class(Class::BestEffort), &least)
    }

    /// Weighs burstable pods together by what they ask for together.
    pub fn weigh<'a>(&self, pods: impl Iterator<Item = &'a Pod>) -> Result<(), Error> {
        if self.layout.classes().is_empty() {
            return Ok(());
        }
        let milli: i64 = pods
            .filter(|pod| api::qos::class(pod) == Class::Burstable)
            .map(|pod| {
                api::pod_requests::spec_requests(pod)
                    .get("cpu")
                    .map_or(0, Quantity::milli_value)
            })
            .sum();
        let limits = GroupLimits {
            cpu_shares: Some(resources::shares(milli)),
            ..GroupLimits::default()
        };
        self.hierarchy
            .ensure(&self.layout.class(Class::Burstable), &limits)
    }

    /// Makes the pod's group, unless it is there.
    pub fn ensure(&self, pod: &Pod) -> Result<(), Error> {
        match self.layout.pod(pod) {
            Some(group) if !self.hierarchy.exists(&group) => self
                .hierarchy
                .ensure(&group, &resources::for_pod(pod, self.policy)),
            _ => Ok(()),
        }
    }

    /// What the pod's group is limited to; nothing when it has none.
    pub fn limits(&self, pod: &Pod) -> Option<GroupLimits> {
        let group = self.layout.pod(pod)?;
        self.hierarchy
            .exists(&group)
            .then(|| self.hierarchy.limits(&group))
    }

    /// Changes what the pod's group is limited to, as far as limits are given.
    pub fn set(&self, pod: &Pod, limits: &GroupLimits) -> Result<(), Error> {
        match self.layout.pod(pod) {
            Some(group) => self.hierarchy.set(&group, limits),
            None => Ok(()),
        }
    }

    /// Removes the pod's group with whatever is left in it.
    pub async fn remove(&self, pod: &Pod) -> Result<(), Error> {
        match self.layout.pod(pod) {
            Some(group) => self.remove_group(&group).await,
            None => Ok(()),
        }
    }

    async fn remove_group(&self, group: &str) -> Result<(), Error> {
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            for pid in self.hierarchy.processes(group) {
                // It may have ended since it was listed.
                if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
                    tracing::debug!(pid, %error, "process in a pod's group is gone");
                }
            }
            result = self.hierarchy.remove(group);
            if result.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        result
    }

    /// Removes the groups of pods that are not wanted.
    pub async fn remove_orphans(&self, wanted: impl Fn(&str) -> bool) {
        for class in self.layout.classes() {
            for name in self.hierarchy.children(&class) {
                if Layout::uid(&name).is_some_and(|uid| !wanted(uid)) {
                    let group = format!("{class}/{name}");
                    if let Err(error) = self.remove_group(&group).await {
                        tracing::warn!(group, %error, "cannot remove the group of an unknown pod");
                    }
                }
            }
        }
    }

    pub fn usage(&self, pod: &Pod) -> Option<Usage> {
        self.hierarchy.usage(&self.layout.pod(pod)?)
    }

    /// What all pods together use.
    pub fn total_usage(&self) -> Option<Usage> {
        self.hierarchy.usage(&self.layout.pods())
    }

    pub fn root_usage(&self) -> Option<Usage> {
        self.hierarchy.usage("/")
    }
}
