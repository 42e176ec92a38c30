//! Horizontal pod autoscalers.

use api::autoscaling::{v1, v2};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Autoscalers by CPU.
pub struct AutoscalersV1;

impl Rules for AutoscalersV1 {
    type Object = v1::HorizontalPodAutoscaler;

    crate::spec!();
    crate::status!();

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

    fn row(object: &v2::HorizontalPodAutoscaler, now: Timestamp) -> Vec<Value> {
        table::scaling::autoscaler_v2(object, now)
    }
}
