//! Pods.

use api::core::v1::Pod;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Pods.
pub struct Pods;

impl Rules for Pods {
    type Object = Pod;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &Pod, now: Timestamp) -> Vec<Value> {
        table::pod::row(object, now)
    }
}
