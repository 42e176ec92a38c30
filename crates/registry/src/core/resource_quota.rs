//! ResourceQuotas.

use api::core::v1::ResourceQuota;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// ResourceQuotas.
pub struct ResourceQuotas;

impl Rules for ResourceQuotas {
    type Object = ResourceQuota;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn row(object: &ResourceQuota, now: Timestamp) -> Vec<Value> {
        table::cluster::resource_quota(object, now)
    }
}
