//! Laying what a manager applies over what there is.

use crate::items::{self, Index};
use crate::managers::Error;
use crate::path::PathElement;
use crate::schema::{Schema, Walk, walk};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// The live value with the applied one over it: leaves of the applied value win, parts of both stay.
pub fn merge<S: Schema>(live: &Value, applied: &Value, schema: S) -> Result<Value, Error> {
    Ok(merge_values(Some(live), Some(applied), Some(schema))?.unwrap_or(Value::Null))
}

fn merge_values<S: Schema>(
    live: Option<&Value>,
    applied: Option<&Value>,
    schema: Option<S>,
) -> Result<Option<Value>, Error> {
    let (Some(live), Some(applied)) = (live, applied) else {
        return Ok(applied.or(live).cloned());
    };
    match (walk(schema, applied), applied, live) {
        (Walk::Map, Value::Object(applied), Value::Object(live))
            if !(applied.is_empty() && live.is_empty()) =>
        {
            merge_maps(live, applied, schema).map(|merged| Some(Value::Object(merged)))
        }
        (Walk::List, Value::Array(applied), Value::Array(live))
            if !(applied.is_empty() && live.is_empty()) =>
        {
            let Some(schema) = schema else {
                return Ok(Some(Value::Array(applied.clone())));
            };
            merge_lists(live, applied, schema).map(|merged| Some(Value::Array(merged)))
        }
        // An object or list of the live value that the applied one leaves open (null) stays.
        (_, Value::Null, Value::Object(_) | Value::Array(_)) if walk(schema, live) != Walk::Leaf => {
            Ok(Some(live.clone()))
        }
        _ => Ok(Some(applied.clone())),
    }
}

fn merge_maps<S: Schema>(
    live: &Map<String, Value>,
    applied: &Map<String, Value>,
    schema: Option<S>,
) -> Result<Map<String, Value>, Error> {
    let mut merged = live.clone();
    for (name, value) in applied {
        let inner = schema.and_then(|schema| schema.field(name).or_else(|| schema.element()));
        if let Some(value) = merge_values(live.get(name), Some(value), inner)? {
            merged.insert(name.clone(), value);
        }
    }
    Ok(merged)
}

/// Items of both, in the applied order where both have an item; those of the live list alone stay in their places.
fn merge_lists<'v, S: Schema>(
    live: &'v [Value],
    applied: &'v [Value],
    schema: S,
) -> Result<Vec<Value>, Error> {
    let name_all = |list: &'v [Value]| -> Result<Vec<(PathElement, &'v Value)>, Error> {
        let name = |item| Ok((items::element(schema, item)?, item));
        list.iter().map(name).collect()
    };
    let (wanted, wanted_index) = (name_all(applied)?, Index::new(schema, applied)?);
    let (standing, standing_index) = (name_all(live)?, Index::new(schema, live)?);
    if let Some((element, _)) = wanted
        .iter()
        .find(|(element, _)| wanted_index.get(element).len() > 1)
    {
        return Err(Error::Item(format!("duplicate entries for key {element}")));
    }
    let unique = |element: &PathElement| match standing_index.get(element) {
        [item] => Some(*item),
        _ => None,
    };
    let mut shared: VecDeque<&PathElement> = wanted
        .iter()
        .map(|(element, _)| element)
        .filter(|element| !standing_index.get(element).is_empty())
        .collect();
    let mut next = wanted.iter().peekable();
    let mut merged = Vec::with_capacity(live.len() + applied.len());
    let take = |(element, item): &(PathElement, &Value), merged: &mut Vec<Value>| -> Result<(), Error> {
        let value = merge_values(unique(element), Some(item), schema.element())?;
        merged.extend(value);
        Ok(())
    };
    for (element, item) in &standing {
        if wanted_index.get(element).is_empty() {
            merged.push((*item).clone());
            continue;
        }
        // This live item's place is taken by the applied item that is due among those that both lists have, with
        // the new ones that come before it.
        if shared.front() != Some(&element) {
            continue;
        }
        while let Some(due) = next.next_if(|_| !shared.is_empty()) {
            take(due, &mut merged)?;
            if shared.front() == Some(&&due.0) {
                shared.pop_front();
                if due.0 == *element {
                    break;
                }
            }
        }
    }
    for due in next {
        take(due, &mut merged)?;
    }
    Ok(merged)
}
