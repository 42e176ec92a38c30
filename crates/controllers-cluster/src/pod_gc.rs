//! Deletes pods that no kubelet will ever delete: on nodes that are gone or out of service, never scheduled, or
//! ended and too many.
//!
//! Upstream: pkg/controller/podgc

pub mod plan;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use api::core::v1::{Node, Pod, PodCondition};
use apimachinery::time::Time;
use client::{DeleteParams, Error};
use controller_runtime::{Context, Store};
use futures_util::StreamExt;
use tracing::{info, warn};

use crate::nodes::patch_pod_condition;
use plan::{Observed, Reason};

const PERIOD: Duration = Duration::from_secs(20);
/// A node must be missing for so long before its pods are: caches of nodes and pods may differ for a while.
const QUARANTINE: Duration = Duration::from_secs(40);
const CONCURRENCY: usize = 16;

/// Runs the controller until shutdown. Ended pods are kept up to `threshold`; all of them when that is 0.
pub async fn run(context: Context, threshold: usize) {
    let mut collector = Collector {
        pods: context.informers.of::<Pod>().store(),
        nodes: context.informers.of::<Node>().store(),
        missing: HashMap::new(),
        threshold,
        context,
    };
    let shutdown = collector.context.shutdown.clone();
    if shutdown
        .guard(collector.context.informers.synced())
        .await
        .is_none()
    {
        return;
    }
    loop {
        if shutdown.guard(collector.collect()).await.is_none() {
            return;
        }
        if shutdown
            .guard(collector.context.clock.sleep(PERIOD))
            .await
            .is_none()
        {
            return;
        }
    }
}

struct Collector {
    context: Context,
    pods: Store<Pod>,
    nodes: Store<Node>,
    /// Since when nodes are missing that pods say they are on.
    missing: HashMap<String, Duration>,
    threshold: usize,
}

impl Collector {
    async fn collect(&mut self) {
        let (pods, nodes) = (self.pods.list(), self.nodes.list());
        let gone = self.gone_nodes(&pods, &nodes).await;
        let observed = Observed {
            pods: &pods,
            nodes: &nodes,
            gone_nodes: &gone,
            threshold: self.threshold,
        };
        let doomed = plan::doomed(&observed);
        let this = &*self;
        futures_util::stream::iter(doomed)
            .for_each_concurrent(CONCURRENCY, |(pod, reason)| async move {
                match this.delete(&pod, reason).await {
                    Err(error) if !error.is_not_found() => {
                        warn!(pod = %pod.metadata.name, %error, "cannot collect a pod");
                    }
                    _ => {}
                }
            })
            .await;
    }

    /// The nodes that were missing for long and that the server doesn't have either.
    async fn gone_nodes(
        &mut self,
        pods: &[std::sync::Arc<Pod>],
        nodes: &[std::sync::Arc<Node>],
    ) -> HashSet<String> {
        let present: HashSet<&str> = nodes.iter().map(|node| node.metadata.name.as_str()).collect();
        let missing: HashSet<&str> = pods
            .iter()
            .map(|pod| pod.spec.node_name.as_str())
            .filter(|node| !node.is_empty() && !present.contains(node))
            .collect();
        let now = self.context.clock.monotonic();
        self.missing.retain(|node, _| missing.contains(node.as_str()));
        for node in missing {
            self.missing.entry(node.to_owned()).or_insert(now);
        }
        let overdue = self
            .missing
            .iter()
            .filter(|(_, since)| now.saturating_sub(**since) >= QUARANTINE);
        let mut gone = HashSet::new();
        for (node, _) in overdue {
            match self.context.client.api::<Node>().get(node).await {
                Err(error) if error.is_not_found() => drop(gone.insert(node.clone())),
                Err(error) => warn!(%node, %error, "cannot tell whether a node exists"),
                Ok(_) => {}
            }
        }
        gone
    }

    async fn delete(&self, pod: &Pod, reason: Reason) -> Result<(), Error> {
        info!(namespace = %pod.metadata.namespace, pod = %pod.metadata.name, ?reason, "collecting a pod");
        if !api::pod_conditions::is_terminal(pod) {
            let condition = (reason == Reason::Orphaned).then(|| PodCondition {
                type_: "DisruptionTarget".into(),
                status: "True".into(),
                reason: "DeletionByPodGC".into(),
                message: "PodGC: node no longer exists".into(),
                ..PodCondition::default()
            });
            let now = Time(self.context.clock.now());
            patch_pod_condition(&self.context.client, pod, condition, Some("Failed"), now).await?;
        }
        let pods = self
            .context
            .client
            .api::<Pod>()
            .namespace(&pod.metadata.namespace);
        pods.delete(&pod.metadata.name, &DeleteParams::grace(0)).await
    }
}
