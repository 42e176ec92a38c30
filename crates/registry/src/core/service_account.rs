//! ServiceAccounts.

use api::core::v1::ServiceAccount;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// ServiceAccounts.
pub struct ServiceAccounts;

impl Rules for ServiceAccounts {
    type Object = ServiceAccount;
    const RETURNS_DELETED: bool = true;

    fn row(object: &ServiceAccount, now: Timestamp) -> Vec<Value> {
        table::name_and_age(&object.metadata, now)
    }
}
