//! Services.

use api::core::v1::Service;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Services.
pub struct Services;

impl Rules for Services {
    type Object = Service;
    const CREATE_ON_UPDATE: bool = true;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn row(object: &Service, now: Timestamp) -> Vec<Value> {
        table::network::service(object, now)
    }
}
