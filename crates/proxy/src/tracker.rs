//! What the API says, kept in the form that rules are made from, one family at a time. Objects come in by
//! watch events; the tracker says whether anything changed that packets could notice.

use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::Service;
use api::discovery::v1::EndpointSlice;
use jiff::Timestamp;

use crate::model::{Endpoint, Family, Protocol, ServiceName, ServicePort, ServicePortName};
use crate::services::{ExternalIps, service_name, service_ports};
use crate::slices::{Slice, endpoints_by_port, owner};

/// Whether an input changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Changed,
    Unchanged,
}

impl From<bool> for Effect {
    fn from(changed: bool) -> Self {
        if changed {
            Effect::Changed
        } else {
            Effect::Unchanged
        }
    }
}

/// The state of one family.
#[derive(Debug)]
pub struct Tracker {
    family: Family,
    node: String,
    external_ips: ExternalIps,
    service_ports: BTreeMap<ServicePortName, ServicePort>,
    slices: BTreeMap<ServiceName, BTreeMap<String, Slice>>,
    endpoints: BTreeMap<ServicePortName, Vec<Endpoint>>,
    udp_endpoints_changed: bool,
    started: Timestamp,
    triggers: Vec<Timestamp>,
}

/// What the endpoint slice controller notes: when the change happened that the slice shows.
const TRIGGER_TIME_ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Trigger times kept between two syncs; they are samples for a histogram.
const MAX_TRIGGERS: usize = 1000;

impl Tracker {
    /// `started` is now: changes from before are not measured.
    pub fn new(
        family: Family,
        node: impl Into<String>,
        external_ips: ExternalIps,
        started: Timestamp,
    ) -> Self {
        Self {
            started,
            triggers: Vec::new(),
            family,
            node: node.into(),
            external_ips,
            service_ports: BTreeMap::new(),
            slices: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            udp_endpoints_changed: false,
        }
    }

    pub fn family(&self) -> Family {
        self.family
    }

    pub fn service_ports(&self) -> &BTreeMap<ServicePortName, ServicePort> {
        &self.service_ports
    }

    pub fn endpoints(&self) -> &BTreeMap<ServicePortName, Vec<Endpoint>> {
        &self.endpoints
    }

    /// Takes a new or changed Service.
    pub fn apply_service(&mut self, service: &Service) -> Effect {
        let ports = service_ports(service, self.family, self.external_ips);
        self.replace_service(&service_name(service), ports)
    }

    pub fn delete_service(&mut self, name: &ServiceName) -> Effect {
        self.replace_service(name, Vec::new())
    }

    /// Forgets every service that `keep` does not name: after a relist.
    pub fn retain_services(&mut self, keep: &BTreeSet<ServiceName>) -> Effect {
        let before = self.service_ports.len();
        self.service_ports.retain(|name, _| keep.contains(&name.service));
        (before != self.service_ports.len()).into()
    }

    fn replace_service(
        &mut self,
        service: &ServiceName,
        ports: Vec<(ServicePortName, ServicePort)>,
    ) -> Effect {
        let new: BTreeMap<_, _> = ports.into_iter().collect();
        let old = take_service(&mut self.service_ports, service);
        let effect = (old != new).into();
        self.service_ports.extend(new);
        effect
    }

    /// Takes a new or changed EndpointSlice.
    pub fn apply_slice(&mut self, slice: &EndpointSlice) -> Effect {
        let Some(service) = owner(slice) else {
            return Effect::Unchanged;
        };
        let name = &slice.metadata.name;
        // A slice keeps its address type, so of another family means never ours.
        let Some(new) = Slice::new(slice, self.family, &self.node) else {
            return Effect::Unchanged;
        };
        let slices = self.slices.entry(service.clone()).or_default();
        if slices.get(name) == Some(&new) {
            return Effect::Unchanged;
        }
        slices.insert(name.clone(), new);
        let effect = self.recompute_endpoints(&service);
        let trigger = slice
            .metadata
            .annotations
            .get(TRIGGER_TIME_ANNOTATION)
            .and_then(|text| text.parse::<Timestamp>().ok());
        let recent = trigger.filter(|trigger| *trigger >= self.started && effect == Effect::Changed);
        if self.triggers.len() < MAX_TRIGGERS {
            self.triggers.extend(recent);
        }
        effect
    }

    pub fn delete_slice(&mut self, service: &ServiceName, slice: &str) -> Effect {
        let Some(slices) = self.slices.get_mut(service) else {
            return Effect::Unchanged;
        };
        if slices.remove(slice).is_none() {
            return Effect::Unchanged;
        }
        if slices.is_empty() {
            self.slices.remove(service);
        }
        self.recompute_endpoints(service)
    }

    /// Forgets every slice that `keep` does not name: after a relist.
    pub fn retain_slices(&mut self, keep: &BTreeSet<(ServiceName, String)>) -> Effect {
        let gone: Vec<(ServiceName, String)> = self
            .slices
            .iter()
            .flat_map(|(service, slices)| slices.keys().map(|slice| (service.clone(), slice.clone())))
            .filter(|key| !keep.contains(key))
            .collect();
        let mut effect = Effect::Unchanged;
        for (service, slice) in gone {
            if self.delete_slice(&service, &slice) == Effect::Changed {
                effect = Effect::Changed;
            }
        }
        effect
    }

    fn recompute_endpoints(&mut self, service: &ServiceName) -> Effect {
        let new = endpoints_by_port(
            service,
            self.slices.get(service).into_iter().flat_map(BTreeMap::values),
        );
        let old = take_service(&mut self.endpoints, service);
        if old == new {
            self.endpoints.extend(new);
            return Effect::Unchanged;
        }
        self.udp_endpoints_changed |= old
            .keys()
            .chain(new.keys())
            .any(|name| name.protocol == Protocol::Udp);
        self.endpoints.extend(new);
        Effect::Changed
    }

    /// Whether UDP endpoints changed since the last call. UDP has no connections that end, so the kernel would go
    /// on sending known flows where the old rules sent them.
    pub fn take_udp_endpoints_changed(&mut self) -> bool {
        std::mem::take(&mut self.udp_endpoints_changed)
    }

    /// Notes that connection tracking still needs cleaning, after a failed sync.
    pub fn restore_udp_endpoints_changed(&mut self) {
        self.udp_endpoints_changed = true;
    }

    /// When the changes happened that no sync has applied yet.
    pub fn take_triggers(&mut self) -> Vec<Timestamp> {
        std::mem::take(&mut self.triggers)
    }

    /// Health check node ports, by service.
    pub fn health_check_node_ports(&self) -> BTreeMap<ServiceName, u16> {
        let port = |(name, port): (&ServicePortName, &ServicePort)| {
            Some((name.service.clone(), port.health_check_node_port?))
        };
        self.service_ports.iter().filter_map(port).collect()
    }

    /// How many distinct local addresses are ready, by service. Terminating ones don't count: the load balancer
    /// should turn away from a node that only has those.
    pub fn local_ready_endpoints(&self) -> BTreeMap<ServiceName, usize> {
        let mut ips: BTreeMap<&ServiceName, BTreeSet<std::net::IpAddr>> = BTreeMap::new();
        for (name, endpoints) in &self.endpoints {
            for endpoint in endpoints.iter().filter(|e| e.local && e.ready) {
                ips.entry(&name.service)
                    .or_default()
                    .insert(endpoint.address.ip());
            }
        }
        ips.into_iter()
            .map(|(service, ips)| (service.clone(), ips.len()))
            .collect()
    }
}

/// Takes out the entries of one service, which are neighbours in the map's order.
fn take_service<T>(
    map: &mut BTreeMap<ServicePortName, T>,
    service: &ServiceName,
) -> BTreeMap<ServicePortName, T> {
    let first = ServicePortName {
        service: service.clone(),
        port: "".into(),
        protocol: Protocol::Tcp,
    };
    let keys: Vec<_> = map
        .range(first..)
        .map(|(key, _)| key)
        .take_while(|key| key.service == *service)
        .cloned()
        .collect();
    keys.into_iter()
        .filter_map(|key| map.remove_entry(&key))
        .collect()
}

#[cfg(test)]
mod tests;
