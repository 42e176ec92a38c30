//! Upstream's scheduler metrics.

use component_base::metrics::{Registry, exponential_buckets};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

use crate::queue::Counts;

#[derive(Clone)]
pub struct Metrics {
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    pub algorithm_seconds: Histogram,
    pub attempts_per_pod: Histogram,
    pub sli_seconds: HistogramVec,
    pub preemption_attempts: IntCounter,
    pub preemption_victims: Histogram,
    pub flushed: IntCounter,
    pending: IntGaugeVec,
    cache_size: IntGaugeVec,
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Scheduled,
    Unschedulable,
    Error,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        let milliseconds = exponential_buckets(0.001, 2.0, 15);
        Self {
            attempts: registry.counter_vec(
                "scheduler_schedule_attempts_total",
                "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be \
                 scheduled, while 'error' means an internal scheduler problem.",
                &["result", "profile"],
            ),
            attempt_seconds: registry.histogram_vec(
                "scheduler_scheduling_attempt_duration_seconds",
                "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
                &["result", "profile"],
                &milliseconds,
            ),
            algorithm_seconds: registry.histogram(
                "scheduler_scheduling_algorithm_duration_seconds",
                "Scheduling algorithm latency in seconds",
                &milliseconds,
            ),
            attempts_per_pod: registry.histogram(
                "scheduler_pod_scheduling_attempts",
                "Number of attempts to successfully schedule a pod.",
                &exponential_buckets(1.0, 2.0, 5),
            ),
            sli_seconds: registry.histogram_vec(
                "scheduler_pod_scheduling_sli_duration_seconds",
                "E2e latency for a pod being scheduled, from the time it enters the scheduling queue.",
                &["attempts"],
                &exponential_buckets(0.01, 2.0, 20),
            ),
            preemption_attempts: registry.counter(
                "scheduler_preemption_attempts_total",
                "Total preemption attempts in the cluster till now",
            ),
            preemption_victims: registry.histogram(
                "scheduler_preemption_victims",
                "Number of selected preemption victims",
                &exponential_buckets(1.0, 2.0, 7),
            ),
            flushed: registry.counter(
                "scheduler_pod_scheduled_after_flush_total",
                "Number of pods that left the unschedulable pods because they waited too long.",
            ),
            pending: registry.gauge_vec(
                "scheduler_pending_pods",
                "Number of pending pods, by the queue type.",
                &["queue"],
            ),
            cache_size: registry.gauge_vec(
                "scheduler_cache_size",
                "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.",
                &["type"],
            ),
        }
    }

    pub fn attempt(&self, outcome: Outcome, profile: &str, seconds: f64) {
        let result = match outcome {
            Outcome::Scheduled => "scheduled",
            Outcome::Unschedulable => "unschedulable",
            Outcome::Error => "error",
        };
        self.attempts.with_label_values(&[result, profile]).inc();
        self.attempt_seconds
            .with_label_values(&[result, profile])
            .observe(seconds);
    }

    pub fn pending(&self, counts: Counts) {
        let of = [
            ("active", counts.active),
            ("backoff", counts.backoff),
            ("unschedulable", counts.unschedulable),
            ("gated", counts.gated),
        ];
        for (queue, count) in of {
            self.pending.with_label_values(&[queue]).set(count as i64);
        }
    }

    pub fn cache(&self, nodes: usize, pods: usize, assumed: usize) {
        for (kind, count) in [("nodes", nodes), ("pods", pods), ("assumed_pods", assumed)] {
            self.cache_size.with_label_values(&[kind]).set(count as i64);
        }
    }
}
