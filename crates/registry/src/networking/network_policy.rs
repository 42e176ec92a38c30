//! NetworkPolicies.

use api::networking::v1::NetworkPolicy;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// NetworkPolicies.
pub struct NetworkPolicies;

impl Rules for NetworkPolicies {
    type Object = NetworkPolicy;

    crate::generation!(spec);

    fn row(object: &NetworkPolicy, now: Timestamp) -> Vec<Value> {
        table::network::network_policy(object, now)
    }
}
