//! Where a service is reached: at its own address, or at one of its endpoints.

use std::net::SocketAddr;
use std::sync::Arc;

use api::core::v1::Service;
use api::discovery::v1::EndpointSlice;
use auth::Objects;

/// Which address of a service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// The service's own: something between here and there forwards.
    ClusterIp,
    /// A ready endpoint's, for servers that don't reach service addresses (`--enable-aggregator-routing`).
    Endpoints,
}

/// Why a service can't be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("service {0:?} not found")]
    NotFound(String),
    #[error("no service port {port} found for service {name:?}")]
    NoPort { name: String, port: i32 },
    #[error("cannot route to service with ClusterIP \"None\"")]
    Headless,
    #[error("unsupported service type {0:?}")]
    Unsupported(String),
    #[error("no endpoints available for service {0:?}")]
    NoEndpoints(String),
}

/// Host and port of something to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    /// As a URL states it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// How services are reached.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub routing: Routing,
    /// Where this server itself is: the `kubernetes` service needs no detour.
    pub own: Option<SocketAddr>,
}

impl Reach {
    /// Finds services so, through these caches.
    pub fn services(self, objects: Arc<dyn Objects>) -> Services {
        Services { objects, reach: self }
    }
}

/// Finds services through the server's caches.
#[derive(Clone)]
pub struct Services {
    pub objects: Arc<dyn Objects>,
    pub reach: Reach,
}

impl Services {
    /// Where a port of a service is called.
    ///
    /// # Errors
    /// There is no such service or port, it is of a type that has no address, or nothing stands behind it.
    pub fn resolve(&self, namespace: &str, name: &str, port: i32) -> Result<Address, Error> {
        if let (Some(own), "default", "kubernetes") = (self.reach.own, namespace, name) {
            return Ok(Address {
                host: own.ip().to_string(),
                port: own.port(),
            });
        }
        let service = self.objects.cached::<Service>(namespace, name);
        let service = service.ok_or_else(|| Error::NotFound(name.to_owned()))?;
        match self.reach.routing {
            Routing::ClusterIp => own_address(&service, port),
            Routing::Endpoints => {
                let port_name = endpoint_port(&service, port)?;
                let slices: Vec<EndpointSlice> = self.objects.cached_all(namespace);
                let chance = uuid::Uuid::new_v4().as_u128() as usize;
                endpoint(&service, &slices, port_name, chance)
            }
        }
    }
}

fn own_address(service: &Service, port: i32) -> Result<Address, Error> {
    let spec = &service.spec;
    let host = match spec.type_.as_str() {
        "ClusterIP" if spec.cluster_ip == "None" => return Err(Error::Headless),
        "ClusterIP" | "LoadBalancer" | "NodePort" => {
            declared(service, port)?;
            &spec.cluster_ip
        }
        "ExternalName" => &spec.external_name,
        other => return Err(Error::Unsupported(other.to_owned())),
    };
    address(service, host, port)
}

fn address(service: &Service, host: &str, port: i32) -> Result<Address, Error> {
    let no_port = || Error::NoPort {
        name: service.metadata.name.clone(),
        port,
    };
    Ok(Address {
        host: host.to_owned(),
        port: u16::try_from(port).map_err(|_| no_port())?,
    })
}

/// The name of a port.
fn declared(service: &Service, port: i32) -> Result<&str, Error> {
    let found = service.spec.ports.iter().find(|declared| declared.port == port);
    found.map(|port| port.name.as_str()).ok_or_else(|| Error::NoPort {
        name: service.metadata.name.clone(),
        port,
    })
}

fn endpoint_port(service: &Service, port: i32) -> Result<&str, Error> {
    match service.spec.type_.as_str() {
        "ClusterIP" | "LoadBalancer" | "NodePort" => declared(service, port),
        other => Err(Error::Unsupported(other.to_owned())),
    }
}

/// One of the ready endpoints, of the service's first address family if it can be.
fn endpoint(
    service: &Service,
    slices: &[EndpointSlice],
    port_name: &str,
    chance: usize,
) -> Result<Address, Error> {
    let preferred = service.spec.ip_families.first().map(String::as_str);
    let mut found: Vec<(bool, &str, i32)> = Vec::new();
    let of_service = |slice: &&EndpointSlice| {
        slice.metadata.labels.get("kubernetes.io/service-name") == Some(&service.metadata.name)
    };
    for slice in slices.iter().filter(of_service) {
        let port = slice
            .ports
            .iter()
            .find(|port| port.name.as_deref() == Some(port_name))
            .and_then(|port| port.port);
        let Some(port) = port else { continue };
        let other_family = preferred.is_some_and(|family| family != slice.address_type);
        let ready = slice
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.conditions.ready != Some(false));
        found.extend(
            ready
                .filter_map(|endpoint| endpoint.addresses.first())
                .map(|ip| (other_family, ip.as_str(), port)),
        );
    }
    let none = || Error::NoEndpoints(service.metadata.name.clone());
    let first = found.iter().filter(|(other, ..)| !other).count();
    let candidates = if first > 0 { first } else { found.len() };
    found.sort_by_key(|(other, ..)| *other);
    let (_, ip, port) = found.get(chance % candidates.max(1)).ok_or_else(none)?;
    address(service, ip, *port)
}

#[cfg(test)]
mod tests {
    use auth::objects::MemoryObjects;
    use serde_json::json;

    use super::*;

    fn parse<T: api::Message + Default>(document: &serde_json::Value) -> T {
        T::from_json(document.to_string().as_bytes()).expect("a document")
    }

    fn check(spec: serde_json::Value, routing: Routing, expected: &str) {
        let objects = MemoryObjects::new();
        let service = json!({ "metadata": { "namespace": "ns", "name": "s" }, "spec": spec });
        objects.insert::<Service>(parse(&service));
        for (name, family, ready) in [("a", "IPv6", true), ("b", "IPv4", false), ("c", "IPv4", true)] {
            let slice = json!({
                "metadata": { "namespace": "ns", "name": name, "labels": { "kubernetes.io/service-name": "s" } },
                "addressType": family,
                "ports": [{ "name": "https", "port": 8443 }],
                "endpoints": [{ "addresses": [name], "conditions": { "ready": ready } }],
            });
            objects.insert::<EndpointSlice>(parse(&slice));
        }
        let reach = Reach {
            routing,
            own: Some(SocketAddr::from(([192, 0, 2, 1], 6443))),
        };
        let services = reach.services(Arc::new(objects));
        let told = match services.resolve("ns", "s", 443) {
            Ok(address) => format!("{}:{}", address.host, address.port),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
        let own = services.resolve("default", "kubernetes", 443).expect("itself");
        assert_eq!((own.host.as_str(), own.port), ("192.0.2.1", 6443));
        let missing = services.resolve("ns", "gone", 443).expect_err("there is none");
        assert_eq!(missing.to_string(), "service \"gone\" not found");
    }

    #[test]
    fn services_have_addresses() {
        let ports = json!([{ "name": "https", "port": 443 }]);
        let cluster_ip =
            json!({ "type": "ClusterIP", "clusterIP": "10.0.0.9", "ports": ports, "ipFamilies": ["IPv4"] });
        check(cluster_ip.clone(), Routing::ClusterIp, "10.0.0.9:443");
        check(cluster_ip, Routing::Endpoints, "c:8443");
        check(
            json!({ "type": "ClusterIP", "clusterIP": "None", "ports": ports }),
            Routing::ClusterIp,
            "cannot route to service with ClusterIP \"None\"",
        );
        check(
            json!({ "type": "ClusterIP", "clusterIP": "10.0.0.9", "ports": [] }),
            Routing::ClusterIp,
            "no service port 443 found for service \"s\"",
        );
        let external = json!({ "type": "ExternalName", "externalName": "x.example.com" });
        check(external.clone(), Routing::ClusterIp, "x.example.com:443");
        check(
            external,
            Routing::Endpoints,
            "unsupported service type \"ExternalName\"",
        );
    }
}
