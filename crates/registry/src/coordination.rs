//! Leases.

use api::coordination::v1::Lease;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Leases.
pub struct Leases;

impl Rules for Leases {
    type Object = Lease;
    const CREATE_ON_UPDATE: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn row(object: &Lease, now: Timestamp) -> Vec<Value> {
        table::cluster::lease(object, now)
    }
}
