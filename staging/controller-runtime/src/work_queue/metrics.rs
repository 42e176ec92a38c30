//! The metrics of work queues, under upstream's names.

use std::time::Duration;

use component_base::metrics::{Gauge, Histogram, IntCounter, IntGauge, Registry, exponential_buckets};

/// The metrics of one queue.
#[derive(Clone)]
pub struct QueueMetrics {
    depth: IntGauge,
    adds: IntCounter,
    queue_duration: Histogram,
    work_duration: Histogram,
    unfinished: Gauge,
    longest: Gauge,
    retries: IntCounter,
}

impl QueueMetrics {
    /// Registers a queue under its name.
    pub fn new(registry: &Registry, name: &str) -> Self {
        let label = &["name"];
        let buckets = exponential_buckets(1e-8, 10.0, 10);
        let depth = registry.gauge_vec("workqueue_depth", "Current depth of workqueue", label);
        let adds = registry.counter_vec(
            "workqueue_adds_total",
            "Total number of adds handled by workqueue",
            label,
        );
        let queue_duration = registry.histogram_vec(
            "workqueue_queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested.",
            label,
            &buckets,
        );
        let work_duration = registry.histogram_vec(
            "workqueue_work_duration_seconds",
            "How long in seconds processing an item from workqueue takes.",
            label,
            &buckets,
        );
        let unfinished = registry.float_gauge_vec(
            "workqueue_unfinished_work_seconds",
            "How many seconds of work are in progress and not observed by work_duration.",
            label,
        );
        let longest = registry.float_gauge_vec(
            "workqueue_longest_running_processor_seconds",
            "How many seconds the longest running processor has been running.",
            label,
        );
        let retries = registry.counter_vec(
            "workqueue_retries_total",
            "Total number of retries handled by workqueue",
            label,
        );
        QueueMetrics {
            depth: depth.with_label_values(&[name]),
            adds: adds.with_label_values(&[name]),
            queue_duration: queue_duration.with_label_values(&[name]),
            work_duration: work_duration.with_label_values(&[name]),
            unfinished: unfinished.with_label_values(&[name]),
            longest: longest.with_label_values(&[name]),
            retries: retries.with_label_values(&[name]),
        }
    }

    /// Metrics that nobody reads.
    pub fn unregistered() -> Self {
        Self::new(&Registry::new(), "unregistered")
    }

    pub(super) fn added(&self, depth: usize) {
        self.promoted(1, depth);
    }

    pub(super) fn promoted(&self, count: usize, depth: usize) {
        self.adds.inc_by(count as u64);
        self.set_depth(depth);
    }

    pub(super) fn taken(&self, waited: Duration, depth: usize) {
        self.queue_duration.observe(waited.as_secs_f64());
        self.set_depth(depth);
    }

    pub(super) fn done(&self, took: Duration, depth: usize) {
        self.work_duration.observe(took.as_secs_f64());
        self.set_depth(depth);
    }

    pub(super) fn retried(&self) {
        self.retries.inc();
    }

    pub(super) fn unfinished(&self, total: Duration, longest: Duration) {
        self.unfinished.set(total.as_secs_f64());
        self.longest.set(longest.as_secs_f64());
    }

    fn set_depth(&self, depth: usize) {
        self.depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
}
