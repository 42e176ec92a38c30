//! Deletes objects whose owners are gone, and lets owners go that wait for their dependents.
//!
//! [`graph`] knows who owns whom, from the metadata of every object in the cluster, which [`monitors`] watch;
//! [`plan`] decides about one object from the live state of its owners; [`attempt`] looks and acts; [`absent`]
//! remembers owners that were not found.
//!
//! Upstream: pkg/controller/garbagecollector

pub mod absent;
mod attempt;
pub mod graph;
mod monitors;
pub mod plan;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller_runtime::{Context, WorkQueue};

use absent::AbsentOwners;
use graph::{Graph, Work};
use monitors::Monitors;

const DELETE_QUEUE: &str = "garbage_collector_attempt_to_delete";
const ORPHAN_QUEUE: &str = "garbage_collector_attempt_to_orphan";
/// How often the list of resources is read again.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let shared = Arc::new(Shared {
        graph: Mutex::default(),
        absent: Mutex::default(),
        to_delete: context.queue(DELETE_QUEUE),
        to_orphan: context.queue(ORPHAN_QUEUE),
        resources: Mutex::default(),
    });
    let monitors = Monitors::new(context.clone(), shared.clone());
    let deleting = attempt::delete_worker(&context, &shared);
    let orphaning = attempt::orphan_worker(&context, &shared);
    let synced = monitors.first_sync();
    let watching = monitors.run(DISCOVERY_PERIOD);
    let working = async {
        // Deciding on half a graph would find owners missing that merely weren't listed yet. The live look before
        // each deletion is the safeguard; this saves the requests.
        if context.shutdown.guard(synced).await.is_none() {
            return;
        }
        tokio::join!(
            context.drive(DELETE_QUEUE, shared.to_delete.clone(), workers, deleting),
            context.drive(ORPHAN_QUEUE, shared.to_orphan.clone(), workers, orphaning),
        );
    };
    tokio::join!(watching, working);
}

/// What monitors and workers share.
struct Shared {
    graph: Mutex<Graph>,
    absent: Mutex<AbsentOwners>,
    to_delete: WorkQueue<String>,
    to_orphan: WorkQueue<String>,
    resources: Mutex<monitors::Resources>,
}

impl Shared {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn absent(&self) -> MutexGuard<'_, AbsentOwners> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what a change of the graph gives to do.
    fn enqueue(&self, work: Vec<Work>) {
        for item in work {
            match item {
                Work::AttemptDelete(uid) => self.to_delete.add(uid),
                Work::AttemptOrphan(uid) => self.to_orphan.add(uid),
                Work::Absent(identity) => self.absent().insert(&identity),
            }
        }
    }
}
