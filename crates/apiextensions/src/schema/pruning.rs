//! Dropping what a schema does not declare.
//!
//! Upstream: `apiserver/schema/pruning`, `apiserver/schema/defaulting/prunenulls.go`.

use serde_json::{Map, Value};

use super::{Additional, Schema};

/// Members that every object has, whatever its schema says.
const OWN: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Unknown members that are told at most.
const MAX_REPORTS: usize = 100;

/// Prunes the content of a whole object; the paths of what was dropped, sorted.
pub fn prune_root(content: &mut Map<String, Value>, schema: &Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut root = Value::Object(std::mem::take(content));
    prune(&mut root, Some(schema), &mut unknown);
    drop_nulls(&mut root, Some(schema));
    if let Value::Object(members) = root {
        *content = members;
    }
    unknown.sort();
    unknown
}

/// Drops what is not declared, and notes where it was.
pub fn prune(value: &mut Value, schema: Option<&Schema>, unknown: &mut Vec<String>) {
    visit(value, schema, "", unknown);
}

fn visit(value: &mut Value, schema: Option<&Schema>, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.retain(|name, member| {
            let Some(schema) = schema else {
                note(unknown, below(path, name));
                return false;
            };
            if schema.is_embedded && OWN.contains(&name.as_str()) {
                return true;
            }
            let inner = match (schema.properties.get(name), &schema.additional) {
                (Some(property), _) => Some(property),
                (None, Additional::Of(schema)) => Some(&**schema),
                // Whatever it is, it is not looked into.
                (None, _) if schema.preserves_unknown => return true,
                (None, Additional::Any | Additional::None) => None,
                (None, Additional::Unsaid) => {
                    note(unknown, below(path, name));
                    return false;
                }
            };
            visit(member, inner, &below(path, name), unknown);
            true
        }),
        Value::Array(items) => {
            let is_open = schema.is_some_and(|schema| schema.preserves_unknown);
            let inner = schema.and_then(|schema| schema.items.as_deref());
            if is_open && inner.is_none() {
                return;
            }
            for (index, item) in items.iter_mut().enumerate() {
                visit(item, inner, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn note(unknown: &mut Vec<String>, path: String) {
    if unknown.len() < MAX_REPORTS {
        unknown.push(path);
    }
}

/// Drops nulls where there may be none and nothing stands in for them.
fn drop_nulls(value: &mut Value, schema: Option<&Schema>) {
    match value {
        Value::Object(members) => members.retain(|name, member| {
            let schema = schema.and_then(|schema| schema.member(name));
            let is_kept = schema.is_none_or(|schema| schema.nullable || schema.default.is_some());
            if member.is_null() && !is_kept {
                return false;
            }
            drop_nulls(member, schema);
            true
        }),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| schema.items.as_deref());
            items.iter_mut().for_each(|item| drop_nulls(item, schema));
        }
        _ => {}
    }
}
