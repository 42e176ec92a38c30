//! The Service `kubernetes`, behind which the cluster's pods find the API server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use api::core::v1::{EndpointPort, Service, ServicePort};
use apimachinery::int_or_string::IntOrString;
use apimachinery::status::Status;
use storage::Store;
use tokio::sync::oneshot;

use super::Bootstrap;
use super::endpoints::{Leases, NAME, NAMESPACE, Reconciler};
use crate::options::EndpointReconcilerType;

const PORT_NAME: &str = "https";
const SERVICE_PORT: i32 = 443;
/// How often the Service and its endpoints are looked after: often enough that a lease does not end.
const INTERVAL: Duration = Duration::from_secs(10);
const READINESS_POLL: Duration = Duration::from_millis(100);

/// Keeps the Service, and this server among its endpoints while it is ready.
pub struct KubernetesService {
    bootstrap: Bootstrap,
    endpoints: Reconciler,
}

impl KubernetesService {
    pub fn new(bootstrap: Bootstrap, store: std::sync::Arc<dyn Store>) -> KubernetesService {
        let address = bootstrap.address;
        let reconciler = bootstrap.options.endpoint_reconciler;
        let endpoints = Reconciler {
            // Nobody but this host can reach a loopback address, and the API refuses such endpoints.
            kind: match address.ip().is_loopback() {
                true => EndpointReconcilerType::None,
                false => reconciler,
            },
            local: bootstrap.local.clone(),
            leases: Leases::new(store),
            address: address.ip(),
            ports: vec![EndpointPort {
                name: PORT_NAME.to_owned(),
                port: i32::from(address.port()),
                protocol: "TCP".to_owned(),
                ..EndpointPort::default()
            }],
        };
        KubernetesService { bootstrap, endpoints }
    }

    /// Works until the server is told to end, and takes it out of the endpoints then. `first` resolves after the
    /// first round.
    pub async fn run(self, first: oneshot::Sender<()>) {
        let shutdown = self.bootstrap.shutdown.clone();
        shutdown.guard(self.keep(first)).await;
        match tokio::time::timeout(2 * INTERVAL, self.endpoints.remove()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "unable to remove endpoints from kubernetes service"),
            Err(_) => tracing::warn!("unable to remove endpoints from kubernetes service in time"),
        }
    }

    async fn keep(&self, first: oneshot::Sender<()>) {
        let Bootstrap { local, clock, .. } = &self.bootstrap;
        match self.endpoints.remove().await {
            Ok(true) => tracing::warn!("removed stale endpoints: the server did not end well before"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot remove old endpoints from kubernetes service"),
        }
        local.api().health.done("bootstrap-controller");
        // Clients of the Service shall not be sent to a server that does not answer them yet.
        while !local.api().health.is_ready() {
            clock.sleep(READINESS_POLL).await;
        }
        let mut first = Some(first);
        loop {
            match self.reconcile().await {
                Ok(()) => {
                    // Nobody may be waiting.
                    first.take().map(|first| first.send(()));
                    clock.sleep(INTERVAL).await;
                }
                Err(error) => {
                    tracing::error!(%error, "unable to sync kubernetes service");
                    clock.sleep(super::RETRY).await;
                }
            }
        }
    }

    async fn reconcile(&self) -> Result<(), Status> {
        let Bootstrap { local, options, .. } = &self.bootstrap;
        let Some(range) = options.service_cluster_ip_ranges.first() else {
            return Ok(());
        };
        let address = first_address(range)
            .ok_or_else(|| Status::internal(format!("{range:?} is no range of addresses")))?;
        super::namespaces::ensure(local).await?;
        let port = self.bootstrap.address.port();
        super::ensure(
            local,
            service(address, port, options.kubernetes_service_node_port),
        )
        .await?;
        self.endpoints.reconcile().await
    }
}

/// The first address of a range after the network's own: that of the Service.
pub fn first_address(range: &str) -> Option<IpAddr> {
    let (network, bits) = range.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    match network.parse().ok()? {
        IpAddr::V4(network) if bits < 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Some(Ipv4Addr::from((u32::from(network) & mask) + 1).into())
        }
        IpAddr::V6(network) if bits < 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Some(Ipv6Addr::from((u128::from(network) & mask) + 1).into())
        }
        _ => None,
    }
}

/// With a node port it is reached through every node too.
fn service(address: IpAddr, port: u16, node_port: u16) -> Service {
    let mut service = Service::default();
    service.metadata.name = NAME.to_owned();
    service.metadata.namespace = NAMESPACE.to_owned();
    for (label, value) in [("component", "apiserver"), ("provider", "kubernetes")] {
        service.metadata.labels.insert(label.to_owned(), value.to_owned());
    }
    let spec = &mut service.spec;
    spec.type_ = if node_port > 0 { "NodePort" } else { "ClusterIP" }.to_owned();
    spec.session_affinity = "None".to_owned();
    spec.cluster_ip = address.to_string();
    spec.cluster_ips = vec![address.to_string()];
    spec.ip_families = vec![if address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()];
    spec.ip_family_policy = Some("SingleStack".to_owned());
    spec.ports = vec![ServicePort {
        name: PORT_NAME.to_owned(),
        protocol: "TCP".to_owned(),
        port: SERVICE_PORT,
        target_port: IntOrString::Int(i32::from(port)),
        node_port: i32::from(node_port),
        ..ServicePort::default()
    }];
    service
}

#[cfg(test)]
mod tests {
    use super::first_address;

    #[test]
    fn the_first_address_of_a_range() {
        let first = |range| first_address(range).map(|address| address.to_string());
        assert_eq!(first("10.96.0.0/12").as_deref(), Some("10.96.0.1"));
        assert_eq!(first("10.97.3.4/12").as_deref(), Some("10.96.0.1"));
        assert_eq!(first("fd00::/108").as_deref(), Some("fd00::1"));
        assert_eq!(first("10.0.0.0/32"), None);
        assert_eq!(first("nonsense"), None);
    }
}
