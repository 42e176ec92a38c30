//! ControllerRevisions.

use api::apps::v1::ControllerRevision;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// ControllerRevisions.
pub struct ControllerRevisions;

impl Rules for ControllerRevisions {
    type Object = ControllerRevision;

    fn row(object: &ControllerRevision, now: Timestamp) -> Vec<Value> {
        table::workload::controller_revision(object, now)
    }
}
