//! The kubelet's own metrics, under upstream's names. Upstream: `kubelet/metrics`.

use component_base::metrics::{
    DEFAULT_BUCKETS, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};
use cri_api::{Observer, error::Code};
use std::{collections::BTreeMap, time::Duration};

/// Buckets of a pull's duration, in seconds.
const PULL_BUCKETS: &[f64] = &[
    1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0,
];
/// Buckets of a resize's duration, in milliseconds.
const RESIZE_BUCKETS: &[f64] = &[
    10.0, 50.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 30_000.0, 60_000.0, 120_000.0,
    300_000.0, 600_000.0,
];
/// Image sizes that a pull's duration is told apart by.
const SIZES: [(u64, &str); 8] = [
    (10, "0-10MB"),
    (100, "10MB-100MB"),
    (500, "100MB-500MB"),
    (1 << 10, "500MB-1GB"),
    (5 << 10, "1GB-5GB"),
    (10 << 10, "5GB-10GB"),
    (20 << 10, "10GB-20GB"),
    (u64::MAX >> 20, "30GB-40GB"),
];

pub struct Metrics {
    registry: Registry,
    /// Probes have so many labels that upstream serves them apart.
    probe_registry: Registry,
    started_pods: IntCounter,
    started_pod_errors: IntCounter,
    started_containers: IntCounterVec,
    started_container_errors: IntCounterVec,
    image_pull: HistogramVec,
    runtime_operations: IntCounterVec,
    runtime_errors: IntCounterVec,
    runtime_duration: HistogramVec,
    running_pods: IntGauge,
    running_containers: IntGaugeVec,
    pleg_relist: Histogram,
    pleg_interval: Histogram,
    pod_worker: HistogramVec,
    probes: IntCounterVec,
    working_pods: IntGaugeVec,
    node_name: IntGaugeVec,
    rejections: IntCounterVec,
    evictions: IntCounterVec,
    resizes_requested: IntCounterVec,
    resize_duration: HistogramVec,
    resizes_pending: IntGaugeVec,
    resizes_in_progress: IntGauge,
    resizes_accepted_late: IntCounterVec,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        let r = registry;
        let probe_registry = Registry::new();
        Self {
            registry: r.clone(),
            started_pods: r.counter("kubelet_started_pods_total", "Cumulative number of pods started"),
            started_pod_errors: r
                .counter("kubelet_started_pods_errors_total", "Cumulative number of errors when starting pods"),
            started_containers: r.counter_vec(
                "kubelet_started_containers_total",
                "Cumulative number of containers started",
                &["container_type"],
            ),
            started_container_errors: r.counter_vec(
                "kubelet_started_containers_errors_total",
                "Cumulative number of errors when starting containers",
                &["container_type", "code"],
            ),
            image_pull: r.histogram_vec(
                "kubelet_image_pull_duration_seconds",
                "Duration in seconds to pull an image.",
                &["image_size_in_bytes"],
                PULL_BUCKETS,
            ),
            runtime_operations: r.counter_vec(
                "kubelet_runtime_operations_total",
                "Cumulative number of runtime operations by operation type.",
                &["operation_type"],
            ),
            runtime_errors: r.counter_vec(
                "kubelet_runtime_operations_errors_total",
                "Cumulative number of runtime operation errors by operation type.",
                &["operation_type"],
            ),
            runtime_duration: r.histogram_vec(
                "kubelet_runtime_operations_duration_seconds",
                "Duration in seconds of runtime operations. Broken down by operation type.",
                &["operation_type"],
                &component_base::metrics::exponential_buckets(0.005, 2.5, 14),
            ),
            running_pods: r
                .gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox"),
            running_containers: r.gauge_vec(
                "kubelet_running_containers",
                "Number of containers currently running",
                &["container_state"],
            ),
            pleg_relist: r.histogram(
                "kubelet_pleg_relist_duration_seconds",
                "Duration in seconds for relisting pods in PLEG.",
                DEFAULT_BUCKETS,
            ),
            pleg_interval: r.histogram(
                "kubelet_pleg_relist_interval_seconds",
                "Interval in seconds between relisting in PLEG.",
                DEFAULT_BUCKETS,
            ),
            pod_worker: r.histogram_vec(
                "kubelet_pod_worker_duration_seconds",
                "Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync",
                &["operation_type"],
                DEFAULT_BUCKETS,
            ),
            probes: probe_registry.counter_vec(
                "prober_probe_total",
                "Cumulative number of a liveness, readiness or startup probe for a container by result.",
                &["probe_type", "result", "container", "pod", "namespace", "pod_uid"],
            ),
            working_pods: r.gauge_vec(
                "kubelet_working_pods",
                "Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the pod is \
                 desired, orphaned, or runtime only (also orphaned), and whether the pod is static.",
                &["lifecycle", "config", "static"],
            ),
            node_name: r.gauge_vec("kubelet_node_name", "The node's name. The count is always 1.", &["node"]),
            evictions: r.counter_vec(
                "kubelet_evictions",
                "Cumulative number of pod evictions by eviction signal",
                &["eviction_signal"],
            ),
            rejections: r.counter_vec(
                "kubelet_admission_rejections_total",
                "Cumulative number pod admission rejections by the Kubelet.",
                &["reason"],
            ),
            resizes_requested: r.counter_vec(
                "kubelet_container_requested_resizes_total",
                "Number of requested resizes, counted at the container level. Different resources on the same \
                 container are counted separately. The 'requirement' label refers to 'memory' or 'limits'; the \
                 'operation' label can be one of 'add', 'remove', 'increase' or 'decrease'.",
                &["resource", "requirement", "operation"],
            ),
            resize_duration: r.histogram_vec(
                "kubelet_pod_resize_duration_milliseconds",
                "Duration in milliseconds to actuate a pod resize",
                &["success"],
                RESIZE_BUCKETS,
            ),
            resizes_pending: r.gauge_vec(
                "kubelet_pod_pending_resizes",
                "Number of pending resizes for pods.",
                &["reason"],
            ),
            resizes_in_progress: r.gauge(
                "kubelet_pod_in_progress_resizes",
                "Number of in-progress resizes for pods.",
            ),
            resizes_accepted_late: r.counter_vec(
                "kubelet_pod_deferred_accepted_resizes_total",
                "Cumulative number of resizes that were accepted after being deferred.",
                &["retry_trigger"],
            ),
            probe_registry,
        }
    }

    pub fn probe_registry(&self) -> &Registry {
        &self.probe_registry
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub fn set_node_name(&self, name: &str) {
        self.node_name.with_label_values(&[name]).set(1);
    }

    pub fn pod_started(&self) {
        self.started_pods.inc();
    }

    pub fn pod_start_failed(&self) {
        self.started_pod_errors.inc();
    }

    pub fn container_started(&self, kind: &str) {
        self.started_containers.with_label_values(&[kind]).inc();
    }

    pub fn container_start_failed(&self, kind: &str, reason: &str) {
        self.started_container_errors
            .with_label_values(&[kind, reason])
            .inc();
    }

    pub fn image_pulled(&self, took: Duration, bytes: u64) {
        let megabytes = bytes >> 20;
        let size = SIZES
            .iter()
            .find(|(limit, _)| megabytes < *limit)
            .map_or("N/A", |(_, name)| name);
        self.image_pull
            .with_label_values(&[size])
            .observe(took.as_secs_f64());
    }

    pub fn pod_rejected(&self, reason: &str) {
        self.rejections.with_label_values(&[reason]).inc();
    }

    pub fn pod_evicted(&self, signal: &str) {
        self.evictions.with_label_values(&[signal]).inc();
    }

    /// A container's resource, whether of requests or limits, and what is done to it.
    pub fn resize_requested(&self, change: &[&str; 3]) {
        self.resizes_requested.with_label_values(change).inc();
    }

    pub fn resized(&self, succeeded: bool, took: Duration) {
        let success = if succeeded { "true" } else { "false" };
        self.resize_duration
            .with_label_values(&[success])
            .observe(took.as_secs_f64() * 1000.0);
    }

    pub fn deferred_resize_accepted(&self, trigger: &str) {
        self.resizes_accepted_late.with_label_values(&[trigger]).inc();
    }

    /// Resizes that wait, by reason, and how many are being carried out.
    pub fn set_resizes(&self, pending: &BTreeMap<String, i64>, in_progress: usize) {
        self.resizes_pending.reset();
        for (reason, count) in pending {
            self.resizes_pending.with_label_values(&[reason]).set(*count);
        }
        self.resizes_in_progress
            .set(i64::try_from(in_progress).unwrap_or(i64::MAX));
    }

    pub fn relisted(&self, took: Duration, interval: Duration) {
        self.pleg_relist.observe(took.as_secs_f64());
        self.pleg_interval.observe(interval.as_secs_f64());
    }

    pub fn set_running(&self, pods: usize, by_state: &[(&str, usize)]) {
        self.running_pods.set(i64::try_from(pods).unwrap_or(i64::MAX));
        self.running_containers.reset();
        for (state, count) in by_state {
            self.running_containers
                .with_label_values(&[state])
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }

    pub fn pod_synced(&self, operation: &str, took: Duration) {
        self.pod_worker
            .with_label_values(&[operation])
            .observe(took.as_secs_f64());
    }

    pub fn probed(&self, labels: &[&str; 6]) {
        self.probes.with_label_values(labels).inc();
    }

    pub fn set_working(&self, counts: &[(&str, bool, usize)]) {
        self.working_pods.reset();
        for (lifecycle, is_static, count) in counts {
            let is_static = if *is_static { "true" } else { "" };
            let gauge = self
                .working_pods
                .with_label_values(&[lifecycle, "desired", is_static]);
            gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }
}

impl Observer for Metrics {
    fn called(&self, call: &'static str, took: Duration, outcome: Result<(), Code>) {
        self.runtime_operations.with_label_values(&[call]).inc();
        self.runtime_duration
            .with_label_values(&[call])
            .observe(took.as_secs_f64());
        if outcome.is_err() {
            self.runtime_errors.with_label_values(&[call]).inc();
        }
    }
}
