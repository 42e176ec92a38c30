//! Taking fields out of a value.

use crate::items;
use crate::path::PathElement;
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
                let element = PathElement::Field(name.clone());
                if unwanted.members().contains(&element) {
                    continue;
                }
                let inner = schema.and_then(|schema| schema.field(name).or_else(|| schema.element()));
                let value = match unwanted.children().get(&element) {
                    Some(below) => remove(value, below, inner),
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
                if unwanted.members().contains(&element) {
                    return None;
                }
                Some(match unwanted.children().get(&element) {
                    Some(below) => remove(item, below, schema.element()),
                    None => item.clone(),
                })
            });
            Value::Array(kept.collect())
        }
        _ => value.clone(),
    }
}
