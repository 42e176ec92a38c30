//! DaemonSets.

use api::apps::v1::DaemonSet;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// DaemonSets.
pub struct DaemonSets;

impl Rules for DaemonSets {
    type Object = DaemonSet;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &DaemonSet, now: Timestamp) -> Vec<Value> {
        table::workload::daemon_set(object, now)
    }
}
