//! Lists that are sets or maps: each item stands in them once.
//!
//! Upstream: `apiserver/schema/listtype`.

use std::collections::BTreeMap;

use apimachinery::field::{Error, ErrorList, Path};
use serde_json::{Map, Value};

use super::validation::shown;
use super::{Additional, Schema};

/// Errors of all lists in an object.
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
            for (name, member) in members {
                match (schema.properties.get(name), &schema.additional) {
                    (Some(inner), _) => visit(member, inner, &path.child(name.clone()), errors),
                    (None, Additional::Of(inner)) => visit(member, inner, &path.key(name.as_str()), errors),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            match schema.list_type.as_str() {
                "set" => errors.extend(
                    repeated(items).map(|index| Error::duplicate(&path.index(index), shown(&items[index]))),
                ),
                "map" => errors.extend(validate_map(items, &schema.list_keys, path)),
                _ => {}
            }
            if let Some(inner) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    visit(item, inner, &path.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

/// Where each value stands that is there more than once: its second place.
fn repeated(items: &[Value]) -> impl Iterator<Item = usize> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut again = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let times = seen.entry(item.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            again.push(index);
        }
    }
    again.into_iter()
}

fn validate_map(items: &[Value], keys: &[String], path: &Path) -> ErrorList {
    let stray = items.iter().position(|item| !item.is_object() && !item.is_null());
    if let Some(index) = stray {
        let detail = "must be an object for an array of list-type map";
        return vec![Error::invalid(&path.index(index), shown(&items[index]), detail)];
    }
    let key_of = |item: &Value| {
        let found = keys
            .iter()
            .filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
        Value::Object(found.collect())
    };
    let of_items: Vec<Value> = items.iter().map(key_of).collect();
    repeated(&of_items)
        .map(|index| Error::duplicate(&path.index(index), shown(&of_items[index])))
        .collect()
}
