//! Secrets.

use api::core::v1::Secret;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Secrets.
pub struct Secrets;

impl Rules for Secrets {
    type Object = Secret;

    fn row(object: &Secret, now: Timestamp) -> Vec<Value> {
        table::cluster::secret(object, now)
    }
}
