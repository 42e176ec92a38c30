//! Jobs.

use api::batch::v1::Job;
use apiserver::strategy::GarbageCollection;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Jobs.
pub struct Jobs;

impl Rules for Jobs {
    type Object = Job;
    const GARBAGE_COLLECTION: GarbageCollection = GarbageCollection::OrphanDependents;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &Job, now: Timestamp) -> Vec<Value> {
        table::workload::job(object, now)
    }
}
