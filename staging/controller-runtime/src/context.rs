//! What every controller is given.

use std::sync::Arc;

use client::Client;
use component_base::clock::Clock;
use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;

use crate::driver::{self, Reconcile};
use crate::event_recorder::Recorder;
use crate::informers::Informers;
use crate::work_queue::metrics::QueueMetrics;
use crate::work_queue::{DEFAULT_BACKOFF, Item, WorkQueue};

/// A controller's identity (in its client and recorder) and surroundings.
#[derive(Clone)]
pub struct Context {
    /// Writes in the controller's own name.
    pub client: Client,
    pub informers: Informers,
    pub recorder: Recorder,
    pub clock: Arc<dyn Clock>,
    pub metrics: Registry,
    pub shutdown: Shutdown,
}

impl Context {
    /// A queue whose metrics bear this name.
    pub fn queue<T: Item>(&self, name: &str) -> WorkQueue<T> {
        WorkQueue::with(DEFAULT_BACKOFF, QueueMetrics::new(&self.metrics, name))
    }

    /// Waits for the informers, then works the queue until shutdown.
    pub async fn drive<T: Item>(
        &self,
        name: &'static str,
        queue: WorkQueue<T>,
        workers: usize,
        reconciler: Arc<dyn Reconcile<T>>,
    ) {
        if self.shutdown.guard(self.informers.synced()).await.is_none() {
            return;
        }
        tracing::info!(controller = name, "caches are synced");
        driver::run(name, queue, workers, reconciler, self.shutdown.clone()).await;
    }
}
