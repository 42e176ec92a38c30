//! Deployments.

use api::apps::v1::Deployment;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Deployments.
pub struct Deployments;

impl Rules for Deployments {
    type Object = Deployment;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &Deployment, now: Timestamp) -> Vec<Value> {
        table::workload::deployment(object, now)
    }
}
