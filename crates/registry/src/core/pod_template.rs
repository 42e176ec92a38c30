//! PodTemplates.

use api::core::v1::PodTemplate;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// PodTemplates.
pub struct PodTemplates;

impl Rules for PodTemplates {
    type Object = PodTemplate;
    const RETURNS_DELETED: bool = true;

    crate::generation!(template);

    fn row(object: &PodTemplate, _now: Timestamp) -> Vec<Value> {
        table::pod::template_row(object)
    }
}
