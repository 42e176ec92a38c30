//! Runtime classes.

use api::node::v1::RuntimeClass;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// RuntimeClasses.
pub struct RuntimeClasses;

impl Rules for RuntimeClasses {
    type Object = RuntimeClass;
    const CREATE_ON_UPDATE: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn row(object: &RuntimeClass, now: Timestamp) -> Vec<Value> {
        table::cluster::runtime_class(object, now)
    }
}
