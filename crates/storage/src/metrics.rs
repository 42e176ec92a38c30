//! What stores and caches measure, under upstream's names. `etcd_...` is any store here.
//!
//! Upstream: `apiserver/pkg/storage/etcd3/metrics`, `cacher/metrics`.

use std::sync::Arc;
use std::time::Duration;

use component_base::metrics::{HistogramVec, IntCounterVec, IntGaugeVec, REQUEST_BUCKETS, Registry};

use crate::Revision;

/// Reads wait for the cache for three seconds at most.
const WAIT_BUCKETS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0,
];
const LEASE_BUCKETS: &[f64] = &[10.0, 50.0, 100.0, 500.0, 1000.0, 2500.0, 5000.0];
/// Revisions are shown by their last 15 digits: more don't fit into the number of a metric.
const SHOWN_REVISIONS: u64 = 1_000_000_000_000_000;

/// The metrics of all resources of one server.
pub struct Metrics {
    durations: HistogramVec,
    requests: IntCounterVec,
    errors: IntCounterVec,
    events: IntCounterVec,
    progress: IntCounterVec,
    cache: CacheMetrics,
}

struct CacheMetrics {
    initializations: IntCounterVec,
    initial_events: IntCounterVec,
    received: IntCounterVec,
    dispatched: IntCounterVec,
    terminated: IntCounterVec,
    capacity: IntGaugeVec,
    revision: IntGaugeVec,
    waits: HistogramVec,
    consistent_reads: IntCounterVec,
    checks: IntCounterVec,
    lists: IntCounterVec,
    list_fetched: IntCounterVec,
    list_returned: IntCounterVec,
}

impl Metrics {
    /// Declares them in the registry.
    pub fn new(registry: &Registry) -> Arc<Self> {
        let by_resource = ["group", "resource"];
        let by_operation = ["operation", "group", "resource"];
        let counter = |name: &str, help: &str| registry.counter_vec(name, help, &by_resource);
        Arc::new(Self {
            durations: registry.histogram_vec(
                "etcd_request_duration_seconds",
                "Etcd request latency in seconds for each operation and object type.",
                &by_operation,
                REQUEST_BUCKETS,
            ),
            requests: registry.counter_vec(
                "etcd_requests_total",
                "Etcd request counts for each operation and object type.",
                &by_operation,
            ),
            errors: registry.counter_vec(
                "etcd_request_errors_total",
                "Etcd failed request counts for each operation and object type.",
                &by_operation,
            ),
            events: counter(
                "apiserver_storage_events_received_total",
                "Number of etcd events received split by kind.",
            ),
            progress: counter(
                "etcd_bookmark_total",
                "Number of etcd bookmarks (progress notify events) split by kind.",
            ),
            cache: CacheMetrics::new(registry),
        })
    }

    /// Those of one resource.
    pub fn of(self: &Arc<Self>, group: &str, resource: &str) -> ResourceMetrics {
        ResourceMetrics {
            all: self.clone(),
            labels: Arc::new([group.to_owned(), resource.to_owned()]),
        }
    }
}

impl CacheMetrics {
    fn new(registry: &Registry) -> Self {
        let by_resource = ["group", "resource"];
        let by_index = ["group", "resource", "index"];
        let counter = |name: &str, help: &str| registry.counter_vec(name, help, &by_resource);
        Self {
            initializations: counter(
                "apiserver_watch_cache_initializations_total",
                "Counter of watch cache initializations broken by resource type.",
            ),
            initial_events: counter(
                "apiserver_init_events_total",
                "Counter of init events processed in watch cache broken by resource type.",
            ),
            received: counter(
                "apiserver_watch_cache_events_received_total",
                "Counter of events received in watch cache broken by resource type.",
            ),
            dispatched: counter(
                "apiserver_watch_cache_events_dispatched_total",
                "Counter of events dispatched in watch cache broken by resource type.",
            ),
            terminated: counter(
                "apiserver_terminated_watchers_total",
                "Counter of watchers closed due to unresponsiveness broken by resource type.",
            ),
            capacity: registry.gauge_vec(
                "watch_cache_capacity",
                "Total capacity of watch cache broken by resource type.",
                &by_resource,
            ),
            revision: registry.gauge_vec(
                "apiserver_watch_cache_resource_version",
                "Current resource version of watch cache broken by resource type. This is truncated to the 15 least significant digits.",
                &by_resource,
            ),
            waits: registry.histogram_vec(
                "apiserver_watch_cache_read_wait_seconds",
                "Histogram of time spent waiting for a watch cache to become fresh.",
                &by_resource,
                WAIT_BUCKETS,
            ),
            consistent_reads: registry.counter_vec(
                "apiserver_watch_cache_consistent_read_total",
                "Counter for consistent reads from cache.",
                &["group", "resource", "success", "fallback"],
            ),
            checks: registry.counter_vec(
                "apiserver_storage_consistency_checks_total",
                "Counter for status of consistency checks between etcd and watch cache",
                &["group", "resource", "status"],
            ),
            lists: registry.counter_vec(
                "apiserver_cache_list_total",
                "Number of LIST requests served from watch cache",
                &by_index,
            ),
            list_fetched: registry.counter_vec(
                "apiserver_cache_list_fetched_objects_total",
                "Number of objects read from watch cache in the course of serving a LIST request",
                &by_index,
            ),
            list_returned: counter(
                "apiserver_cache_list_returned_objects_total",
                "Number of objects returned for a LIST request from watch cache",
            ),
        }
    }
}

/// How many objects share a lease, as `etcd::Options` takes it.
pub fn lease_objects(registry: &Registry) -> component_base::metrics::Histogram {
    registry.histogram(
        "etcd_lease_object_counts",
        "Number of objects attached to a single etcd lease.",
        LEASE_BUCKETS,
    )
}

/// The metrics of one resource. Cheap to clone.
#[derive(Clone)]
pub struct ResourceMetrics {
    all: Arc<Metrics>,
    /// Group and resource.
    labels: Arc<[String; 2]>,
}

impl ResourceMetrics {
    fn by_resource(&self) -> [&str; 2] {
        [&self.labels[0], &self.labels[1]]
    }

    fn and<'a>(&'a self, more: &'a str) -> [&'a str; 3] {
        [&self.labels[0], &self.labels[1], more]
    }

    /// One request to the store is through.
    pub fn request(&self, operation: &str, took: Duration, failed: bool) {
        let labels = [operation, &self.labels[0], &self.labels[1]];
        self.all
            .durations
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
        self.all.requests.with_label_values(&labels).inc();
        if failed {
            self.all.errors.with_label_values(&labels).inc();
        }
    }

    pub(crate) fn store_events(&self, count: usize) {
        self.all
            .events
            .with_label_values(&self.by_resource())
            .inc_by(count as u64);
    }

    pub(crate) fn store_progress(&self) {
        self.all.progress.with_label_values(&self.by_resource()).inc();
    }

    /// The cache was filled, for the first time or anew.
    pub(crate) fn initialized(&self, objects: usize, capacity: usize) {
        let (cache, labels) = (&self.all.cache, self.by_resource());
        cache.initializations.with_label_values(&labels).inc();
        cache
            .initial_events
            .with_label_values(&labels)
            .inc_by(objects as u64);
        cache.capacity.with_label_values(&labels).set(capacity as i64);
    }

    pub(crate) fn received(&self, events: usize) {
        let received = self.all.cache.received.with_label_values(&self.by_resource());
        received.inc_by(events as u64);
    }

    pub(crate) fn dispatched(&self, events: usize, newest: Revision) {
        let (cache, labels) = (&self.all.cache, self.by_resource());
        cache.dispatched.with_label_values(&labels).inc_by(events as u64);
        let shown = (newest.0 % SHOWN_REVISIONS) as i64;
        cache.revision.with_label_values(&labels).set(shown);
    }

    pub(crate) fn terminated(&self, watchers: usize) {
        let terminated = &self.all.cache.terminated;
        terminated
            .with_label_values(&self.by_resource())
            .inc_by(watchers as u64);
    }

    pub(crate) fn waited(&self, took: Duration) {
        let waits = self.all.cache.waits.with_label_values(&self.by_resource());
        waits.observe(took.as_secs_f64());
    }

    /// There is nothing to fall back to: a read that the cache can't answer in time fails.
    pub(crate) fn consistent_read(&self, success: bool) {
        let success = if success { "true" } else { "false" };
        let labels = [&self.labels[0], &self.labels[1], success, "false"];
        self.all.cache.consistent_reads.with_label_values(&labels).inc();
    }

    pub(crate) fn checked(&self, status: &str) {
        self.all.cache.checks.with_label_values(&self.and(status)).inc();
    }

    /// A list was answered from the cache: through an index (`""`: none), from so many objects.
    pub fn listed(&self, index: &str, fetched: usize, returned: usize) {
        let cache = &self.all.cache;
        cache.lists.with_label_values(&self.and(index)).inc();
        cache
            .list_fetched
            .with_label_values(&self.and(index))
            .inc_by(fetched as u64);
        cache
            .list_returned
            .with_label_values(&self.by_resource())
            .inc_by(returned as u64);
    }
}
