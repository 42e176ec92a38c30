//! What all watches together have said, shared between them and the proxiers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::core::v1::{Node, Service};
use api::discovery::v1::EndpointSlice;
use api::networking::v1::ServiceCIDR;
use controller_runtime::watcher::Change;
use ipnet::IpNet;
use tokio::sync::Notify;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::model::{Family, ServiceName};
use crate::node::NodeInfo;
use crate::services::service_name;
use crate::slices::owner;
use crate::tracker::{Effect, Tracker};

/// One family's view, with the way to wake its proxier.
pub struct FamilyState {
    pub tracker: Tracker,
    pub changed: Arc<Notify>,
}

/// The state of the whole daemon.
pub struct State {
    pub families: Vec<FamilyState>,
    pub node: NodeInfo,
    pub service_cidrs: Vec<(String, Vec<IpNet>)>,
    synced: Synced,
}

/// Rules made from half of what there is would cut off running connections.
#[derive(Clone, Copy, Debug, Default)]
struct Synced {
    services: bool,
    slices: bool,
    node: bool,
}

/// The shared state, and those whom changes concern.
pub struct Shared {
    state: Mutex<State>,
    node_name: String,
    health: Health,
    metrics: Metrics,
}

impl State {
    pub fn is_synced(&self) -> bool {
        self.synced.services && self.synced.slices && self.synced.node
    }

    pub fn family(&mut self, family: Family) -> Option<&mut FamilyState> {
        self.families
            .iter_mut()
            .find(|state| state.tracker.family() == family)
    }

    /// The service ranges of a family, as text.
    pub fn service_cidrs(&self, family: Family) -> Vec<String> {
        let all: BTreeSet<IpNet> = self
            .service_cidrs
            .iter()
            .flat_map(|(_, nets)| nets)
            .copied()
            .collect();
        all.into_iter()
            .filter(|net| Family::of_net(net) == family)
            .map(|net| net.to_string())
            .collect()
    }

    /// Applies a change to every family and wakes those that it concerns.
    fn update(&mut self, change: impl Fn(&mut Tracker) -> Effect) -> Effect {
        let mut any = Effect::Unchanged;
        for family in &mut self.families {
            if change(&mut family.tracker) == Effect::Changed {
                family.changed.notify_one();
                any = Effect::Changed;
            }
        }
        any
    }

    fn wake_all(&self) {
        for family in &self.families {
            family.changed.notify_one();
        }
    }
}

impl Shared {
    pub fn new(trackers: Vec<Tracker>, node_name: String, health: Health, metrics: Metrics) -> Self {
        let families = trackers
            .into_iter()
            .map(|tracker| FamilyState {
                tracker,
                changed: Arc::default(),
            })
            .collect();
        let state = State {
            families,
            node: NodeInfo::default(),
            service_cidrs: Vec::new(),
            synced: Synced::default(),
        };
        Self {
            state: Mutex::new(state),
            node_name,
            health,
            metrics,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn node_name(&self) -> &str {
        &self.node_name
    }

    pub fn take_service(&self, change: Change<Service>) {
        let mut state = self.lock();
        let effect = match change {
            Change::Apply(service) => state.update(|tracker| tracker.apply_service(&service)),
            Change::Delete(service) => {
                state.update(|tracker| tracker.delete_service(&service_name(&service)))
            }
            Change::Replace(services) => {
                let names: BTreeSet<ServiceName> = services.iter().map(service_name).collect();
                state.update(|tracker| tracker.retain_services(&names));
                for service in &services {
                    state.update(|tracker| tracker.apply_service(service));
                }
                state.synced.services = true;
                state.wake_all();
                Effect::Changed
            }
        };
        if effect == Effect::Changed {
            self.metrics.service_changes.inc();
            self.metrics.service_changes_pending.inc();
        }
    }

    pub fn take_slice(&self, change: Change<EndpointSlice>) {
        let mut state = self.lock();
        let effect = match change {
            Change::Apply(slice) => state.update(|tracker| tracker.apply_slice(&slice)),
            Change::Delete(slice) => match owner(&slice) {
                Some(service) => state.update(|tracker| tracker.delete_slice(&service, &slice.metadata.name)),
                None => Effect::Unchanged,
            },
            Change::Replace(slices) => {
                let key = |slice: &EndpointSlice| Some((owner(slice)?, slice.metadata.name.clone()));
                let keys: BTreeSet<_> = slices.iter().filter_map(key).collect();
                state.update(|tracker| tracker.retain_slices(&keys));
                for slice in &slices {
                    state.update(|tracker| tracker.apply_slice(slice));
                }
                state.synced.slices = true;
                state.wake_all();
                Effect::Changed
            }
        };
        if effect == Effect::Changed {
            self.metrics.endpoint_changes.inc();
            self.metrics.endpoint_changes_pending.inc();
        }
    }

    /// The watch is for this node alone.
    pub fn take_node(&self, change: Change<Node>) {
        let new = match &change {
            Change::Apply(node) => NodeInfo::new(node),
            Change::Delete(_) => NodeInfo::default(),
            Change::Replace(nodes) => nodes.first().map(NodeInfo::new).unwrap_or_default(),
        };
        self.health.set_node_eligible(new.eligible);
        let mut state = self.lock();
        if state.node != new || !state.synced.node {
            state.node = new;
            state.synced.node = true;
            state.wake_all();
        }
    }

    pub fn take_service_cidr(&self, change: Change<ServiceCIDR>) {
        let entry = |cidr: &ServiceCIDR| {
            let nets = cidr
                .spec
                .cidrs
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect();
            (cidr.metadata.name.clone(), nets)
        };
        let mut state = self.lock();
        let mut new = state.service_cidrs.clone();
        match &change {
            Change::Replace(cidrs) => new = cidrs.iter().map(entry).collect(),
            Change::Apply(cidr) => {
                new.retain(|(name, _)| *name != cidr.metadata.name);
                new.push(entry(cidr));
            }
            Change::Delete(cidr) => new.retain(|(name, _)| *name != cidr.metadata.name),
        }
        new.sort();
        if state.service_cidrs != new {
            state.service_cidrs = new;
            state.wake_all();
        }
    }
}

#[cfg(test)]
mod tests;
