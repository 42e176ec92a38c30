//! Lists: replaced, merged as sets of scalars, or merged item by item by key.

use super::order::{Kind, partition, put_in_order};
use super::{DIRECTIVE, Error, Strategy, merge_object, shown, type_name, unknown_directive};
use serde_json::Value;

pub fn merge_or_replace(
    original: Vec<Value>,
    patch: Vec<Value>,
    field: &str,
    strategy: Strategy,
    depth: usize,
) -> Result<Vec<Value>, Error> {
    if !strategy.merge {
        return Ok(patch);
    }
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    match one_type(original.iter().chain(&patch))? {
        Kind::Scalars => {
            let merged = deduplicated(original.iter().chain(&patch).cloned());
            let (from_patch, own) = partition(merged, &patch, "")?;
            put_in_order(from_patch, own, &patch, &original, "", Kind::Scalars)
        }
        Kind::Objects if strategy.merge_key.is_empty() => Err(Error::UndeclaredMergeKey(field.to_owned())),
        Kind::Objects => merge_by_key(original, patch, strategy, depth),
    }
}

fn merge_by_key(
    original: Vec<Value>,
    patch: Vec<Value>,
    strategy: Strategy,
    depth: usize,
) -> Result<Vec<Value>, Error> {
    let key = strategy.merge_key;
    let (original, patch) = follow_item_directives(original, patch, key)?;
    let mut merged = original.clone();
    for item in &patch {
        let found = find(&merged, key, merge_key_value(item, key)?)?;
        match (found, item) {
            (Some(index), Value::Object(item)) => {
                let Value::Object(own) = merged[index].take() else {
                    return Err(Error::NotAnObject);
                };
                merged[index] = Value::Object(merge_object(own, item.clone(), strategy.schema, depth + 1)?);
            }
            (_, item) => merged.push(item.clone()),
        }
    }
    let (from_patch, own) = partition(merged, &patch, key)?;
    put_in_order(from_patch, own, &patch, &original, key, Kind::Objects)
}

/// Takes out the patch's items that direct: `delete` removes the items of its key, `replace` all of them.
fn follow_item_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut replace = false;
    let mut plain = Vec::with_capacity(patch.len());
    for item in patch {
        let Value::Object(members) = &item else { continue };
        match members.get(DIRECTIVE).map(Value::as_str) {
            None => plain.push(item),
            Some(Some("delete")) => {
                let unwanted = merge_key_value(&item, key)?;
                while let Some(index) = find(&original, key, unwanted)? {
                    original.remove(index);
                }
            }
            Some(Some("replace")) => replace = true,
            Some(Some("merge")) => return Err(Error::MergeDirective),
            Some(_) => return Err(unknown_directive(members)),
        }
    }
    Ok(if replace {
        (plain, Vec::new())
    } else {
        (original, plain)
    })
}

/// Which of two kinds all items are. Lists of lists cannot be merged.
pub fn one_type<'a>(items: impl Iterator<Item = &'a Value>) -> Result<Kind, Error> {
    let mut first: Option<&Value> = None;
    for item in items {
        match first {
            None if item.is_array() => return Err(Error::ListOfLists),
            None => first = Some(item),
            Some(first) if type_name(first) != type_name(item) => return Err(Error::MixedList),
            Some(_) => {}
        }
    }
    match first {
        None => Err(Error::EmptyLists),
        Some(Value::Object(_)) => Ok(Kind::Objects),
        Some(_) => Ok(Kind::Scalars),
    }
}

/// The index of the first item with a value under the merge key.
pub fn find(items: &[Value], key: &str, value: &Value) -> Result<Option<usize>, Error> {
    for (index, item) in items.iter().enumerate() {
        let Value::Object(members) = item else {
            return Err(Error::Type {
                expected: "map[string]interface {}",
                received: type_name(item),
            });
        };
        if members.get(key) == Some(value) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

pub fn merge_key_value<'a>(item: &'a Value, key: &str) -> Result<&'a Value, Error> {
    let Value::Object(members) = item else {
        return Err(Error::Type {
            expected: "map[string]interface {}",
            received: type_name(item),
        });
    };
    members.get(key).ok_or_else(|| Error::NoMergeKey {
        map: shown(members),
        key: key.to_owned(),
    })
}

fn deduplicated(items: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut unique: Vec<Value> = Vec::new();
    for item in items {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}
