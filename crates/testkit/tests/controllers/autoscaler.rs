//! Targets are scaled through their scale; metrics that nobody serves are told.

use std::time::Duration;

use api::apps::v1::Deployment;
use api::autoscaling::v2::HorizontalPodAutoscaler;
use controllers_workloads::pod_autoscaler::replicas::Startup;
use controllers_workloads::pod_autoscaler::{self, Options};
use serde_json::json;

use super::{Cluster, template, until};

fn options() -> Options {
    Options {
        workers: 1,
        sync_period: Duration::from_millis(20),
        downscale_stabilization: Duration::from_secs(300),
        tolerance: 0.1,
        startup: Startup {
            cpu_initialization: Duration::from_secs(300),
            readiness_delay: Duration::from_secs(30),
        },
    }
}

impl Cluster {
    async fn replicas(&self) -> Option<i32> {
        let deployment = self.api::<Deployment>().get("web").await;
        deployment.expect("the deployment").spec.replicas
    }

    async fn condition(&self, type_: &str) -> String {
        let autoscaler = self.api::<HorizontalPodAutoscaler>().get("web").await;
        let conditions = autoscaler.expect("the autoscaler").status.conditions;
        let condition = conditions.iter().find(|condition| condition.type_ == type_);
        condition.map_or(String::new(), |condition| {
            format!("{} {}", condition.status, condition.reason)
        })
    }
}

#[tokio::test]
async fn a_target_is_brought_within_its_bounds() {
    let cluster = Cluster::start().await;
    tokio::spawn(pod_autoscaler::run(
        cluster.context("horizontal-pod-autoscaler"),
        options(),
    ));
    cluster
        .create::<Deployment>(json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 7,
                "selector": {"matchLabels": {"app": "web"}},
                "template": template("Always"),
            },
        }))
        .await;
    cluster
        .create::<HorizontalPodAutoscaler>(json!({
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 2,
                "maxReplicas": 5,
            },
        }))
        .await;
    until(async || cluster.replicas().await == Some(5)).await;
    // Within them the metrics decide, which no server has here.
    until(async || cluster.condition("ScalingActive").await == "False FailedGetResourceMetric").await;
    assert_eq!(cluster.replicas().await, Some(5));
    assert_eq!(cluster.condition("AbleToScale").await, "True SucceededGetScale");
}

#[tokio::test]
async fn a_target_without_a_kind_is_told() {
    let cluster = Cluster::start().await;
    tokio::spawn(pod_autoscaler::run(
        cluster.context("horizontal-pod-autoscaler"),
        options(),
    ));
    cluster
        .create::<HorizontalPodAutoscaler>(json!({
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "example.com/v1", "kind": "Nothing", "name": "web"},
                "maxReplicas": 5,
            },
        }))
        .await;
    until(async || cluster.condition("AbleToScale").await == "False FailedGetScale").await;
}
