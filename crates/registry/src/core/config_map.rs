//! ConfigMaps.

use api::core::v1::ConfigMap;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// ConfigMaps.
pub struct ConfigMaps;

impl Rules for ConfigMaps {
    type Object = ConfigMap;

    fn row(object: &ConfigMap, now: Timestamp) -> Vec<Value> {
        table::cluster::config_map(object, now)
    }
}
