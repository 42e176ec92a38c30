//! Changing what running containers are given, without ending them (KEP-1287).
//!
//! - [`allocation`]: what a pod was given beside what it asks for, and in which order resizes that wait are tried. Pure.
//! - [`plan`]: which containers change, and in which order they and their pod's group do. Pure.
//! - [`conditions`]: what users are told of a resize under way; [`message`] words its events.
//! - [`checkpoint`]: keeps what was given across restarts, in upstream's files.
//!
//! `agent::resizes` accepts resizes, `sync::resize` carries them out. Upstream: `pkg/kubelet/allocation`.

pub mod allocation;
pub mod checkpoint;
pub mod conditions;
pub mod message;
pub mod plan;

use crate::{
    metrics::Metrics,
    runtime::state::{ContainerState, PodState},
};
use allocation::PodResources;
use api::core::v1::{Container, Pod};
use apimachinery::quantity::Quantity;
use checkpoint::Checkpoint;
use component_base::clock::Clock;
use conditions::Conditions;
use std::{path::Path, sync::Arc};

/// What the kubelet has decided to give to pods.
const ALLOCATED: &str = "allocated_pods_state";
/// What the runtime was told to give to them.
const ACTUATED: &str = "actuated_pods_state";

/// The state of all resizes.
pub struct Resizes {
    pub allocated: Checkpoint,
    pub actuated: Checkpoint,
    pub conditions: Conditions,
}

impl Resizes {
    /// Reads what the kubelet before has left under its root folder.
    pub fn open(
        root: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, checkpoint::Error> {
        Ok(Self {
            allocated: Checkpoint::open(root.join(ALLOCATED))?,
            actuated: Checkpoint::open(root.join(ACTUATED))?,
            conditions: Conditions::new(clock, metrics),
        })
    }

    /// The pod with the resources that it was given in place of those that it asks for.
    pub fn allocated_pod(&self, spec: &Arc<Pod>) -> Arc<Pod> {
        match self.allocated.get(&spec.metadata.uid) {
            Some(given) => allocation::apply(spec, &given),
            None => spec.clone(),
        }
    }

    /// Notes what a container is about to be started with.
    pub fn starting(&self, spec: &Pod, container: &Container) {
        if !pod_has(spec, container) {
            return;
        }
        let started = plan::effective(spec.spec.resources.as_deref(), &container.resources);
        self.actuate(&spec.metadata.uid, |record| {
            if record.containers.is_empty() {
                record.pod = spec.spec.resources.as_deref().cloned();
            }
            record.containers.insert(container.name.clone(), started);
        });
    }

    /// Changes what the runtime was told; a change that can't be kept is told again after a restart.
    pub fn actuate(&self, uid: &str, change: impl FnOnce(&mut PodResources)) {
        let mut record = self.actuated.get(uid).unwrap_or_default();
        change(&mut record);
        if let Err(error) = self.actuated.set(uid, record) {
            tracing::warn!(uid, %error, "cannot keep what containers were given");
        }
    }

    /// Takes containers of a kubelet that kept no record for what they were given, rather than restart them.
    pub fn adopt(&self, spec: &Pod, state: &PodState) {
        let record = self.actuated.get(&spec.metadata.uid).unwrap_or_default();
        for container in allocation::resizable(spec) {
            let runs = state
                .find(&container.name)
                .is_some_and(|status| status.state == ContainerState::Running);
            if runs && !record.containers.contains_key(&container.name) {
                self.starting(spec, container);
            }
        }
    }

    /// Adds to the runtime's view what only this kubelet knows: the kernel isn't told of memory requests.
    pub fn complete(&self, state: &mut PodState) {
        let Some(record) = self.actuated.get(&state.uid) else {
            return;
        };
        for status in &mut state.containers {
            let given = record.containers.get(&status.name);
            status.resources.memory_request = given
                .and_then(|given| given.requests.get("memory"))
                .map(Quantity::value);
        }
    }

    /// Forgets pods that nobody knows any more.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        for checkpoint in [&self.allocated, &self.actuated] {
            if let Err(error) = checkpoint.retain(&wanted) {
                tracing::warn!(%error, "cannot forget the resources of pods that are gone");
            }
        }
        self.conditions.retain(&wanted);
    }
}

fn pod_has(spec: &Pod, container: &Container) -> bool {
    allocation::resizable(spec).any(|other| other.name == container.name)
}
