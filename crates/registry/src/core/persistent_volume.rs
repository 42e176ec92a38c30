//! PersistentVolumes.

use api::core::v1::PersistentVolume;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// PersistentVolumes.
pub struct PersistentVolumes;

impl Rules for PersistentVolumes {
    type Object = PersistentVolume;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn row(object: &PersistentVolume, now: Timestamp) -> Vec<Value> {
        table::volume::persistent_volume(object, now)
    }
}
