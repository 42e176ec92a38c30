//! A port for each service with `healthCheckNodePort`, by which a load balancer learns whether this node has
//! endpoints of the service.
//!
//! Upstream: pkg/proxy/healthcheck/service_health.go

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use component_base::serving::{Request, Response, Server, body};
use component_base::shutdown::Shutdown;
use http::{HeaderValue, StatusCode};
use tokio::net::TcpListener;
use tracing::{debug, warn};

use crate::health::Health;
use crate::model::{Family, ServiceName};
use crate::rules::NodePortDestinations;

/// The servers of one family.
pub struct ServiceHealth {
    family: Family,
    health: Health,
    shutdown: Shutdown,
    servers: BTreeMap<ServiceName, Running>,
    local_endpoints: Arc<Mutex<BTreeMap<ServiceName, usize>>>,
}

struct Running {
    port: u16,
    addresses: Vec<IpAddr>,
    shutdown: Shutdown,
}

/// A port that can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to start healthcheck {service:?} on port {port}: {source}", service = service.to_string())]
pub struct Error {
    pub service: ServiceName,
    pub port: u16,
    pub source: std::io::Error,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl ServiceHealth {
    pub fn new(family: Family, health: Health, shutdown: Shutdown) -> Self {
        Self {
            family,
            health,
            shutdown,
            servers: BTreeMap::new(),
            local_endpoints: Arc::default(),
        }
    }

    /// Opens and closes ports as wanted, and takes note of the numbers of local endpoints. A port that can't be
    /// opened is tried again on the next call.
    pub async fn sync(
        &mut self,
        ports: &BTreeMap<ServiceName, u16>,
        endpoints: BTreeMap<ServiceName, usize>,
        destinations: &NodePortDestinations,
    ) -> Vec<Error> {
        *lock(&self.local_endpoints) = endpoints;
        let addresses = self.listen_addresses(destinations);
        self.servers.retain(|service, running| {
            ports.get(service) == Some(&running.port) && running.addresses == addresses
        });
        let mut errors = Vec::new();
        for (service, port) in ports {
            if self.servers.contains_key(service) {
                continue;
            }
            match self.start(service, *port, &addresses).await {
                Ok(running) => {
                    self.servers.insert(service.clone(), running);
                }
                Err(source) => errors.push(Error {
                    service: service.clone(),
                    port: *port,
                    source,
                }),
            }
        }
        errors
    }

    fn listen_addresses(&self, destinations: &NodePortDestinations) -> Vec<IpAddr> {
        match (destinations, self.family) {
            (NodePortDestinations::Only(ips), _) => ips.clone(),
            (NodePortDestinations::AllLocal, Family::V4) => vec![Ipv4Addr::UNSPECIFIED.into()],
            (NodePortDestinations::AllLocal, Family::V6) => vec![Ipv6Addr::UNSPECIFIED.into()],
        }
    }

    async fn start(
        &self,
        service: &ServiceName,
        port: u16,
        addresses: &[IpAddr],
    ) -> std::io::Result<Running> {
        let mut listeners = Vec::new();
        for ip in addresses {
            listeners.push(listen(SocketAddr::new(*ip, port))?);
        }
        let shutdown = self.shutdown.child();
        for listener in listeners {
            let (service, health) = (service.clone(), self.health.clone());
            let endpoints = Arc::clone(&self.local_endpoints);
            let handler = move |_: Request| {
                let count = lock(&endpoints).get(&service).copied().unwrap_or(0);
                let response = respond(&service, count, health.is_healthy());
                async move { response }
            };
            tokio::spawn(Server::default().serve(listener, None, Arc::new(handler), shutdown.clone()));
        }
        debug!(service = %service, port, "health check port opened");
        Ok(Running {
            port,
            addresses: addresses.to_vec(),
            shutdown,
        })
    }
}

fn lock(counts: &Mutex<BTreeMap<ServiceName, usize>>) -> MutexGuard<'_, BTreeMap<ServiceName, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// IPv6 without IPv4 within, whose port the other family's server has.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM.nonblocking(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

fn respond(service: &ServiceName, local_endpoints: usize, proxy_healthy: bool) -> Response {
    let status = match local_endpoints > 0 && proxy_healthy {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let document = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{}\",\n\t\t\"name\": \"{}\"\n\t}},\n\
         \t\"localEndpoints\": {local_endpoints},\n\t\"serviceProxyHealthy\": {proxy_healthy}\n}}",
        service.namespace, service.name
    );
    let mut response = body::text(status, document);
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        "x-load-balancing-endpoint-weight",
        HeaderValue::from(local_endpoints),
    );
    response
}

/// Says in the log what failed; the caller may also make events of it.
pub fn log(errors: &[Error]) {
    for error in errors {
        warn!(service = %error.service, port = error.port, error = %error.source, "health check port can't be opened");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use component_base::clock::SystemClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(port: u16) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    async fn free_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn a_service_tells_of_its_local_endpoints() {
        let health = Health::new(SystemClock::shared(), Duration::from_secs(60));
        let mut servers = ServiceHealth::new(Family::V4, health, Shutdown::new());
        let only = NodePortDestinations::Only(vec![Ipv4Addr::LOCALHOST.into()]);
        let name = ServiceName::new("ns", "svc");
        let (first, second) = (free_port().await, free_port().await);

        let count = |n| BTreeMap::from([(name.clone(), n)]);
        let ports = |port| BTreeMap::from([(name.clone(), port)]);
        assert!(servers.sync(&ports(first), count(2), &only).await.is_empty());
        let answer = get(first).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer
                .to_lowercase()
                .contains("x-load-balancing-endpoint-weight: 2"),
            "{answer}"
        );
        assert!(answer.contains("\"localEndpoints\": 2"), "{answer}");

        servers.sync(&ports(first), BTreeMap::new(), &only).await;
        assert!(get(first).await.unwrap().starts_with("HTTP/1.1 503"));

        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, second)).await.unwrap();
        let errors = servers.sync(&ports(second), count(1), &only).await;
        let expected = format!("failed to start healthcheck \"ns/svc\" on port {second}: ");
        assert!(errors[0].to_string().starts_with(&expected), "{}", errors[0]);
        drop(taken);
        assert!(
            servers.sync(&ports(second), count(1), &only).await.is_empty(),
            "it is tried again"
        );
        assert!(get(second).await.unwrap().starts_with("HTTP/1.1 200"));
    }
}
