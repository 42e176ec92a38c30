//! The fields that a value states.

use crate::items;
use crate::managers::Error;
use crate::path::{Path, PathElement};
use crate::schema::{Schema, Walk, walk};
use crate::set::Set;
use serde_json::Value;

/// Every field of a value: its leaves, items of lists, and objects that are empty.
pub fn field_set<S: Schema>(value: &Value, schema: S) -> Result<Set, Error> {
    let mut set = Set::default();
    visit(value, Some(schema), &mut Vec::new(), &mut set)?;
    Ok(set)
}

fn visit<S: Schema>(value: &Value, schema: Option<S>, path: &mut Path, set: &mut Set) -> Result<(), Error> {
    match (walk(schema, value), value) {
        (Walk::Map, Value::Object(members)) => {
            for (name, value) in members {
                let declared = schema.and_then(|schema| schema.field(name));
                let inner = declared.or_else(|| schema.and_then(|schema| schema.element()));
                path.push(PathElement::Field(name.clone()));
                visit(value, inner, path, set)?;
                let empty = value.is_null() || value.as_object().is_some_and(|members| members.is_empty());
                if empty || declared.is_none() {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (Walk::List, Value::Array(list)) => {
            let Some(schema) = schema else { return Ok(()) };
            for (element, same) in items::index(schema, list)? {
                path.push(element);
                // Items that share a name are owned as one.
                if let [item] = same.as_slice() {
                    visit(item, schema.element(), path, set)?;
                }
                set.insert(path);
                path.pop();
            }
        }
        // A list or object that is absent in all but name states nothing.
        _ if value.is_null()
            && schema.is_some_and(|schema| !matches!(schema.shape(), crate::Shape::Scalar)) => {}
        _ => set.insert(path),
    }
    Ok(())
}
