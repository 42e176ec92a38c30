//! Whole objects within an object: they have a kind and metadata as any object.
//!
//! Upstream: `apiserver/schema/objectmeta`.

use api::Message;
use api::codec::{json_to_proto, proto_to_json};
use api::meta::v1::ObjectMeta;
use api::types::meta_v1::OBJECT_META;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::gvk::GroupVersion;
use apimachinery::validation::{is_dns1035_label, name_is_path_segment};
use registry::metadata;
use serde_json::{Map, Value};

use super::validation::shown;
use super::{Additional, Schema};

/// Drops of each embedded object's metadata what metadata can't hold; the paths of that.
pub fn prune(
    content: &mut Map<String, Value>,
    schema: &Schema,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    for (name, member) in content.iter_mut() {
        if let Some(inner) = schema.member(name) {
            prune_value(member, inner, name, unknown)?;
        }
    }
    Ok(())
}

fn prune_value(
    value: &mut Value,
    schema: &Schema,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    match value {
        Value::Object(members) => {
            if schema.is_embedded {
                prune_metadata(members, path, unknown)?;
            }
            for (name, member) in members.iter_mut() {
                if let Some(inner) = schema.member(name) {
                    prune_value(member, inner, &format!("{path}.{name}"), unknown)?;
                }
            }
            Ok(())
        }
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return Ok(()) };
            items
                .iter_mut()
                .enumerate()
                .try_for_each(|(index, item)| prune_value(item, inner, &format!("{path}[{index}]"), unknown))
        }
        _ => Ok(()),
    }
}

fn prune_metadata(
    members: &mut Map<String, Value>,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let Some(metadata) = members.get_mut("metadata") else {
        return Ok(());
    };
    let parsed = json_to_proto(&OBJECT_META, metadata.to_string().as_bytes())
        .map_err(|error| format!("{path}.metadata: Invalid value: {metadata}: {error}"))?;
    let names = parsed
        .strict_errors
        .iter()
        .filter_map(|error| error.split('"').nth(1));
    unknown.extend(names.map(|name| format!("{path}.metadata.{name}")));
    let mut json = Vec::new();
    proto_to_json(None, &OBJECT_META, &parsed.proto, &mut json).map_err(|error| error.to_string())?;
    *metadata = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    Ok(())
}

/// Errors of embedded objects.
pub fn validate(content: &Map<String, Value>, schema: &Schema) -> ErrorList {
    let mut errors = ErrorList::new();
    for (name, member) in content {
        if let Some(inner) = schema.properties.get(name) {
            visit(member, inner, &Path::new(name.clone()), &mut errors);
        }
    }
    errors
}

fn visit(value: &Value, schema: &Schema, path: &Path, errors: &mut ErrorList) {
    match value {
        Value::Object(members) => {
            if schema.is_embedded {
                errors.extend(validate_object(members, path));
            }
            for (name, member) in members {
                match (schema.properties.get(name), &schema.additional) {
                    (Some(inner), _) => visit(member, inner, &path.child(name.clone()), errors),
                    (None, Additional::Of(inner)) => visit(member, inner, &path.key(name.as_str()), errors),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                visit(item, inner, &path.index(index), errors);
            }
        }
        _ => {}
    }
}

fn validate_object(members: &Map<String, Value>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (field, judge) in [
        ("apiVersion", wrong_version as fn(&str) -> Option<String>),
        ("kind", wrong_kind),
    ] {
        let at = path.child(field);
        match members.get(field) {
            None => errors.push(Error::required(&at, "")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(Error::invalid(&at, text.as_str(), "must not be empty"));
            }
            Some(Value::String(text)) => {
                errors.extend(judge(text).map(|why| Error::invalid(&at, text.as_str(), why)));
            }
            Some(other) => errors.push(Error::invalid(&at, shown(other), "must be a string")),
        }
    }
    if let Some(stated) = members.get("metadata") {
        errors.extend(validate_metadata(stated, &path.child("metadata")));
    }
    errors
}

fn wrong_version(text: &str) -> Option<String> {
    GroupVersion::parse(text).err().map(|error| error.to_string())
}

fn wrong_kind(text: &str) -> Option<String> {
    let wrong = is_dns1035_label(&text.to_lowercase());
    let detail = || {
        format!(
            "may have mixed case, but should otherwise match: {}",
            wrong.join(",")
        )
    };
    (!wrong.is_empty()).then(detail)
}

fn validate_metadata(stated: &Value, path: &Path) -> ErrorList {
    let mut parsed = match ObjectMeta::from_json(stated.to_string().as_bytes()) {
        Ok(parsed) => parsed,
        Err(error) => return vec![Error::invalid(path, shown(stated), error.to_string())],
    };
    // An object within another need not have a name.
    if parsed.name.is_empty() {
        parsed.name = "fakename".to_owned();
    }
    let namespaced = !parsed.namespace.is_empty();
    let mut errors = metadata::validate(&parsed, namespaced, name_is_path_segment);
    for error in &mut errors {
        let rest = error
            .field
            .strip_prefix("metadata")
            .unwrap_or(&error.field)
            .to_owned();
        error.field = format!("{path}{rest}");
    }
    errors
}
