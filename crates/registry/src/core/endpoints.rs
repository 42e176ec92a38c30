//! Endpoints.

use api::core::v1::Endpoints;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Endpoints.
pub struct EndpointsRules;

impl Rules for EndpointsRules {
    type Object = Endpoints;
    const CREATE_ON_UPDATE: bool = true;

    fn row(object: &Endpoints, now: Timestamp) -> Vec<Value> {
        table::network::endpoints(object, now)
    }
}
