//! How often webhooks convert, how long it takes, and what comes of it.

use std::time::Duration;

use component_base::metrics::{HistogramVec, IntCounterVec, Registry, exponential_buckets};

const BUCKETS: &[f64] = &[
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0,
];

/// Why a conversion failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The webhook knows no review that the server does: it was not asked.
    Unasked,
    CallFailure,
    MalformedResponse,
    PartialResponse,
    InvalidConvertedObject,
}

impl Outcome {
    fn label(self) -> Option<&'static str> {
        match self {
            Outcome::Unasked => None,
            Outcome::CallFailure => Some("conversion_webhook_call_failure"),
            Outcome::MalformedResponse => Some("conversion_webhook_malformed_response_failure"),
            Outcome::PartialResponse => Some("conversion_webhook_partial_response_failure"),
            Outcome::InvalidConvertedObject => Some("conversion_webhook_invalid_converted_object_failure"),
        }
    }
}

/// See the module.
pub struct Metrics {
    requests: IntCounterVec,
    latencies: HistogramVec,
    durations: HistogramVec,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            requests: registry.counter_vec(
                "apiserver_conversion_webhook_request_total",
                "[ALPHA] Counter for conversion webhook requests with success/failure and failure error type",
                &["failure_type", "result"],
            ),
            latencies: registry.histogram_vec(
                "apiserver_conversion_webhook_duration_seconds",
                "[ALPHA] Conversion webhook request latency",
                &["failure_type", "result"],
                BUCKETS,
            ),
            durations: registry.histogram_vec(
                "apiserver_crd_conversion_webhook_duration_seconds",
                "[ALPHA] CRD webhook conversion duration in seconds",
                &["crd_name", "from_version", "succeeded", "to_version"],
                &exponential_buckets(0.001, 2.0, 15),
            ),
        }
    }

    /// A webhook was asked to convert between two versions.
    pub fn asked(&self, definition: &str, from: &str, to: &str, failure: Option<Outcome>, took: Duration) {
        let seconds = took.as_secs_f64();
        let succeeded = if failure.is_none() { "true" } else { "false" };
        let labels = [definition, from, succeeded, to];
        self.durations.with_label_values(&labels).observe(seconds);
        let labels = match failure.map(Outcome::label) {
            None => ["", "success"],
            Some(Some(failure)) => [failure, "failure"],
            Some(None) => return,
        };
        self.requests.with_label_values(&labels).inc();
        self.latencies.with_label_values(&labels).observe(seconds);
    }
}
