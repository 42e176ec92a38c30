//! From EndpointSlice objects to the endpoints of a service's ports.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice};

use crate::model::{Endpoint, Family, Protocol, ServiceName, ServicePortName};

const LABEL_SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An EndpointSlice reduced to what rules need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    ports: Vec<(Arc<str>, Protocol, u16)>,
    endpoints: Vec<Backend>,
}

/// An endpoint without its port: slices have few ports and many endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Backend {
    ip: IpAddr,
    local: bool,
    ready: bool,
    serving: bool,
    terminating: bool,
    zone_hints: Arc<[String]>,
    node_hints: Arc<[String]>,
}

/// The service that a slice belongs to; `None` for a slice that belongs to none.
pub fn owner(slice: &EndpointSlice) -> Option<ServiceName> {
    let service = slice
        .metadata
        .labels
        .get(LABEL_SERVICE_NAME)
        .filter(|name| !name.is_empty())?;
    Some(ServiceName::new(&slice.metadata.namespace, service))
}

impl Slice {
    /// `None` when the slice is of another family.
    pub fn new(slice: &EndpointSlice, family: Family, node: &str) -> Option<Self> {
        if slice.address_type != family.as_str() {
            return None;
        }
        let port = |p: &api::discovery::v1::EndpointPort| {
            let number = u16::try_from(p.port?).ok().filter(|n| *n != 0)?;
            let protocol = Protocol::from_api(p.protocol.as_deref().unwrap_or_default())?;
            Some((p.name.as_deref()?.into(), protocol, number))
        };
        Some(Self {
            ports: slice.ports.iter().filter_map(port).collect(),
            endpoints: slice
                .endpoints
                .iter()
                .filter_map(|e| Backend::new(e, family, node))
                .collect(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.ports.is_empty() || self.endpoints.is_empty()
    }
}

impl Backend {
    fn new(endpoint: &ApiEndpoint, family: Family, node: &str) -> Option<Self> {
        // Consumers use the first address: the others are reserved.
        let ip: IpAddr = endpoint.addresses.first()?.parse().ok()?;
        let conditions = &endpoint.conditions;
        let hints = endpoint.hints.as_deref();
        (Family::of(ip) == family).then(|| Self {
            ip,
            local: !node.is_empty() && endpoint.node_name.as_deref() == Some(node),
            ready: conditions.ready.unwrap_or(true),
            serving: conditions.serving.unwrap_or(true),
            terminating: conditions.terminating.unwrap_or(false),
            zone_hints: hints
                .iter()
                .flat_map(|h| &h.for_zones)
                .map(|zone| zone.name.clone())
                .collect(),
            node_hints: hints
                .iter()
                .flat_map(|h| &h.for_nodes)
                .map(|node| node.name.clone())
                .collect(),
        })
    }

    fn at(&self, port: u16) -> Endpoint {
        Endpoint {
            address: SocketAddr::new(self.ip, port),
            local: self.local,
            ready: self.ready,
            serving: self.serving,
            terminating: self.terminating,
            zone_hints: Arc::clone(&self.zone_hints),
            node_hints: Arc::clone(&self.node_hints),
        }
    }
}

/// The endpoints of every port of a service, from all its slices, in address order. While an endpoint moves
/// from one slice to another both may show it; one that isn't terminating wins.
pub fn endpoints_by_port<'a>(
    service: &ServiceName,
    slices: impl IntoIterator<Item = &'a Slice>,
) -> BTreeMap<ServicePortName, Vec<Endpoint>> {
    let mut merged: BTreeMap<ServicePortName, BTreeMap<SocketAddr, Endpoint>> = BTreeMap::new();
    for slice in slices {
        for (port, protocol, number) in &slice.ports {
            let key = ServicePortName {
                service: service.clone(),
                port: Arc::clone(port),
                protocol: *protocol,
            };
            let endpoints = merged.entry(key).or_default();
            for backend in &slice.endpoints {
                let endpoint = backend.at(*number);
                if !endpoint.terminating || !endpoints.contains_key(&endpoint.address) {
                    endpoints.insert(endpoint.address, endpoint);
                }
            }
        }
    }
    merged
        .into_iter()
        .map(|(name, endpoints)| (name, endpoints.into_values().collect()))
        .collect()
}
