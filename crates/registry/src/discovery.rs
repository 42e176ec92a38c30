//! EndpointSlices.

use api::discovery::v1::EndpointSlice;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// EndpointSlices.
pub struct EndpointSlices;

impl Rules for EndpointSlices {
    type Object = EndpointSlice;
    const GENERATION: bool = true;

    fn row(object: &EndpointSlice, now: Timestamp) -> Vec<Value> {
        table::network::endpoint_slice(object, now)
    }
}
