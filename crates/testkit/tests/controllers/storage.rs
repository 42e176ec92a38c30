//! What is in use is kept, and pods get the claims that they bring.

use api::core::v1::{Binding, PersistentVolumeClaim, Pod};
use api::meta::v1::DeleteOptions;
use client::DeleteParams;
use controllers_storage::{ephemeral_volume, protection};
use serde_json::json;

use super::{Cluster, until};

fn pod(volumes: serde_json::Value) -> serde_json::Value {
    json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "a"}], "volumes": volumes},
    })
}

#[tokio::test]
async fn a_claim_stays_until_its_pod_is_gone() {
    let cluster = Cluster::start().await;
    tokio::spawn(protection::claims::run(
        cluster.context("pvc-protection-controller"),
    ));
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    for name in ["used", "free"] {
        cluster
            .create::<PersistentVolumeClaim>(json!({"metadata": {"name": name}, "spec": spec}))
            .await;
    }
    cluster
        .create::<Pod>(pod(
            json!([{"name": "v", "persistentVolumeClaim": {"claimName": "used"}}]),
        ))
        .await;
    let mut binding = Binding::default();
    binding.metadata.name = "p".into();
    binding.target.kind = "Node".into();
    binding.target.name = "node".into();
    let pods = cluster.api::<Pod>();
    pods.create_subresource("p", "binding", &binding)
        .await
        .expect("bound");
    let claims = cluster.api::<PersistentVolumeClaim>();
    for name in ["used", "free"] {
        claims
            .delete(name, &DeleteOptions::default())
            .await
            .expect("marked");
    }
    until(async || cluster.names::<PersistentVolumeClaim>().await == ["used"]).await;
    pods.delete("p", &DeleteParams::grace(0)).await.expect("deleted");
    until(async || cluster.names::<PersistentVolumeClaim>().await.is_empty()).await;
}

#[tokio::test]
async fn a_pod_gets_the_claims_that_it_brings() {
    let cluster = Cluster::start().await;
    tokio::spawn(ephemeral_volume::run(
        cluster.context("ephemeral-volume-controller"),
        1,
    ));
    let template = json!({"spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }});
    let volume = json!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]);
    cluster.create::<Pod>(pod(volume)).await;
    until(async || cluster.names::<PersistentVolumeClaim>().await == ["p-scratch"]).await;
    let claim = cluster.api::<PersistentVolumeClaim>().get("p-scratch").await;
    let owner = &claim.expect("a claim").metadata.owner_references[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Pod", "p"));
}
