//! Gives each node its ranges of pod addresses out of the cluster's.
//!
//! [`allocator`] knows which ranges are taken. Nodes are the record: after a restart they tell what is in use.
//!
//! Upstream: pkg/controller/nodeipam/ipam (RangeAllocator)

pub mod allocator;
pub mod cidr;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::core::v1::Node;
use client::{Error, Patch, PatchParams};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::{Context, Event, ObjectKey, Store};
use futures_util::future::BoxFuture;
use serde_json::json;
use tracing::{error, info, warn};

use allocator::Allocator;
use cidr::Cidr;

const NAME: &str = "node_ipam";
const WORKERS: usize = 30;
/// Attempts at writing a node while others write it too.
const ATTEMPTS: u32 = 5;

/// The cluster's ranges and how they are divided.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// One range, or one of each family.
    pub cluster_cidrs: Vec<Cidr>,
    /// Ranges within them that nodes mustn't get.
    pub service_cidrs: Vec<Cidr>,
    pub mask_size_ipv4: u8,
    pub mask_size_ipv6: u8,
}

/// Runs the controller until shutdown.
pub async fn run(context: Context, options: Options) {
    let mut allocators = Vec::new();
    for range in &options.cluster_cidrs {
        let mask = if range.is_ipv6() {
            options.mask_size_ipv6
        } else {
            options.mask_size_ipv4
        };
        match Allocator::new(*range, mask) {
            Ok(mut allocator) => {
                options
                    .service_cidrs
                    .iter()
                    .for_each(|service| allocator.occupy(service));
                allocators.push(allocator);
            }
            Err(error) => return error!(%error, "cannot divide the cluster's CIDR among nodes"),
        }
    }
    let nodes = context.informers.of::<Node>();
    let queue = context.queue(NAME);
    let controller = Arc::new(Controller {
        nodes: nodes.store(),
        allocators: Mutex::new(allocators),
        context: context.clone(),
    });
    if context.shutdown.guard(nodes.synced()).await.is_none() {
        return;
    }
    // Before the first allocation: everything that nodes already have.
    nodes
        .store()
        .list()
        .iter()
        .for_each(|node| controller.occupy(node));
    let (own, releasing) = (queue.clone(), controller.clone());
    nodes.add_handler(move |event| match event {
        Event::Deleted(node) => releasing.release(node),
        Event::Added(node) | Event::Updated { new: node, .. } => own.add(ObjectKey::of(&node.metadata)),
    });
    context.drive(NAME, queue, WORKERS, controller).await;
}

struct Controller {
    context: Context,
    nodes: Store<Node>,
    allocators: Mutex<Vec<Allocator>>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(node) = self.nodes.get(key) else {
                return Ok(Outcome::Done);
            };
            if node.metadata.deletion_timestamp.is_some() {
                return Ok(Outcome::Done);
            }
            if !ranges(&node).is_empty() {
                self.occupy(&node);
                return Ok(Outcome::Done);
            }
            self.allocate(&node).await
        })
    }
}

impl Controller {
    fn allocators(&self) -> MutexGuard<'_, Vec<Allocator>> {
        self.allocators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn occupy(&self, node: &Node) {
        for (text, allocator) in ranges(node).iter().zip(self.allocators().iter_mut()) {
            match text.parse() {
                Ok(range) => allocator.occupy(&range),
                Err(error) => warn!(node = %node.metadata.name, %error, "node with a malformed pod CIDR"),
            }
        }
    }

    fn release(&self, node: &Node) {
        for (text, allocator) in ranges(node).iter().zip(self.allocators().iter_mut()) {
            if let Ok(range) = text.parse() {
                allocator.release(&range);
            }
        }
    }

    /// Takes a range of each family, or none at all.
    fn take(&self) -> Option<Vec<Cidr>> {
        let mut allocators = self.allocators();
        let taken: Vec<Option<Cidr>> = allocators.iter_mut().map(Allocator::take).collect();
        let complete: Option<Vec<Cidr>> = taken.iter().copied().collect();
        if complete.is_none() {
            for (allocator, range) in allocators.iter_mut().zip(taken) {
                range.iter().for_each(|range| allocator.release(range));
            }
        }
        complete
    }

    async fn allocate(&self, node: &Node) -> Result<Outcome, driver::Error> {
        let Some(taken) = self.take() else {
            let message = format!("Node {} status is now: CIDRNotAvailable", node.metadata.name);
            self.context
                .recorder
                .event(node, EventType::Normal, "CIDRNotAvailable", message);
            return Err("no pod CIDR is left for the node".into());
        };
        match self.assign(&node.metadata.name, &taken).await {
            Ok(true) => Ok(Outcome::Done),
            // Whether it took effect is unknown: the range stays taken, and the next look tells.
            Err(error) if error.is_connection() => Err(error.into()),
            outcome => {
                for (allocator, range) in self.allocators().iter_mut().zip(&taken) {
                    allocator.release(range);
                }
                outcome.map(|_| Outcome::Done).map_err(Into::into)
            }
        }
    }

    /// Writes the ranges to the node, unless it has some already (which the cache may not show) or is gone. Gives
    /// whether they are its own now.
    async fn assign(&self, name: &str, taken: &[Cidr]) -> Result<bool, Error> {
        let nodes = self.context.client.api::<Node>();
        let texts: Vec<String> = taken.iter().map(Cidr::to_string).collect();
        for attempt in 1.. {
            let live = match nodes.get(name).await {
                Ok(live) => live,
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
            };
            if !ranges(&live).is_empty() {
                self.occupy(&live);
                return Ok(false);
            }
            let patch = json!({
                "metadata": {"resourceVersion": live.metadata.resource_version},
                "spec": {"podCIDR": texts.first(), "podCIDRs": texts},
            });
            match nodes
                .patch(name, &Patch::Merge(patch), &PatchParams::default())
                .await
            {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {}
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        info!(node = %name, cidrs = ?texts, "pod CIDRs assigned");
        Ok(true)
    }
}

/// A node's ranges, from the newer field or the older.
fn ranges(node: &Node) -> Vec<String> {
    let spec = &node.spec;
    if spec.pod_cidrs.is_empty() && !spec.pod_cidr.is_empty() {
        return vec![spec.pod_cidr.clone()];
    }
    spec.pod_cidrs.clone()
}
