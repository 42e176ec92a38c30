//! Which atomic lists and maps a value has.

use crate::path::{Name, Path, PathElement};
use crate::schema::{Relation, Schema, Shape, shape};
use serde_json::Value;

/// Where a value has atomic lists and maps: laid over another value they would replace what it has there.
pub fn atomics<S: Schema>(value: &Value, schema: S) -> Vec<Path> {
    let mut found = Vec::new();
    visit(value, Some(schema), &mut Vec::new(), &mut found);
    found
}

fn visit<S: Schema>(value: &Value, schema: Option<S>, path: &mut Path, found: &mut Vec<Path>) {
    match (shape(schema), value) {
        (Shape::Map(relation), Value::Object(members)) => {
            if relation == Relation::Atomic {
                found.push(path.clone());
            }
            for (name, value) in members {
                if let Some(field) = schema.and_then(|schema| schema.field(name)) {
                    path.push(PathElement::Field(Name::Owned(name.clone())));
                    visit(value, Some(field), path, found);
                    path.pop();
                }
            }
        }
        (Shape::List(Relation::Atomic) | Shape::Untyped, Value::Array(_)) => found.push(path.clone()),
        (Shape::List(Relation::Separable), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                path.push(PathElement::Index(index as i64));
                visit(item, schema.and_then(|schema| schema.element()), path, found);
                path.pop();
            }
        }
        _ => {}
    }
}
