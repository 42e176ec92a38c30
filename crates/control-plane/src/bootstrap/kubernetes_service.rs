//! The Service `kubernetes`, behind which the cluster's pods find the API server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service, ServicePort};
use api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort as SlicePort, EndpointSlice};
use apimachinery::int_or_string::IntOrString;
use apimachinery::status::Status;

use super::Bootstrap;

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
const PORT_NAME: &str = "https";
const SERVICE_PORT: i32 = 443;

/// Keeps the Service, its Endpoints and its EndpointSlice.
pub async fn reconcile(bootstrap: &Bootstrap) -> Result<(), Status> {
    let Some(range) = bootstrap.options.service_cluster_ip_ranges.first() else {
        return Ok(());
    };
    let address = first_address(range)
        .ok_or_else(|| Status::internal(format!("{range:?} is no range of addresses")))?;
    super::namespaces::ensure(&bootstrap.local).await?;
    super::ensure(&bootstrap.local, service(address, bootstrap.address.port())).await?;
    let (ip, port) = (bootstrap.address.ip(), i32::from(bootstrap.address.port()));
    if ip.is_loopback() {
        // Nobody but this host can reach it, and the API refuses such endpoints.
        return Ok(());
    }
    put_endpoints(bootstrap, ip, port).await?;
    put_slice(bootstrap, ip, port).await
}

/// The first address of a range after the network's own: that of the Service.
fn first_address(range: &str) -> Option<IpAddr> {
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

fn service(address: IpAddr, port: u16) -> Service {
    let mut service = Service::default();
    service.metadata.name = NAME.to_owned();
    service.metadata.namespace = NAMESPACE.to_owned();
    for (label, value) in [("component", "apiserver"), ("provider", "kubernetes")] {
        service.metadata.labels.insert(label.to_owned(), value.to_owned());
    }
    let spec = &mut service.spec;
    spec.type_ = "ClusterIP".to_owned();
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
        ..ServicePort::default()
    }];
    service
}

/// This server is the one endpoint; several servers take turns by leases once there are several.
async fn put_endpoints(bootstrap: &Bootstrap, ip: IpAddr, port: i32) -> Result<(), Status> {
    let subsets = vec![EndpointSubset {
        addresses: vec![EndpointAddress {
            ip: ip.to_string(),
            ..EndpointAddress::default()
        }],
        ports: vec![EndpointPort {
            name: PORT_NAME.to_owned(),
            port,
            protocol: "TCP".to_owned(),
            ..EndpointPort::default()
        }],
        ..EndpointSubset::default()
    }];
    let mut endpoints = Endpoints {
        subsets: subsets.clone(),
        ..Endpoints::default()
    };
    endpoints.metadata.name = NAME.to_owned();
    endpoints.metadata.namespace = NAMESPACE.to_owned();
    // The slice is ours: the mirroring controller shall leave this one alone.
    endpoints.metadata.labels.insert(
        "endpointslice.kubernetes.io/skip-mirror".to_owned(),
        "true".to_owned(),
    );
    super::ensure(&bootstrap.local, endpoints).await?;
    bootstrap
        .local
        .update::<Endpoints>(NAMESPACE, NAME, |endpoints| {
            endpoints.subsets.clone_from(&subsets)
        })
        .await
        .map(drop)
}

async fn put_slice(bootstrap: &Bootstrap, ip: IpAddr, port: i32) -> Result<(), Status> {
    let endpoints = vec![Endpoint {
        addresses: vec![ip.to_string()],
        conditions: EndpointConditions {
            ready: Some(true),
            ..EndpointConditions::default()
        },
        ..Endpoint::default()
    }];
    let ports = vec![SlicePort {
        name: Some(PORT_NAME.to_owned()),
        port: Some(port),
        protocol: Some("TCP".to_owned()),
        ..SlicePort::default()
    }];
    let mut slice = EndpointSlice {
        address_type: if ip.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned(),
        endpoints: endpoints.clone(),
        ports: ports.clone(),
        ..EndpointSlice::default()
    };
    slice.metadata.name = NAME.to_owned();
    slice.metadata.namespace = NAMESPACE.to_owned();
    slice
        .metadata
        .labels
        .insert("kubernetes.io/service-name".to_owned(), NAME.to_owned());
    super::ensure(&bootstrap.local, slice).await?;
    let put = |slice: &mut EndpointSlice| {
        slice.endpoints.clone_from(&endpoints);
        slice.ports.clone_from(&ports);
    };
    bootstrap.local.update(NAMESPACE, NAME, put).await.map(drop)
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
