//! What is measured, under CoreDNS' names, so that its dashboards and alerts go on working.

use component_base::metrics::{
    Histogram, HistogramVec, IntCounterVec, IntGaugeVec, Registry, exponential_buckets,
};

const SERVER: &str = "dns://:53";

#[derive(Clone)]
pub struct Metrics {
    requests: IntCounterVec,
    responses: IntCounterVec,
    duration: HistogramVec,
    cache_hits: IntCounterVec,
    cache_misses: IntCounterVec,
    cache_entries: IntGaugeVec,
    forward_failures: IntCounterVec,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| registry.counter_vec(name, help, labels);
        Self {
            requests: counter(
                "coredns_dns_requests_total",
                "Questions so far.",
                &["server", "zone", "proto", "type"],
            ),
            responses: counter(
                "coredns_dns_responses_total",
                "Answers so far.",
                &["server", "zone", "rcode"],
            ),
            duration: registry.histogram_vec(
                "coredns_dns_request_duration_seconds",
                "Time from question to answer.",
                &["server", "zone"],
                &exponential_buckets(0.000_25, 2.0, 16),
            ),
            cache_hits: counter(
                "coredns_cache_hits_total",
                "Answers from the cache.",
                &["server", "type"],
            ),
            cache_misses: counter(
                "coredns_cache_misses_total",
                "Questions not in the cache.",
                &["server"],
            ),
            cache_entries: registry.gauge_vec("coredns_cache_entries", "Answers in the cache.", &["server"]),
            forward_failures: counter(
                "coredns_forward_failures_total",
                "Questions that no other server answered.",
                &["server"],
            ),
        }
    }

    pub fn request(&self, zone: &str, transport: &str, kind: &str) {
        self.requests
            .with_label_values(&[SERVER, zone, transport, kind])
            .inc();
    }

    pub fn response(&self, zone: &str, code: &str, seconds: f64) {
        self.responses.with_label_values(&[SERVER, zone, code]).inc();
        let histogram: Histogram = self.duration.with_label_values(&[SERVER, zone]);
        histogram.observe(seconds);
    }

    pub fn cache_hit(&self, positive: bool) {
        self.cache_hits
            .with_label_values(&[SERVER, if positive { "success" } else { "denial" }])
            .inc();
    }

    pub fn cache_miss(&self, entries: usize) {
        self.cache_misses.with_label_values(&[SERVER]).inc();
        self.cache_entries
            .with_label_values(&[SERVER])
            .set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    pub fn forward_failure(&self) {
        self.forward_failures.with_label_values(&[SERVER]).inc();
    }
}
