//! The controller's metrics, by upstream's names.

use std::time::Duration;

use component_base::metrics::{
    HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, exponential_buckets,
};
use controller_runtime::ObjectKey;

use super::sources::{Failure, Outcome};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    None,
    Up,
    Down,
}

/// Whose mistake a failure is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ErrorKind {
    Spec,
    Internal,
}

pub(super) struct Measures {
    reconciliations: IntCounterVec,
    reconciliation_duration: HistogramVec,
    computations: IntCounterVec,
    computation_duration: HistogramVec,
    desired: IntGaugeVec,
    pub count: IntGauge,
}

impl Measures {
    pub fn new(registry: &Registry) -> Self {
        let name = |name: &str| format!("horizontal_pod_autoscaler_controller_{name}");
        let buckets = exponential_buckets(0.001, 2.0, 15);
        let by_result = ["action", "error"];
        let by_metric = ["action", "error", "metric_type"];
        Measures {
            reconciliations: registry.counter_vec(
                &name("reconciliations_total"),
                "Number of reconciliations of HPA controller",
                &by_result,
            ),
            reconciliation_duration: registry.histogram_vec(
                &name("reconciliation_duration_seconds"),
                "The time(seconds) that the HPA controller takes to reconcile once",
                &by_result,
                &buckets,
            ),
            computations: registry.counter_vec(
                &name("metric_computation_total"),
                "Number of metric computations",
                &by_metric,
            ),
            computation_duration: registry.histogram_vec(
                &name("metric_computation_duration_seconds"),
                "The time(seconds) that the HPA controller takes to calculate one metric",
                &by_metric,
                &buckets,
            ),
            desired: registry.gauge_vec(
                &name("desired_replicas"),
                "Current desired replica count for HPA objects",
                &["namespace", "hpa_name"],
            ),
            count: registry.gauge(
                &name("num_horizontal_pod_autoscalers"),
                "Current number of controlled HPA objects",
            ),
        }
    }

    pub fn reconciled(&self, action: Action, error: Option<ErrorKind>, took: Duration) {
        let labels = [label_of_action(action), label_of_error(error)];
        self.reconciliations.with_label_values(&labels).inc();
        self.reconciliation_duration
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
    }

    pub fn computed(&self, type_: &str, outcome: &Result<Outcome, Failure>, current: i32, took: Duration) {
        let (action, error) = match outcome {
            Ok(outcome) if outcome.replicas > current => (Action::Up, None),
            Ok(outcome) if outcome.replicas < current => (Action::Down, None),
            Ok(_) => (Action::None, None),
            Err(failure) if failure.is_of_spec => (Action::None, Some(ErrorKind::Spec)),
            Err(_) => (Action::None, Some(ErrorKind::Internal)),
        };
        let labels = [label_of_action(action), label_of_error(error), type_];
        self.computations.with_label_values(&labels).inc();
        self.computation_duration
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
    }

    pub fn desired(&self, key: &ObjectKey, replicas: i32) {
        self.desired
            .with_label_values(&[&*key.namespace, &*key.name])
            .set(i64::from(replicas));
    }

    pub fn forget(&self, key: &ObjectKey) {
        // An autoscaler that never got so far has none.
        let _ = self.desired.remove_label_values(&[&*key.namespace, &*key.name]);
    }
}

fn label_of_action(action: Action) -> &'static str {
    match action {
        Action::None => "none",
        Action::Up => "scale_up",
        Action::Down => "scale_down",
    }
}

fn label_of_error(error: Option<ErrorKind>) -> &'static str {
    match error {
        None => "none",
        Some(ErrorKind::Spec) => "spec",
        Some(ErrorKind::Internal) => "internal",
    }
}
