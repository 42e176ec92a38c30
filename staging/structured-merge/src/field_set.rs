//! The fields that a value states.

use crate::items::Index;
use crate::managers::Error;
use crate::path::PathElement;
use crate::schema::{Schema, Shape, Walk, walk};
use crate::set::{Node, Set};
use serde_json::{Map, Value};

/// Every field of a value: its leaves, items of lists, and objects that are empty.
pub fn field_set<S: Schema>(value: &Value, schema: S) -> Result<Set, Error> {
    Ok(visit(value, Some(schema))?.below)
}

/// What a value states of itself and below it.
struct Stated {
    is_member: bool,
    below: Set,
}

fn visit<S: Schema>(value: &Value, schema: Option<S>) -> Result<Stated, Error> {
    let mut stated = Stated {
        is_member: false,
        below: Set::default(),
    };
    match (walk(schema, value), value) {
        (Walk::Map, Value::Object(members)) => stated.below = fields(members, schema)?,
        (Walk::List, Value::Array(list)) => {
            if let Some(schema) = schema {
                stated.below = items(list, schema)?;
            }
        }
        // A list or object that is absent in all but name states nothing.
        _ if value.is_null() && schema.is_some_and(|schema| schema.shape() != Shape::Scalar) => {}
        _ => stated.is_member = true,
    }
    Ok(stated)
}

fn fields<S: Schema>(members: &Map<String, Value>, schema: Option<S>) -> Result<Set, Error> {
    let of = |(name, value): (&String, &Value)| {
        let declared = schema.and_then(|schema| schema.field(name));
        let inner = declared.or_else(|| schema.and_then(|schema| schema.element()));
        let stated = visit(value, inner)?;
        let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        Ok(Node {
            element: PathElement::Field(name.clone().into()),
            is_member: stated.is_member || empty || declared.is_none(),
            below: stated.below,
        })
    };
    members.iter().map(of).collect()
}

fn items<S: Schema>(list: &[Value], schema: S) -> Result<Set, Error> {
    let mut nodes = Vec::with_capacity(list.len());
    for named in Index::new(schema, list)?.into_named() {
        let below = match named.items.as_slice() {
            [item] => visit(item, schema.element())?.below,
            // Items that share a name are owned as one.
            _ => Set::default(),
        };
        nodes.push(Node {
            element: named.element,
            is_member: true,
            below,
        });
    }
    Ok(nodes.into_iter().collect())
}
