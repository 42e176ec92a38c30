//! Keys that wait to be worked on: each once, never by two workers at a time, failed ones after a growing delay.
//!
//! [`core`] is the pure state; [`WorkQueue`] lets tasks wait on it; [`metrics`] tells how it fares.
//!
//! Upstream: client-go/util/workqueue

pub mod core;
pub mod metrics;

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::core::Core;
use crate::backoff::Exponential;
use metrics::QueueMetrics;

/// Upstream's default for controllers: 5 ms doubling to 1000 s.
pub const DEFAULT_BACKOFF: Exponential = Exponential {
    initial: Duration::from_millis(5),
    max: Duration::from_secs(1000),
    factor: 2.0,
};

/// What can be queued: a key, small and cheap to clone.
pub trait Item: Clone + Eq + Hash + Send + Sync + fmt::Display + 'static {}

impl<T: Clone + Eq + Hash + Send + Sync + fmt::Display + 'static> Item for T {}

/// A handle to a queue; clones share it.
pub struct WorkQueue<T>(Arc<Inner<T>>);

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        WorkQueue(self.0.clone())
    }
}

struct Inner<T> {
    core: Mutex<Core<T>>,
    wake: Notify,
    metrics: QueueMetrics,
}

impl<T: Item> WorkQueue<T> {
    /// A queue with upstream's default delays, whose metrics nobody reads.
    pub fn new() -> Self {
        Self::with(DEFAULT_BACKOFF, QueueMetrics::unregistered())
    }

    pub fn with(backoff: Exponential, metrics: QueueMetrics) -> Self {
        let core = Mutex::new(Core::new(backoff, Instant::now().into_std()));
        WorkQueue(Arc::new(Inner {
            core,
            wake: Notify::new(),
            metrics,
        }))
    }

    fn core(&self) -> MutexGuard<'_, Core<T>> {
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an item, unless it waits already. One that is being worked on is queued again afterwards.
    pub fn add(&self, item: T) {
        let mut core = self.core();
        if core.add(item, Instant::now().into_std()) {
            self.0.metrics.added(core.len());
            drop(core);
            self.0.wake.notify_one();
        }
    }

    /// Queues an item once the delay has passed.
    pub fn add_after(&self, item: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(item);
        }
        self.0.metrics.retried();
        self.core().add_at(item, Instant::now().into_std() + delay);
        self.0.wake.notify_one();
    }

    /// Queues an item after a delay that grows with each call, until [`WorkQueue::forget`].
    pub fn add_rate_limited(&self, item: T) {
        let now = Instant::now().into_std();
        let mut core = self.core();
        let delay = core.failed(&item, now);
        core.add_at(item, now + delay);
        drop(core);
        self.0.metrics.retried();
        self.0.wake.notify_one();
    }

    /// The item fared well: its next delay is the shortest again.
    pub fn forget(&self, item: &T) {
        self.core().forget(item);
    }

    /// How often the item failed since it was last forgotten.
    pub fn failures(&self, item: &T) -> u32 {
        self.core().failures(item)
    }

    /// Waits for an item; the caller must give it back by [`WorkQueue::done`]. `None` after shutdown, once the
    /// queue is empty.
    pub async fn get(&self) -> Option<T> {
        loop {
            let woken = self.0.wake.notified();
            let now = Instant::now().into_std();
            let deadline = {
                let mut core = self.core();
                let promoted = core.promote(now);
                if promoted > 0 {
                    self.0.metrics.promoted(promoted, core.len());
                }
                if let Some((item, waited)) = core.take(now) {
                    self.0.metrics.taken(waited, core.len());
                    // More may be ready than this worker was woken for.
                    if !core.is_empty() {
                        self.0.wake.notify_one();
                    }
                    return Some(item);
                }
                if core.is_shut_down() {
                    self.0.wake.notify_one();
                    return None;
                }
                core.next_deadline()
            };
            match deadline {
                Some(deadline) => {
                    tokio::select! {
                        () = woken => {}
                        () = tokio::time::sleep_until(deadline.into()) => {}
                    }
                }
                None => woken.await,
            }
        }
    }

    /// The item was worked on.
    pub fn done(&self, item: &T) {
        let now = Instant::now().into_std();
        let mut core = self.core();
        let (took, requeued) = core.done(item, now);
        self.0.metrics.done(took, core.len());
        drop(core);
        if requeued {
            self.0.wake.notify_one();
        }
    }

    pub fn len(&self) -> usize {
        self.core().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes no more items; what waits is still handed out, what is delayed is dropped.
    pub fn shut_down(&self) {
        self.core().shut_down();
        self.0.wake.notify_waiters();
        self.0.wake.notify_one();
    }

    /// Brings the gauges of unfinished work up to date; call now and then.
    pub fn report_unfinished(&self) {
        let (total, longest) = self.core().unfinished(Instant::now().into_std());
        self.0.metrics.unfinished(total, longest);
    }
}

impl<T: Item> Default for WorkQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delayed_items_come_in_time_and_failed_ones_later_each_time() {
        let queue = WorkQueue::<&str>::new();
        let start = Instant::now();
        queue.add_after("b", Duration::from_secs(2));
        queue.add_after("a", Duration::from_secs(1));
        assert_eq!(queue.get().await, Some("a"));
        assert_eq!(start.elapsed().as_millis(), 1000);
        assert_eq!(queue.get().await, Some("b"));
        queue.done(&"b");
        for expected in [5, 10, 20] {
            let start = Instant::now();
            queue.add_rate_limited("b");
            assert_eq!(queue.get().await, Some("b"));
            assert_eq!(start.elapsed().as_millis(), expected);
            queue.done(&"b");
        }
        queue.forget(&"b");
        assert_eq!(queue.failures(&"b"), 0);
    }

    #[tokio::test]
    async fn shutdown_drains_and_wakes_every_worker() {
        let queue = WorkQueue::<&str>::new();
        queue.add("a");
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut taken = 0;
                    while let Some(item) = queue.get().await {
                        queue.done(&item);
                        taken += 1;
                    }
                    taken
                })
            })
            .collect();
        queue.shut_down();
        queue.add("late");
        let mut total = 0;
        for worker in workers {
            total += worker.await.expect("worker");
        }
        assert_eq!(total, 1);
    }
}
