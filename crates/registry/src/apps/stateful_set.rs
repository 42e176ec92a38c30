//! StatefulSets.

use api::apps::v1::StatefulSet;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// StatefulSets.
pub struct StatefulSets;

impl Rules for StatefulSets {
    type Object = StatefulSet;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &StatefulSet, now: Timestamp) -> Vec<Value> {
        table::workload::stateful_set(object, now)
    }
}
