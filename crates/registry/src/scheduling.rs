//! Priority classes.

use api::scheduling::v1::PriorityClass;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// PriorityClasses.
pub struct PriorityClasses;

impl Rules for PriorityClasses {
    type Object = PriorityClass;
    const GENERATION: bool = true;

    fn row(object: &PriorityClass, now: Timestamp) -> Vec<Value> {
        table::cluster::priority_class(object, now)
    }
}
