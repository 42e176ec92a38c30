//! LimitRanges.

use api::core::v1::LimitRange;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// LimitRanges.
pub struct LimitRanges;

impl Rules for LimitRanges {
    type Object = LimitRange;
    const CREATE_ON_UPDATE: bool = true;

    fn row(object: &LimitRange, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&object.metadata)
    }
}
