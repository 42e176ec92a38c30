//! Namespaces.

use api::core::v1::Namespace;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Namespaces.
pub struct Namespaces;

impl Rules for Namespaces {
    type Object = Namespace;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn row(object: &Namespace, now: Timestamp) -> Vec<Value> {
        table::cluster::namespace(object, now)
    }
}
