//! Quotas are counted, charged and given back.

use std::time::Duration;

use api::apps::v1::Deployment;
use api::core::v1::{ConfigMap, Pod, ResourceQuota, Service};
use api::meta::v1::DeleteOptions;
use client::DeleteParams;
use controllers_cluster::resource_quota::{self, Options};
use serde_json::json;

use super::{Cluster, template, until};

impl Cluster {
    async fn used(&self, quota: &str) -> String {
        let quota = self.api::<ResourceQuota>().get(quota).await.expect("a quota");
        let used = quota.status.used.iter();
        let used: Vec<String> = used.map(|(name, amount)| format!("{name}={amount}")).collect();
        used.join(" ")
    }

    async fn used_becomes(&self, quota: &str, expected: &str) {
        let settled = tokio::time::timeout(
            Duration::from_secs(15),
            until(async || self.used(quota).await == expected),
        );
        if settled.await.is_err() {
            assert_eq!(self.used(quota).await, expected);
        }
    }
}

fn pod(name: &str, cpu: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "a", "image": "a", "resources": {"requests": {"cpu": cpu}}}]},
    })
}

#[tokio::test]
async fn quotas_are_counted_charged_and_given_back() {
    let cluster = Cluster::start().await;
    cluster.create::<Pod>(pod("before", "100m")).await;
    cluster
        .create::<ConfigMap>(json!({"metadata": {"name": "a"}}))
        .await;
    let options = Options {
        workers: 2,
        // What must not be needed for anything here.
        sync_period: Duration::ZERO,
    };
    tokio::spawn(resource_quota::run(
        cluster.context("resourcequota-controller"),
        options,
    ));
    let hard = json!({
        "pods": "5", "requests.cpu": "2", "services": "3", "services.nodeports": "3", "configmaps": "5",
        "count/configmaps": "5", "count/deployments.apps": "2", "count/nothing.example.com": "1",
    });
    cluster
        .create::<ResourceQuota>(json!({"metadata": {"name": "all"}, "spec": {"hard": hard}}))
        .await;
    cluster
        .create::<ResourceQuota>(json!({
            "metadata": {"name": "scoped"},
            "spec": {"hard": {"pods": "5"}, "scopes": ["BestEffort"]},
        }))
        .await;
    // One service is the API server's own.
    cluster
        .used_becomes(
            "all",
            "configmaps=1 count/configmaps=1 count/deployments.apps=0 pods=1 requests.cpu=100m services=1 \
             services.nodeports=0",
        )
        .await;
    cluster.used_becomes("scoped", "pods=0").await;

    // Charged by admission.
    cluster.create::<Pod>(pod("second", "200m")).await;
    cluster
        .create::<Deployment>(json!({
            "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template("Always")},
        }))
        .await;
    cluster
        .create::<Service>(json!({
            "metadata": {"name": "web"},
            "spec": {"type": "NodePort", "ports": [{"port": 80}], "selector": {"app": "web"}},
        }))
        .await;
    cluster
        .used_becomes(
            "all",
            "configmaps=1 count/configmaps=1 count/deployments.apps=1 pods=2 requests.cpu=300m services=2 \
             services.nodeports=1",
        )
        .await;

    // Given back by the controller: what ended, was deleted, or is no node port any more.
    cluster.report("second", "Succeeded", "False").await;
    let whole = DeleteOptions::default();
    cluster
        .api::<ConfigMap>()
        .delete("a", &whole)
        .await
        .expect("deleted");
    cluster
        .api::<Deployment>()
        .delete("web", &whole)
        .await
        .expect("deleted");
    let mut service = cluster.api::<Service>().get("web").await.expect("a service");
    service.spec.type_ = "ClusterIP".into();
    cluster.api::<Service>().update(&service).await.expect("updated");
    cluster
        .api::<Pod>()
        .delete("before", &DeleteParams::grace(0))
        .await
        .expect("deleted");
    cluster
        .used_becomes(
            "all",
            "configmaps=0 count/configmaps=0 count/deployments.apps=0 pods=0 requests.cpu=0 services=2 \
             services.nodeports=0",
        )
        .await;
}
