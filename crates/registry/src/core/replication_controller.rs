//! ReplicationControllers.

use api::core::v1::ReplicationController;
use apiserver::strategy::GarbageCollection;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// ReplicationControllers.
pub struct ReplicationControllers;

impl Rules for ReplicationControllers {
    type Object = ReplicationController;
    const GARBAGE_COLLECTION: GarbageCollection = GarbageCollection::OrphanDependents;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &ReplicationController, now: Timestamp) -> Vec<Value> {
        table::workload::replication_controller(object, now)
    }
}
