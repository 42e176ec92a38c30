//! YAML in and out, by way of JSON.

use super::Error;
use serde_json::Value;

/// One YAML document as JSON. A repeated key is an error; `0644` is octal, as in YAML 1.1.
pub fn to_json(yaml: &[u8]) -> Result<Vec<u8>, Error> {
    let text = std::str::from_utf8(yaml).map_err(|e| Error::Yaml(e.to_string()))?;
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    let value: Value =
        serde_saphyr::from_str_with_options(text, options).map_err(|e| Error::Yaml(e.to_string()))?;
    serde_json::to_vec(&value).map_err(|e| Error::Yaml(e.to_string()))
}

/// A JSON document as YAML, its maps sorted by key as upstream prints them.
pub fn from_json(json: &[u8]) -> Result<String, Error> {
    let value: Value = serde_json::from_slice(json).map_err(|e| Error::Yaml(e.to_string()))?;
    serde_saphyr::to_string(&value).map_err(|e| Error::Yaml(e.to_string()))
}
