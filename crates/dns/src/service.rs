//! Services and EndpointSlices, reduced to what names need.

use std::net::IpAddr;

use api::core::v1::Service as ApiService;
use api::discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice};

const LABEL_SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    pub namespace: Box<str>,
    pub name: Box<str>,
}

impl ServiceKey {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Empty when the port has no name.
    pub name: Box<str>,
    /// In lower case, as in `_tcp`.
    pub protocol: &'static str,
    pub number: u16,
}

/// Where a service's name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    ClusterIps(Vec<IpAddr>),
    /// To each endpoint.
    Headless,
    /// To another name.
    External(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub target: Target,
    pub ports: Vec<Port>,
}

impl Service {
    /// `None` for a service that has no address yet.
    pub fn new(service: &ApiService) -> Option<Self> {
        let spec = &service.spec;
        let ips = || spec.cluster_ips.iter().chain([&spec.cluster_ip]);
        let target = if spec.type_ == "ExternalName" {
            Target::External(spec.external_name.trim_end_matches('.').into())
        } else if ips().any(|ip| ip == "None") {
            Target::Headless
        } else {
            let mut addresses: Vec<IpAddr> = ips().filter_map(|ip| ip.parse().ok()).collect();
            addresses.sort();
            addresses.dedup();
            if addresses.is_empty() {
                return None;
            }
            Target::ClusterIps(addresses)
        };
        let port = |port: &api::core::v1::ServicePort| make_port(&port.name, &port.protocol, port.port);
        Some(Self {
            target,
            ports: spec.ports.iter().filter_map(port).collect(),
        })
    }
}

/// An endpoint that may be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub ip: IpAddr,
    pub hostname: Option<Box<str>>,
}

impl Endpoint {
    /// The label that stands before the service's name: the host name, or the address with dashes.
    pub fn label(&self) -> String {
        match &self.hostname {
            Some(name) => name.to_string(),
            None => self.ip.to_string().replace(['.', ':'], "-"),
        }
    }
}

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub ports: Vec<Port>,
    pub endpoints: Vec<Endpoint>,
}

impl Slice {
    /// Of the endpoints only those that are ready, which includes unready ones of services that publish these.
    pub fn new(slice: &EndpointSlice) -> Self {
        let port = |port: &api::discovery::v1::EndpointPort| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            make_port(&text(&port.name), &text(&port.protocol), port.port?)
        };
        let ready = slice
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.conditions.ready.unwrap_or(true));
        let endpoints = |endpoint: &ApiEndpoint| {
            let hostname: Option<Box<str>> = endpoint
                .hostname
                .as_deref()
                .filter(|name| !name.is_empty())
                .map(|name| name.to_lowercase().into());
            let ips: Vec<IpAddr> = endpoint
                .addresses
                .iter()
                .filter_map(|ip| ip.parse().ok())
                .collect();
            ips.into_iter().map(move |ip| Endpoint {
                ip,
                hostname: hostname.clone(),
            })
        };
        Self {
            ports: slice.ports.iter().filter_map(port).collect(),
            endpoints: ready.flat_map(endpoints).collect(),
        }
    }
}

/// The service that a slice belongs to.
pub fn owner(slice: &EndpointSlice) -> Option<ServiceKey> {
    let name = slice
        .metadata
        .labels
        .get(LABEL_SERVICE_NAME)
        .filter(|name| !name.is_empty())?;
    Some(ServiceKey::new(&slice.metadata.namespace, name))
}

fn make_port(name: &str, protocol: &str, number: i32) -> Option<Port> {
    let protocol = match protocol {
        "" | "TCP" => "tcp",
        "UDP" => "udp",
        "SCTP" => "sctp",
        _ => return None,
    };
    Some(Port {
        name: name.into(),
        protocol,
        number: u16::try_from(number).ok()?,
    })
}
