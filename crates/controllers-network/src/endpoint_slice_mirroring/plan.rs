//! What to write so that slices say what custom Endpoints say. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{EndpointAddress, EndpointSubset, Endpoints};
use api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use apimachinery::validation::{self, canonical_ip, parse_ip_sloppy};
use controller_runtime::ownership::controller_ref;

use super::subsets;
use crate::endpoint_slice::desired::{Family, MANAGED_BY_LABEL, SERVICE_LABEL, port_key};
use crate::endpoint_slice::plan::Action;

/// Who made a mirrored slice.
pub const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Locks of old leader elections are Endpoints without endpoints.
const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";
/// Of the Endpoints alone: when they changed, and who applied what.
const OWN_ANNOTATIONS: [&str; 2] = [
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Whether the Endpoints are for mirroring, as far as they tell.
pub fn is_mirrored(endpoints: &Endpoints) -> bool {
    let metadata = &endpoints.metadata;
    let skipped = metadata
        .labels
        .get(SKIP_LABEL)
        .is_some_and(|value| value == "true");
    !skipped && !metadata.annotations.contains_key(LEADER_ANNOTATION)
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Addresses that can't be read.
    pub invalid: usize,
    /// Those, and the ones beyond the limit.
    pub skipped: usize,
    pub changes: Changes,
}

/// Endpoints by what happens to them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Changes {
    pub added: usize,
    pub updated: usize,
    pub removed: usize,
}

/// The endpoints of one family that share their ports: those become a slice.
struct Group {
    family: Family,
    ports: Vec<EndpointPort>,
    endpoints: BTreeMap<String, Endpoint>,
}

type Key = (Family, String);

/// `slices` are those that mirror the Endpoints now.
pub fn plan(endpoints: &Endpoints, slices: &[Arc<EndpointSlice>], max_endpoints: usize) -> Plan {
    let mut plan = Plan::default();
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for subset in subsets::repack(&endpoints.subsets) {
        add_subset(&subset, max_endpoints, &mut groups, &mut plan);
    }
    let (mut create, mut update, mut delete) = (Vec::new(), Vec::new(), Vec::new());
    let mut existing: BTreeMap<Key, Vec<&Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in slices {
        match family_of(slice) {
            Some(family) => existing
                .entry((family, port_key(&slice.ports)))
                .or_default()
                .push(slice),
            None => delete.push(slice),
        }
    }
    for (key, group) in groups {
        let mut present = existing.remove(&key).unwrap_or_default().into_iter();
        let Some(first) = present.next() else {
            plan.changes.added += group.endpoints.len();
            create.push(renewed(EndpointSlice::default(), endpoints, group));
            continue;
        };
        delete.extend(present);
        let changes = compare(first, &group.endpoints);
        plan.changes.added += changes.added;
        plan.changes.updated += changes.updated;
        plan.changes.removed += changes.removed;
        let slice = renewed((**first).clone(), endpoints, group);
        if changes != Changes::default() || slice.metadata != first.metadata {
            update.push(slice);
        }
    }
    let gone = existing.into_values().flatten();
    delete.extend(gone.inspect(|slice| plan.changes.removed += slice.endpoints.len()));
    recycle(&mut create, &mut update, &mut delete);
    if endpoints.metadata.deletion_timestamp.is_none() {
        let create = create.into_iter().map(|slice| Action::Create(Box::new(slice)));
        plan.actions.extend(create);
    }
    let update = update.into_iter().map(|slice| Action::Update(Box::new(slice)));
    plan.actions.extend(update);
    plan.actions
        .extend(delete.into_iter().map(|slice| Action::Delete(slice.clone())));
    plan
}

fn family_of(slice: &EndpointSlice) -> Option<Family> {
    [Family::IPv4, Family::IPv6]
        .into_iter()
        .find(|family| family.as_str() == slice.address_type)
}

fn add_subset(
    subset: &EndpointSubset,
    max_endpoints: usize,
    groups: &mut BTreeMap<Key, Group>,
    plan: &mut Plan,
) {
    let port = |port: &api::core::v1::EndpointPort| EndpointPort {
        name: Some(port.name.clone()),
        protocol: Some(port.protocol.clone()),
        port: Some(port.port),
        app_protocol: port.app_protocol.clone(),
    };
    let ports: Vec<EndpointPort> = subset.ports.iter().map(port).collect();
    let ready = subset.addresses.iter().map(|address| (address, true));
    let unready = subset.not_ready_addresses.iter().map(|address| (address, false));
    let mut room = max_endpoints;
    for (address, ready) in ready.chain(unready) {
        if room == 0 {
            plan.skipped += 1;
            continue;
        }
        let Some((family, endpoint)) = endpoint(address, ready) else {
            plan.invalid += 1;
            plan.skipped += 1;
            continue;
        };
        room -= 1;
        let group = groups.entry((family, port_key(&ports))).or_insert_with(|| Group {
            family,
            ports: ports.clone(),
            endpoints: BTreeMap::new(),
        });
        group.endpoints.insert(identity(&endpoint), endpoint);
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Option<(Family, Endpoint)> {
    let ip = canonical_ip(parse_ip_sloppy(&address.ip)?);
    let endpoint = Endpoint {
        // An irregular text becomes a regular one.
        addresses: vec![ip.to_string()],
        conditions: EndpointConditions {
            ready: Some(ready),
            ..EndpointConditions::default()
        },
        target_ref: address.target_ref.clone(),
        node_name: address.node_name.clone(),
        hostname: Some(address.hostname.clone()).filter(|name| !name.is_empty()),
        ..Endpoint::default()
    };
    Some((Family::of(&ip), endpoint))
}

/// Whom an endpoint is of and where, whatever its condition.
fn identity(endpoint: &Endpoint) -> String {
    let target = endpoint.target_ref.as_deref();
    let target = target.map(|target| (&target.kind, &target.namespace, &target.name, &target.uid));
    format!("{:?} {:?} {target:?}", endpoint.addresses, endpoint.hostname)
}

fn compare(slice: &EndpointSlice, desired: &BTreeMap<String, Endpoint>) -> Changes {
    let mut changes = Changes {
        added: desired.len(),
        ..Changes::default()
    };
    for endpoint in &slice.endpoints {
        match desired.get(&identity(endpoint)) {
            None => changes.removed += 1,
            Some(wanted) => {
                changes.added = changes.added.saturating_sub(1);
                changes.updated += usize::from(wanted != endpoint);
            }
        }
    }
    changes
}

/// The slice with everything that it mirrors brought up to date.
fn renewed(mut slice: EndpointSlice, endpoints: &Endpoints, group: Group) -> EndpointSlice {
    let (source, metadata) = (&endpoints.metadata, &mut slice.metadata);
    metadata.labels = source.labels.clone();
    metadata.labels.insert(SERVICE_LABEL.into(), source.name.clone());
    metadata.labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    metadata.annotations = source.annotations.clone();
    metadata
        .annotations
        .retain(|key, _| !OWN_ANNOTATIONS.contains(&key.as_str()));
    metadata.owner_references = vec![controller_ref(endpoints)];
    metadata.namespace = source.namespace.clone();
    if metadata.name.is_empty() {
        metadata.generate_name = name_prefix(&source.name);
    }
    slice.address_type = group.family.as_str().into();
    slice.ports = group.ports;
    slice.endpoints = group.endpoints.into_values().collect();
    slice
}

/// With a dash, unless the name is too long for one.
fn name_prefix(name: &str) -> String {
    let prefix = format!("{name}-");
    if validation::is_dns1123_subdomain(&format!("{prefix}x")).is_empty() {
        prefix
    } else {
        name.to_owned()
    }
}

/// Creating one slice and deleting another of its family is one update instead.
fn recycle(
    create: &mut Vec<EndpointSlice>,
    update: &mut Vec<EndpointSlice>,
    delete: &mut Vec<&Arc<EndpointSlice>>,
) {
    let new = std::mem::take(create);
    for mut slice in new {
        let same_family = |old: &&Arc<EndpointSlice>| old.address_type == slice.address_type;
        let Some(index) = delete.iter().position(same_family) else {
            create.push(slice);
            continue;
        };
        let mut metadata = delete.remove(index).metadata.clone();
        metadata.labels = std::mem::take(&mut slice.metadata.labels);
        metadata.annotations = std::mem::take(&mut slice.metadata.annotations);
        metadata.owner_references = std::mem::take(&mut slice.metadata.owner_references);
        slice.metadata = metadata;
        update.push(slice);
    }
}

#[cfg(test)]
mod tests;
