//! Several servers on one etcd.

#![allow(clippy::panic)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use api::coordination::v1::Lease;
use api::core::v1::{Endpoints, Service, ServicePort};
use api::discovery::v1::EndpointSlice;
use client::{Client, ListParams};
use control_plane::Options;
use control_plane::options::store::{EtcdOptions, StorageOptions};
use etcd_fixture::Program;
use testkit::ApiServer;

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of the cluster, advertised under `192.0.2.number`.
fn on(etcd: &etcd_fixture::Server, number: u8) -> impl FnOnce(&mut Options) + use<> {
    let servers = vec![etcd.url()];
    move |options| {
        options.store.backend = StorageOptions::Etcd(EtcdOptions {
            servers,
            ..EtcdOptions::default()
        });
        options.advertise_address = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)));
    }
}

/// One etcd of those at hand; a test that has none says so.
fn etcd() -> Option<etcd_fixture::Server> {
    let program: Program = etcd_fixture::programs().into_iter().next()?;
    Some(etcd_fixture::Server::start(&program, None).expect("an etcd"))
}

/// The addresses behind the Service `kubernetes`, the same in Endpoints and EndpointSlice.
async fn endpoints(client: &Client) -> Vec<String> {
    let endpoints = client
        .api::<Endpoints>()
        .namespace("default")
        .get("kubernetes")
        .await;
    let subsets = endpoints.expect("endpoints").subsets;
    let addresses = subsets.iter().flat_map(|subset| &subset.addresses);
    addresses.map(|address| address.ip.clone()).collect()
}

async fn slice(client: &Client) -> Vec<String> {
    let slice = client
        .api::<EndpointSlice>()
        .namespace("default")
        .get("kubernetes")
        .await;
    let endpoints = slice.expect("a slice").endpoints;
    endpoints
        .into_iter()
        .flat_map(|endpoint| endpoint.addresses)
        .collect()
}

async fn wait_for_endpoints(client: &Client, wanted: &[&str]) {
    let reached = async {
        while endpoints(client).await != wanted || slice(client).await != wanted {
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(PATIENCE, reached).await.is_err() {
        panic!(
            "{wanted:?} expected, {:?} and {:?} found",
            endpoints(client).await,
            slice(client).await
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_come_and_go_behind_the_service() {
    let Some(etcd) = etcd() else { return };
    let mut first = ApiServer::start_with(on(&etcd, 1)).await;
    let second = first.start_beside(on(&etcd, 2)).await;
    wait_for_endpoints(&second.client(), &["192.0.2.1", "192.0.2.2"]).await;
    let leases = second.client().api::<Lease>().namespace("kube-system");
    let leases = leases.list(&ListParams::default()).await.expect("leases").items;
    // Both run on this host, whose name they bear.
    let identities = leases.iter().filter(|lease| {
        lease
            .metadata
            .labels
            .get("apiserver.kubernetes.io/identity")
            .is_some_and(|identity| identity == "kube-apiserver")
    });
    assert_eq!(identities.count(), 1);

    first.shut_down();
    first.ended().await;
    // It took itself out: nobody had to wait for its lease to end.
    assert_eq!(endpoints(&second.client()).await, ["192.0.2.2"]);
    wait_for_endpoints(&second.client(), &["192.0.2.2"]).await;
}

fn node_port(name: &str) -> Service {
    let mut service = Service::default();
    service.metadata.name = name.to_owned();
    service.spec.type_ = "NodePort".to_owned();
    service.spec.selector.insert("app".to_owned(), name.to_owned());
    service.spec.ports = vec![ServicePort {
        port: 80,
        ..ServicePort::default()
    }];
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_and_no_port_is_given_twice() {
    const SERVICES: usize = 20;
    let Some(etcd) = etcd() else { return };
    // Ranges that are nearly used up make the servers meet.
    let narrow = |options: &mut Options| {
        options.service_cluster_ip_ranges = vec!["10.96.0.0/26".to_owned()];
        options.service_node_ports = (30000, 30049);
    };
    let first = ApiServer::start_with(|options| {
        on(&etcd, 1)(options);
        narrow(options);
    })
    .await;
    let second = first
        .start_beside(|options| {
            on(&etcd, 2)(options);
            narrow(options);
        })
        .await;
    let mut creators = Vec::new();
    for (server, prefix) in [(&first, "a"), (&second, "b")] {
        for number in 0..SERVICES {
            let services = server.client().api::<Service>().namespace("default");
            let service = node_port(&format!("{prefix}-{number}"));
            creators.push(tokio::spawn(async move { services.create(&service).await }));
        }
    }
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for creator in creators {
        let service = creator.await.expect("ran").expect("created");
        assert!(addresses.insert(service.spec.cluster_ip), "an address twice");
        assert!(ports.insert(service.spec.ports[0].node_port), "a port twice");
    }
    assert_eq!((addresses.len(), ports.len()), (2 * SERVICES, 2 * SERVICES));
}
