//! PersistentVolumeClaims.

use api::core::v1::PersistentVolumeClaim;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// PersistentVolumeClaims.
pub struct PersistentVolumeClaims;

impl Rules for PersistentVolumeClaims {
    type Object = PersistentVolumeClaim;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn row(object: &PersistentVolumeClaim, now: Timestamp) -> Vec<Value> {
        table::volume::persistent_volume_claim(object, now)
    }
}
