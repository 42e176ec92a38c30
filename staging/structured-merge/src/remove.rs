//! Taking fields out of a value.

use crate::items;
use crate::schema::{Schema, Walk, walk};
use crate::set::Set;
use serde_json::{Map, Value};

/// The value without the fields of a set. Objects and lists that lose all their parts stay, empty.
#[must_use]
pub fn remove_items<S: Schema>(value: &Value, unwanted: &Set, schema: S) -> Value {
    remove(value, unwanted, Some(schema))
}

fn remove<S: Schema>(value: &Value, unwanted: &Set, schema: Option<S>) -> Value {
    match (walk(schema, value), value) {
        (Walk::Map, Value::Object(members)) => {
            let mut kept = Map::new();
            for (name, value) in members {
                let inner = schema.and_then(|schema| schema.field(name).or_else(|| schema.element()));
                let value = match unwanted.field(name) {
                    Some(node) if node.is_member => continue,
                    Some(node) => remove(value, &node.below, inner),
                    None => value.clone(),
                };
                kept.insert(name.clone(), value);
            }
            Value::Object(kept)
        }
        (Walk::List, Value::Array(list)) => {
            let Some(schema) = schema else {
                return value.clone();
            };
            let kept = list.iter().filter_map(|item| {
                let Ok(element) = items::element(schema, item) else {
                    return Some(item.clone());
                };
                match unwanted.node(&element) {
                    Some(node) if node.is_member => None,
                    Some(node) => Some(remove(item, &node.below, schema.element())),
                    None => Some(item.clone()),
                }
            });
            Value::Array(kept.collect())
        }
        _ => value.clone(),
    }
}
