//! What to write so that a service's slices show its pods. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{Node, Pod, Service};
use api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use super::desired::{self, Family};
use super::packing::{self, Packed};
use crate::service_pods::has_endpoint;

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Create(Box<EndpointSlice>),
    Update(Box<EndpointSlice>),
    Delete(Arc<EndpointSlice>),
}

pub struct Observed<'a> {
    pub service: &'a Service,
    /// The pods that it selects.
    pub pods: Vec<Arc<Pod>>,
    /// Its slices that this controller manages.
    pub slices: Vec<Arc<EndpointSlice>>,
    pub node: &'a dyn Fn(&str) -> Option<Arc<Node>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// A node that a pod says it is on and that isn't known (yet): its endpoint is left out, to be tried again.
    pub missing_node: Option<String>,
}

pub fn plan(observed: &Observed<'_>, max_endpoints: usize) -> Plan {
    let mut plan = Plan::default();
    let families = desired::families(observed.service);
    let (kept, foreign): (Vec<_>, Vec<_>) = observed.slices.iter().cloned().partition(|slice| {
        families
            .iter()
            .any(|family| family.as_str() == slice.address_type)
    });
    for family in families {
        let of_family = |slice: &&Arc<EndpointSlice>| slice.address_type == family.as_str();
        let slices: Vec<_> = kept.iter().filter(of_family).cloned().collect();
        plan_family(observed, family, slices, max_endpoints, &mut plan);
    }
    plan.actions.extend(foreign.into_iter().map(Action::Delete));
    plan
}

/// Endpoints that share a set of ports, and the slices that have that set.
#[derive(Default)]
struct Group {
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
    existing: Vec<Arc<EndpointSlice>>,
}

fn plan_family(
    observed: &Observed<'_>,
    family: Family,
    slices: Vec<Arc<EndpointSlice>>,
    max_endpoints: usize,
    plan: &mut Plan,
) {
    let service = observed.service;
    let total = slices.len();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut packed = Packed::default();
    for slice in slices {
        if owned(&slice, service) {
            groups
                .entry(desired::port_key(&slice.ports))
                .or_default()
                .existing
                .push(slice);
        } else {
            // Of a former service of that name.
            packed.delete.push(slice);
        }
    }
    add_desired(observed, family, &mut groups, plan);
    for group in groups.into_values() {
        let labels = desired::labels(service);
        let renew = |slice: &mut EndpointSlice| {
            let changed = slice.metadata.labels != labels;
            slice.metadata.labels = labels.clone();
            changed
        };
        let make = || desired::new_slice(service, &group.ports, family);
        let part = packing::pack(&group.existing, group.endpoints, max_endpoints, renew, make);
        packed.create.extend(part.create);
        packed.update.extend(part.update);
        packed.delete.extend(part.delete);
    }
    if packed.create.is_empty() && packed.delete.len() == total {
        leave_placeholder(service, family, &mut packed);
    }
    plan.actions.extend(reuse_deleted(packed, service));
}

fn add_desired(
    observed: &Observed<'_>,
    family: Family,
    groups: &mut BTreeMap<String, Group>,
    plan: &mut Plan,
) {
    let service = observed.service;
    for pod in observed.pods.iter().filter(|pod| has_endpoint(pod, true)) {
        let node = (observed.node)(&pod.spec.node_name);
        if node.is_none() && !service.spec.publish_not_ready_addresses {
            plan.missing_node = Some(pod.spec.node_name.clone());
            continue;
        }
        let Some(endpoint) = desired::endpoint(service, pod, node.as_deref(), family) else {
            continue;
        };
        let ports = desired::ports(service, pod);
        let group = groups.entry(desired::port_key(&ports)).or_default();
        group.ports = ports;
        group.endpoints.push(endpoint);
    }
}

fn owned(slice: &EndpointSlice, service: &Service) -> bool {
    slice
        .metadata
        .owner_references
        .iter()
        .any(|owner| owner.uid == service.metadata.uid)
}

/// A service without endpoints has one empty slice, so that proxies can tell "none" from "not yet known".
fn leave_placeholder(service: &Service, family: Family, packed: &mut Packed) {
    let placeholder = desired::new_slice(service, &[], family);
    let same = |slice: &Arc<EndpointSlice>| {
        slice.endpoints.is_empty()
            && slice.ports.is_empty()
            && slice.metadata.labels == placeholder.metadata.labels
            && owned(slice, service)
    };
    if packed.delete.len() == 1 && packed.delete.iter().all(same) {
        packed.delete.clear();
    } else {
        packed.create.push(placeholder);
    }
}

/// Creating one slice and deleting another is one update instead.
fn reuse_deleted(mut packed: Packed, service: &Service) -> Vec<Action> {
    let mut remaining = Vec::new();
    for old in packed.delete {
        if !owned(&old, service) {
            remaining.push(old);
            continue;
        }
        match packed.create.pop() {
            Some(new) => {
                let mut updated = (*old).clone();
                updated.metadata.labels = new.metadata.labels;
                updated.endpoints = new.endpoints;
                updated.ports = new.ports;
                packed.update.push(updated);
            }
            None => remaining.push(old),
        }
    }
    let create = packed
        .create
        .into_iter()
        .map(|slice| Action::Create(Box::new(slice)));
    let update = packed
        .update
        .into_iter()
        .map(|slice| Action::Update(Box::new(slice)));
    create
        .chain(update)
        .chain(remaining.into_iter().map(Action::Delete))
        .collect()
}

#[cfg(test)]
mod tests;
