//! A registry of metrics, made once a daemon and handed to whatever measures.
//!
//! Asking twice for the same metric gives the same one, so that two clients in a daemon can share
//! `rest_client_requests_total`.

mod process;

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{Encoder, HistogramOpts, Opts, TextEncoder};
pub use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};

use crate::features::FeatureGates;
use crate::serving::{self, Response};
use crate::version;

/// Upstream's default latency buckets of API requests, in seconds.
pub const REQUEST_BUCKETS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];

/// Prometheus' own default buckets, in seconds.
pub const DEFAULT_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// `count` buckets, each `factor` times the one before.
pub fn exponential_buckets(start: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(start), |bucket| Some(bucket * factor))
        .take(count)
        .collect()
}

/// The metrics of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    registry: prometheus::Registry,
    made: Mutex<HashMap<String, Box<dyn Any + Send>>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    pub fn new() -> Self {
        let inner = Inner {
            registry: prometheus::Registry::new(),
            made: Mutex::new(HashMap::new()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.make(name, || IntCounter::new(name, help))
    }

    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.make(name, || IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.make(name, || IntGauge::new(name, help))
    }

    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.make(name, || IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.make(name, || Gauge::new(name, help))
    }

    pub fn float_gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.make(name, || GaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.make(name, || {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        })
    }

    pub fn histogram_vec(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.make(name, || {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
        })
    }

    /// Adds a collector whose values are read when the registry is. A second one of the same name is not
    /// added.
    pub fn collect(&self, name: &str, collector: impl Collector + Clone + 'static) {
        self.make(name, move || Ok(collector));
    }

    /// What every daemon publishes about itself: its build, its gates, its process.
    pub fn describe_process(&self, gates: &FeatureGates) {
        let info = version::get();
        let labels = [
            "build_date",
            "compiler",
            "git_commit",
            "git_tree_state",
            "git_version",
            "go_version",
            "major",
            "minor",
            "platform",
        ];
        self.gauge_vec(
            "kubernetes_build_info",
            "A metric with a constant '1' value labeled by the version this was built from.",
            &labels,
        )
        .with_label_values(&[
            info.build_date,
            info.compiler,
            info.git_commit,
            info.git_tree_state,
            info.git_version,
            "rust",
            info.major,
            info.minor,
            info.platform,
        ])
        .set(1);
        let enabled = self.gauge_vec(
            "kubernetes_feature_enabled",
            "Whether a feature gate is on (1) or off (0).",
            &["name", "stage"],
        );
        for (feature, on) in gates.iter() {
            enabled
                .with_label_values(&[feature.name, feature.stage.label()])
                .set(i64::from(on));
        }
        self.collect("process", process::ProcessCollector::new());
    }

    /// The text exposition format.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.inner.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// The answer to `GET /metrics`.
    pub fn respond(&self) -> Response {
        match self.render() {
            Ok(text) => {
                let mut response = http::Response::new(serving::body::full(text));
                let content_type = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, content_type);
                response
            }
            Err(error) => serving::body::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    /// The metric of this name: the one made before, or a new one.
    fn make<M>(&self, name: &str, new: impl FnOnce() -> Result<M, prometheus::Error>) -> M
    where
        M: Collector + Clone + 'static,
    {
        let mut made = self.inner.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metric) = made.get(name).and_then(|metric| metric.downcast_ref::<M>()) {
            return metric.clone();
        }
        let metric = new().expect("invariant: names and labels of metrics are constants of valid form");
        if self.inner.registry.register(Box::new(metric.clone())).is_err() {
            // The same name with another type: it is measured, yet not published, rather than a crash.
            tracing::error!(metric = name, "metric is declared twice with different types");
        }
        made.insert(name.to_owned(), Box::new(metric.clone()));
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureGates;

    #[test]
    fn a_metric_asked_for_twice_is_one() {
        let registry = Registry::new();
        registry
            .counter_vec("requests_total", "Requests.", &["code"])
            .with_label_values(&["200"])
            .inc();
        registry
            .counter_vec("requests_total", "Requests.", &["code"])
            .with_label_values(&["200"])
            .inc();
        let text = String::from_utf8(registry.render().unwrap()).unwrap();
        assert_eq!(
            text,
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{code=\"200\"} 2\n"
        );
    }

    #[test]
    fn a_daemon_describes_itself() {
        let registry = Registry::new();
        registry.describe_process(&FeatureGates::new(&[]));
        let text = String::from_utf8(registry.render().unwrap()).unwrap();
        for name in [
            "kubernetes_build_info{",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            "process_start_time_seconds ",
            "process_max_fds ",
            "process_network_receive_bytes_total ",
            "process_virtual_memory_max_bytes ",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }

    #[test]
    fn buckets_grow_by_their_factor() {
        assert_eq!(exponential_buckets(0.001, 2.0, 4), [0.001, 0.002, 0.004, 0.008]);
    }
}
