//! Flow schemas and priority levels.

use api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// FlowSchemas.
pub struct FlowSchemas;

impl Rules for FlowSchemas {
    type Object = FlowSchema;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &FlowSchema, now: Timestamp) -> Vec<Value> {
        table::cluster::flow_schema(object, now)
    }
}

/// PriorityLevelConfigurations.
pub struct PriorityLevels;

impl Rules for PriorityLevels {
    type Object = PriorityLevelConfiguration;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &PriorityLevelConfiguration, now: Timestamp) -> Vec<Value> {
        table::cluster::priority_level(object, now)
    }
}
