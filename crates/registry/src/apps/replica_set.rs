//! ReplicaSets.

use api::apps::v1::ReplicaSet;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// ReplicaSets.
pub struct ReplicaSets;

impl Rules for ReplicaSets {
    type Object = ReplicaSet;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &ReplicaSet, now: Timestamp) -> Vec<Value> {
        table::workload::replica_set(object, now)
    }
}
