//! The composed server over its real port, as clients see it.

use api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use api::meta::v1::DeleteOptions;
use api::rbac::v1::ClusterRole;
use client::{ListParams, WatchEvent, WatchParams};
use futures_util::StreamExt;
use testkit::ApiServer;

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = name.to_owned();
    map.data.insert("a".to_owned(), "1".to_owned());
    map
}

#[tokio::test]
async fn a_cluster_starts_with_its_objects() {
    let server = ApiServer::start().await;
    let client = server.client();
    let namespaces = client
        .api::<Namespace>()
        .all()
        .list(&ListParams::default())
        .await
        .expect("namespaces");
    let names: Vec<&str> = namespaces
        .items
        .iter()
        .map(|namespace| namespace.metadata.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["default", "kube-node-lease", "kube-public", "kube-system"]
    );
    let service = client
        .api::<Service>()
        .namespace("default")
        .get("kubernetes")
        .await
        .expect("the service");
    assert_eq!(service.spec.cluster_ip, "10.96.0.1");
    let admin = client
        .api::<ClusterRole>()
        .all()
        .get("cluster-admin")
        .await
        .expect("the role");
    assert_eq!(admin.rules[0].verbs, ["*"]);
}

#[tokio::test]
async fn objects_are_written_watched_and_deleted() {
    let server = ApiServer::start().await;
    let maps = server.client().api::<ConfigMap>().namespace("default");
    let created = maps.create(&map("one")).await.expect("created");
    let params = WatchParams::from_version(created.metadata.resource_version.clone());
    let mut events = Box::pin(maps.watch(&params).await.expect("a watch"));
    maps.delete("one", &DeleteOptions::default())
        .await
        .expect("deleted");
    match events.next().await {
        Some(Ok(WatchEvent::Deleted(map))) => assert_eq!(map.metadata.name, "one"),
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn strangers_are_refused() {
    let server = ApiServer::start().await;
    let bob = server.client_as("bob", &[]);
    let error = bob
        .api::<ConfigMap>()
        .namespace("default")
        .list(&ListParams::default())
        .await
        .expect_err("forbidden");
    assert!(
        error
            .to_string()
            .contains("configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\""),
        "{error}"
    );
    let scheduler = server.client_as("system:kube-scheduler", &[]);
    scheduler
        .api::<api::core::v1::Node>()
        .all()
        .list(&ListParams::default())
        .await
        .expect("allowed by its role");
}

#[tokio::test]
async fn accounts_are_admitted_only_with_their_namespace() {
    let server = ApiServer::start().await;
    let mut account = ServiceAccount::default();
    account.metadata.name = "robot".to_owned();
    let accounts = server.client().api::<ServiceAccount>();
    let error = accounts
        .clone()
        .namespace("nowhere")
        .create(&account)
        .await
        .expect_err("no such namespace");
    assert!(
        error.to_string().contains("namespaces \"nowhere\" not found"),
        "{error}"
    );
    accounts
        .namespace("default")
        .create(&account)
        .await
        .expect("created");
}
