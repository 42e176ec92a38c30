//! Nodes.

use api::core::v1::Node;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Nodes.
pub struct Nodes;

impl Rules for Nodes {
    type Object = Node;

    crate::spec!();
    crate::status!();

    fn row(object: &Node, now: Timestamp) -> Vec<Value> {
        table::node::row(object, now)
    }
}
