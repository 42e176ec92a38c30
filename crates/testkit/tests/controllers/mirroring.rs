//! Endpoints that users write have slices, and ranges of service addresses are watched over.

use api::Message;
use api::core::v1::{Endpoints, Service};
use api::discovery::v1::EndpointSlice;
use api::meta::v1::DeleteOptions;
use api::networking::v1::ServiceCIDR;
use client::ListParams;
use controllers_network::endpoint_slice_mirroring::{self, Options};
use controllers_network::service_cidr;
use serde_json::json;

use super::{Cluster, until};

#[tokio::test]
async fn endpoints_that_users_write_are_mirrored() {
    let cluster = Cluster::start().await;
    let options = Options {
        workers: 2,
        max_endpoints: 1000,
        batch_period: std::time::Duration::ZERO,
    };
    tokio::spawn(endpoint_slice_mirroring::run(
        cluster.context("endpointslicemirroring-controller"),
        options,
    ));
    cluster
        .create::<Service>(json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}))
        .await;
    cluster
        .create::<Endpoints>(json!({
            "metadata": {"name": "web"},
            "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 8080}]}],
        }))
        .await;
    let slices = cluster.api::<EndpointSlice>();
    let addresses = async || {
        let of_service = ListParams::labels("kubernetes.io/service-name=web");
        let items = slices.list(&of_service).await.expect("a list").items;
        let endpoints = items.iter().flat_map(|slice| &slice.endpoints);
        let addresses = endpoints.flat_map(|endpoint| endpoint.addresses.clone());
        addresses.collect::<Vec<String>>()
    };
    until(async || addresses().await == ["192.0.2.1"]).await;
    let api = cluster.api::<Endpoints>();
    let mut endpoints = api.get("web").await.expect("endpoints");
    endpoints.subsets[0].addresses[0].ip = "192.0.2.2".into();
    api.update(&endpoints).await.expect("updated");
    until(async || addresses().await == ["192.0.2.2"]).await;
    api.delete("web", &DeleteOptions::default())
        .await
        .expect("deleted");
    until(async || addresses().await.is_empty()).await;
}

#[tokio::test]
async fn a_range_of_service_addresses_gets_ready() {
    let cluster = Cluster::start().await;
    tokio::spawn(service_cidr::run(cluster.context("service-cidrs-controller")));
    let ranges = cluster.client.api::<ServiceCIDR>();
    let range = json!({"metadata": {"name": "more"}, "spec": {"cidrs": ["10.200.0.0/24"]}});
    let range = ServiceCIDR::from_json(range.to_string().as_bytes()).expect("well-formed");
    ranges.create(&range).await.expect("created");
    let is_ready = async || {
        let range = ranges.get("more").await.expect("the range");
        let conditions = &range.status.conditions;
        let ready = conditions.iter().any(|condition| condition.status == "True");
        ready && range.metadata.finalizers == ["networking.k8s.io/service-cidr-finalizer"]
    };
    until(is_ready).await;
}
