//! Watches over nodes: those that say nothing for too long become `Unknown`, and taints tell of it.
//!
//! [`health`] judges one node, [`zones`] limits how fast nodes of a zone are tainted for eviction. Who is evicted is
//! the business of [`crate::taint_eviction`].
//!
//! Upstream: pkg/controller/nodelifecycle

pub mod health;
mod monitor;
pub mod zones;

use std::sync::Arc;
use std::time::Duration;

use api::coordination::v1::Lease;
use api::core::v1::{Node, Pod};
use apimachinery::time::Time;
use client::{Patch, PatchParams};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, ObjectKey, Store};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::nodes::{index_by_node, taints};
use monitor::Monitor;

const NAME: &str = "node_lifecycle_controller";
const WORKERS: usize = 8;
/// The namespace of nodes' leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Labels that older releases used, kept equal to their successors.
const LABELS: [(&str, &str); 2] = [
    ("kubernetes.io/os", "beta.kubernetes.io/os"),
    ("kubernetes.io/arch", "beta.kubernetes.io/arch"),
];

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How often nodes are looked at.
    pub period: Duration,
    pub timing: health::Timing,
    pub rates: zones::Rates,
}

/// Runs the controller until shutdown.
pub async fn run(context: Context, options: Options) {
    let nodes = context.informers.of::<Node>();
    let pods = context.informers.of::<Pod>();
    let leases = context.informers.of::<Lease>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    nodes.add_handler(move |event| {
        if let Event::Added(node) | Event::Updated { new: node, .. } = event {
            own.add(ObjectKey::of(&node.metadata));
        }
    });
    let monitor = Monitor::new(
        context.clone(),
        options,
        monitor::Caches {
            nodes: nodes.store(),
            leases: leases.store(),
            pods: index_by_node(&pods),
        },
    );
    let marker = Marker {
        context: context.clone(),
        nodes: nodes.store(),
    };
    let watching = async {
        if context.shutdown.guard(context.informers.synced()).await.is_some() {
            monitor.run().await;
        }
    };
    tokio::join!(watching, context.drive(NAME, queue, WORKERS, Arc::new(marker)));
}

/// Keeps `NoSchedule` taints and old labels in line with what a node says of itself.
struct Marker {
    context: Context,
    nodes: Store<Node>,
}

impl Reconcile<ObjectKey> for Marker {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(node) = self.nodes.get(key) else {
                return Ok(Outcome::Done);
            };
            let swap = taints::no_schedule(&node);
            if !swap.is_empty() {
                let now = Time(self.context.clock.now());
                taints::write(&self.context.client, &key.name, &swap, now).await?;
            }
            self.relabel(&node).await?;
            Ok(Outcome::Done)
        })
    }
}

impl Marker {
    async fn relabel(&self, node: &Node) -> Result<(), client::Error> {
        let labels = &node.metadata.labels;
        let stale: serde_json::Map<String, serde_json::Value> = LABELS
            .iter()
            .filter_map(|(primary, secondary)| {
                let value = labels.get(*primary)?;
                (labels.get(*secondary) != Some(value)).then(|| ((*secondary).to_owned(), json!(value)))
            })
            .collect();
        if stale.is_empty() {
            return Ok(());
        }
        let patch = Patch::Strategic(json!({"metadata": {"labels": stale}}));
        let nodes = self.context.client.api::<Node>();
        match nodes
            .patch(&node.metadata.name, &patch, &PatchParams::default())
            .await
        {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}
