//! Filling in what is absent.
//!
//! Upstream: `apiserver/schema/defaulting`.

use serde_json::{Map, Value};

use super::Schema;

/// Fills in the members of an object.
pub fn default_members(members: &mut Map<String, Value>, schema: &Schema) {
    for (name, property) in &schema.properties {
        let Some(default) = &property.default else {
            continue;
        };
        let is_absent = members
            .get(name)
            .is_none_or(|value| value.is_null() && !property.nullable);
        if is_absent {
            members.insert(name.clone(), default.clone());
        }
    }
    for (name, member) in members.iter_mut() {
        if let Some(inner) = schema.member(name) {
            default(member, inner);
        }
    }
}

fn default(value: &mut Value, schema: &Schema) {
    if value.is_null() && !schema.nullable {
        *value = schema.default.clone().unwrap_or(Value::Null);
    }
    match value {
        Value::Object(members) => default_members(members, schema),
        Value::Array(items) => {
            if let Some(inner) = &schema.items {
                items.iter_mut().for_each(|item| default(item, inner));
            }
        }
        _ => {}
    }
}
