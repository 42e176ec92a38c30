//! How often webhooks are asked, how long they take, and what comes of it.

use std::time::Duration;

use component_base::metrics::{HistogramVec, IntCounterVec, Registry};

use super::review::Sort;
use super::{Failure, hooks::Hook};
use crate::Operation;

/// Greater codes are counted as this one: webhooks choose them freely.
const MAX_CODE: u16 = 600;
const BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];

pub struct Metrics {
    durations: HistogramVec,
    requests: IntCounterVec,
    rejections: IntCounterVec,
    fail_open: IntCounterVec,
}

impl Sort {
    /// As the metrics' `type` has it.
    fn label(self) -> &'static str {
        match self {
            Self::Mutating => "admit",
            Self::Validating => "validating",
        }
    }
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            durations: registry.histogram_vec(
                "apiserver_admission_webhook_admission_duration_seconds",
                "[STABLE] Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
                &["name", "operation", "rejected", "type"],
                BUCKETS,
            ),
            requests: registry.counter_vec(
                "apiserver_admission_webhook_request_total",
                "[ALPHA] Admission webhook request total, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify whether the request was rejected or not and an HTTP status code. Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
                &["code", "name", "operation", "rejected", "type"],
            ),
            rejections: registry.counter_vec(
                "apiserver_admission_webhook_rejection_count",
                "[ALPHA] Admission webhook rejection count, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify an error type (calling_webhook_error or apiserver_internal_error if an error occurred; no_error otherwise) and optionally a non-zero rejection code if the webhook rejects the request with an HTTP status code (honored by the apiserver when the code is greater or equal to 400). Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
                &["error_type", "name", "operation", "rejection_code", "type"],
            ),
            fail_open: registry.counter_vec(
                "apiserver_admission_webhook_fail_open_count",
                "[ALPHA] Admission webhook fail open count, identified by name and broken out for each admission type (validating or admit).",
                &["name", "type"],
            ),
        }
    }

    /// A webhook was asked, with this outcome.
    pub fn asked(
        &self,
        hook: &Hook,
        sort: Sort,
        operation: Operation,
        failure: Option<&Failure>,
        took: Duration,
    ) {
        let (code, error) = match failure {
            None => (200, None),
            Some(Failure::Calling { code, .. }) => {
                (*code, Some("calling_webhook_error").filter(|_| !hook.fails_open))
            }
            Some(Failure::Rejected(status)) => (status.code, Some("no_error")),
            Some(Failure::Unfit(_)) => (0, Some("apiserver_internal_error")),
        };
        let code = code.min(MAX_CODE).to_string();
        let (name, operation, sort) = (hook.name.as_str(), operation.as_str(), sort.label());
        if let Some(error) = error {
            let labels = [error, name, operation, code.as_str(), sort];
            self.rejections.with_label_values(&labels).inc();
        }
        let rejected = if error.is_some() { "true" } else { "false" };
        let labels = [code.as_str(), name, operation, rejected, sort];
        self.requests.with_label_values(&labels).inc();
        let labels = [name, operation, rejected, sort];
        let seconds = took.as_secs_f64();
        self.durations.with_label_values(&labels).observe(seconds);
    }

    /// A request went on although a webhook could not be asked.
    pub fn failed_open(&self, hook: &Hook, sort: Sort) {
        let labels = [hook.name.as_str(), sort.label()];
        self.fail_open.with_label_values(&labels).inc();
    }
}
