//! Horizontal pod autoscalers.

pub mod metrics;
pub mod validation;

use api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, MetricSpec, MetricTarget, ResourceMetricSource,
};
use api::autoscaling::{v1, v2};
use apimachinery::field::{ErrorList, Path};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::numbers::all_nonnegative;
use crate::rules::Rules;
use crate::table;

/// Percentage of the requested CPU that autoscalers aim at if they name no metric.
const CPU_UTILIZATION: i32 = 80;
const MAX_POLICY: &str = "Max";
/// Seconds.
const POLICY_PERIOD: i32 = 15;

/// Autoscalers by CPU. They are handled, and stored, as v2; the metric's default is part of the conversion.
pub struct AutoscalersV1;

impl Rules for AutoscalersV1 {
    type Object = v1::HorizontalPodAutoscaler;

    crate::spec!();
    crate::status!();

    fn default(autoscaler: &mut v1::HorizontalPodAutoscaler) {
        autoscaler.spec.min_replicas.get_or_insert(1);
    }

    fn row(object: &v1::HorizontalPodAutoscaler, now: Timestamp) -> Vec<Value> {
        table::scaling::autoscaler_v1(object, now)
    }
}

/// Autoscalers by any metric.
pub struct AutoscalersV2;

impl Rules for AutoscalersV2 {
    type Object = v2::HorizontalPodAutoscaler;

    crate::spec!();
    crate::status!();

    fn default(autoscaler: &mut v2::HorizontalPodAutoscaler) {
        let spec = &mut autoscaler.spec;
        spec.min_replicas.get_or_insert(1);
        if spec.metrics.is_empty() {
            spec.metrics.push(cpu_metric());
        }
        if let Some(behavior) = &mut spec.behavior {
            let up = behavior.scale_up.get_or_insert_default();
            up.stabilization_window_seconds.get_or_insert(0);
            complete(up, &[("Pods", 4), ("Percent", 100)]);
            complete(behavior.scale_down.get_or_insert_default(), &[("Percent", 100)]);
        }
    }

    fn validate(autoscaler: &v2::HorizontalPodAutoscaler) -> ErrorList {
        validation::validate(autoscaler, None)
    }

    fn validate_update(
        _cx: &Context<'_>,
        autoscaler: &v2::HorizontalPodAutoscaler,
        old: &v2::HorizontalPodAutoscaler,
    ) -> ErrorList {
        validation::validate(autoscaler, Some(old))
    }

    fn validate_status_update(
        autoscaler: &v2::HorizontalPodAutoscaler,
        _old: &v2::HorizontalPodAutoscaler,
    ) -> ErrorList {
        let status = &autoscaler.status;
        all_nonnegative(
            [
                ("currentReplicas", status.current_replicas.into()),
                ("desiredReplicas", status.desired_replicas.into()),
            ],
            &Path::new("status"),
        )
    }

    fn row(object: &v2::HorizontalPodAutoscaler, now: Timestamp) -> Vec<Value> {
        table::scaling::autoscaler_v2(object, now)
    }
}

fn cpu_metric() -> MetricSpec {
    let target = MetricTarget {
        type_: "Utilization".to_owned(),
        average_utilization: Some(CPU_UTILIZATION),
        ..MetricTarget::default()
    };
    let cpu = ResourceMetricSource {
        name: "cpu".to_owned(),
        target,
    };
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(Box::new(cpu)),
        ..MetricSpec::default()
    }
}

fn complete(rules: &mut HPAScalingRules, policies: &[(&str, i32)]) {
    rules.select_policy.get_or_insert_with(|| MAX_POLICY.to_owned());
    if rules.policies.is_empty() {
        rules.policies = policies
            .iter()
            .map(|(kind, value)| HPAScalingPolicy {
                type_: (*kind).to_owned(),
                value: *value,
                period_seconds: POLICY_PERIOD,
            })
            .collect();
    }
}
