//! Whether a value is of a type: what is declared, of the right kinds, and each item of a list named once.
//!
//! Upstream: `structured-merge-diff/typed`.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::items;
use crate::path::PathElement;
use crate::schema::{Relation, ScalarKind, Schema, Shape};

/// What a value has against its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeErrors(Vec<String>);

impl fmt::Display for TypeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            all => {
                f.write_str("errors:")?;
                all.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for TypeErrors {}

/// Checks a whole value.
pub fn check<S: Schema>(value: &Value, schema: S) -> Result<(), TypeErrors> {
    let mut walk = Check {
        path: String::new(),
        errors: Vec::new(),
    };
    walk.visit(value, schema);
    if walk.errors.is_empty() {
        Ok(())
    } else {
        Err(TypeErrors(walk.errors))
    }
}

struct Check {
    path: String,
    errors: Vec<String>,
}

impl Check {
    fn error(&mut self, what: impl fmt::Display) {
        self.errors.push(format!("{}: {what}", self.path));
    }

    fn visit<S: Schema>(&mut self, value: &Value, schema: S) {
        match (schema.shape(), value) {
            (_, Value::Null) | (Shape::Untyped, _) => {}
            (Shape::Scalar, value) => self.scalar(value, schema.scalar()),
            (Shape::Map(_), Value::Object(members)) => self.members(members, schema),
            (Shape::Map(_), other) => self.error(format_args!("expected map, got {}", Held(other))),
            (Shape::List(relation), Value::Array(list)) => self.items(list, schema, relation),
            (Shape::List(_), other) => self.error(format_args!("expected list, got {}", Held(other))),
        }
    }

    fn scalar(&mut self, value: &Value, kind: ScalarKind) {
        match (kind, value) {
            (ScalarKind::Numeric, Value::Number(_))
            | (ScalarKind::Text, Value::String(_))
            | (ScalarKind::Boolean, Value::Bool(_))
            | (ScalarKind::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => {}
            (ScalarKind::Numeric, other) => self.error(format_args!(
                "expected numeric (int or float), got {}",
                go_type(other)
            )),
            (ScalarKind::Text, other) => self.error(format_args!(
                "expected string, got &value.valueUnstructured{{Value:{}}}",
                Syntax(other)
            )),
            (ScalarKind::Boolean, other) => {
                self.error(format_args!("expected boolean, got {}", Held(other)));
            }
            (ScalarKind::Any, other) => {
                self.error(format_args!("expected any scalar, got {}", Held(other)));
            }
        }
    }

    fn members<S: Schema>(&mut self, members: &Map<String, Value>, schema: S) {
        for (name, value) in members {
            let inner = schema.field(name).or_else(|| schema.element());
            let element = PathElement::Field(name.clone().into());
            // After a member that is not declared, upstream looks at no other.
            let is_declared = inner.is_some();
            self.below(&element, |walk| match inner {
                Some(inner) => walk.visit(value, inner),
                None => walk.error("field not declared in schema"),
            });
            if !is_declared {
                return;
            }
        }
    }

    fn items<S: Schema>(&mut self, list: &[Value], schema: S, relation: Relation) {
        let mut seen = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let element = match relation {
                Relation::Atomic => PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX)),
                Relation::Separable => match items::element(schema, item) {
                    Ok(element) => element,
                    Err(error) => return self.error(format_args!("element {index}: {error}")),
                },
            };
            if let Some(inner) = schema.element() {
                if seen.contains(&element) {
                    self.error(format_args!("duplicate entries for key {element}"));
                }
                self.below(&element, |walk| walk.visit(item, inner));
            }
            seen.insert(element);
        }
    }

    fn below(&mut self, element: &PathElement, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(&element.to_string());
        visit(self);
        self.path.truncate(length);
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value in the wrapper that upstream prints with it.
struct Held<'v>(&'v Value);

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "&{{{}}}", Printed(self.0))
    }
}

/// A value as Go prints it plainly, as some of upstream's messages show values.
pub struct Printed<'v>(pub &'v Value);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::String(text) => f.write_str(text),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| Printed(item).to_string()).collect();
                write!(f, "[{}]", items.join(" "))
            }
            Value::Object(members) => {
                let mut members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{name}:{}", Printed(value)))
                    .collect();
                members.sort();
                write!(f, "map[{}]", members.join(" "))
            }
            other => write!(f, "{other}"),
        }
    }
}

/// A value in Go's syntax.
struct Syntax<'v>(&'v Value);

impl fmt::Display for Syntax<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("interface {}(nil)"),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| Syntax(item).to_string()).collect();
                write!(f, "[]interface {{}}{{{}}}", items.join(", "))
            }
            Value::Object(members) => {
                let mut members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), Syntax(value)))
                    .collect();
                members.sort();
                write!(f, "map[string]interface {{}}{{{}}}", members.join(", "))
            }
            other => write!(f, "{other}"),
        }
    }
}
