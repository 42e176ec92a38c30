//! ConfigMaps.

use api::core::v1::ConfigMap;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_config_map_key;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::secret::{MAX_DATA_BYTES, frozen};
use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::table;

/// ConfigMaps.
pub struct ConfigMaps;

impl Rules for ConfigMaps {
    type Object = ConfigMap;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;

    fn validate(config_map: &ConfigMap) -> ErrorList {
        let mut errors = ErrorList::new();
        for key in config_map.data.keys() {
            let path = Path::new("data").key(key);
            errors.extend(messages(&path, key, is_config_map_key(key)));
            if config_map.binary_data.contains_key(key) {
                errors.push(Error::invalid(
                    &path,
                    key,
                    "duplicate of key present in binaryData",
                ));
            }
        }
        for key in config_map.binary_data.keys() {
            errors.extend(messages(
                &Path::new("binaryData").key(key),
                key,
                is_config_map_key(key),
            ));
        }
        let text: usize = config_map.data.values().map(String::len).sum();
        let binary: usize = config_map.binary_data.values().map(Vec::len).sum();
        if text + binary > MAX_DATA_BYTES {
            errors.push(Error::too_long(&Path::new(""), MAX_DATA_BYTES));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, config_map: &ConfigMap, old: &ConfigMap) -> ErrorList {
        let mut errors = ErrorList::new();
        if old.immutable == Some(true) {
            errors.extend((config_map.immutable != Some(true)).then(|| frozen("immutable")));
            errors.extend((config_map.data != old.data).then(|| frozen("data")));
            errors.extend((config_map.binary_data != old.binary_data).then(|| frozen("binaryData")));
        }
        errors.extend(Self::validate(config_map));
        errors
    }

    fn row(config_map: &ConfigMap, now: Timestamp) -> Vec<Value> {
        table::cluster::config_map(config_map, now)
    }
}
