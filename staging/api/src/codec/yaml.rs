//! YAML in and out, by way of JSON.

mod emit;
mod problem;
mod scalar;

use super::Error;
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

/// One YAML document as JSON. Of a repeated key the last value counts; `0644` is octal, as in YAML 1.1.
pub fn to_json(yaml: &[u8]) -> Result<Vec<u8>, Error> {
    let value = parse(yaml, DuplicateKeyPolicy::LastWins)?.map_err(|error| {
        let text = String::from_utf8_lossy(yaml);
        Error::Yaml(problem::describe(&error, first_document(&text)))
    })?;
    serde_json::to_vec(&value).map_err(|error| Error::Yaml(error.to_string()))
}

/// What strict decoding has against a document: a repeated key, in upstream's words.
pub fn strict_error(yaml: &[u8]) -> Option<String> {
    match parse(yaml, DuplicateKeyPolicy::Error).ok()? {
        Err(serde_saphyr::Error::DuplicateMappingKey { key, location }) => {
            let key = key.unwrap_or_default();
            Some(format!(
                "yaml: unmarshal errors:\n  line {}: key {key:?} already set in map",
                location.line()
            ))
        }
        _ => None,
    }
}

/// A JSON document as YAML, its maps sorted by key as upstream prints them.
pub fn from_json(json: &[u8]) -> Result<String, Error> {
    let value: Value = serde_json::from_slice(json).map_err(|error| Error::Yaml(error.to_string()))?;
    Ok(emit::document(&value))
}

fn parse(
    yaml: &[u8],
    duplicate_keys: DuplicateKeyPolicy,
) -> Result<Result<Value, serde_saphyr::Error>, Error> {
    let text = std::str::from_utf8(yaml).map_err(|_| Error::Yaml("yaml: invalid UTF-8".to_owned()))?;
    let text = first_document(text);
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    Ok(serde_saphyr::from_str_with_options(text, options))
}

/// What comes after the first document is not read.
fn first_document(text: &str) -> &str {
    let is_marker = |line: &str| line.trim_end() == "---" || line.starts_with("--- ");
    let mut end = 0;
    let mut has_content = false;
    for line in text.split_inclusive('\n') {
        if is_marker(line) && has_content {
            break;
        }
        let bare = line.trim();
        has_content |= !bare.is_empty() && !bare.starts_with(['#', '%']);
        end += line.len();
    }
    &text[..end]
}
