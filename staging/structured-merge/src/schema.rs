//! What is known of a type, as far as ownership of its fields goes.

use crate::path::Name;
use crate::view::{Form, View};
use serde_json::Value;

/// A node of a schema: cheap to copy, usually a reference into static tables.
pub trait Schema: Copy {
    fn shape(&self) -> Shape;

    /// A declared field of a struct.
    fn field(&self, name: &str) -> Option<Self>;

    /// The type of a map's values or of a list's items.
    fn element(&self) -> Option<Self>;

    /// The name of the nth of the keys that tell a list's items apart; a set has none.
    fn key(&self, index: usize) -> Option<Name>;

    /// The value of a struct's field when it is absent.
    fn default_of(&self, field: &str) -> Option<Value>;

    /// What a scalar holds.
    fn scalar(&self) -> ScalarKind {
        ScalarKind::Any
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Scalar,
    /// An object with declared fields, or with any.
    Map(Relation),
    List(Relation),
    /// Whatever the value is: objects field by field, lists as a whole.
    Untyped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    Numeric,
    Text,
    Boolean,
    /// Any of these.
    Any,
}

/// How the parts of a value belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// One owner for all.
    Atomic,
    /// Owners for each part.
    Separable,
}

/// How a value is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// As one leaf.
    Leaf,
    Map,
    List,
}

/// How a value of a type is walked; `None` for an absent value, which says nothing.
pub fn walk<S: Schema, V: View>(schema: Option<S>, value: V) -> Walk {
    match (shape(schema), value.form()) {
        (Shape::Map(Relation::Separable) | Shape::Untyped, Form::Map) => Walk::Map,
        (Shape::List(Relation::Separable), Form::List) => Walk::List,
        _ => Walk::Leaf,
    }
}

/// What has no type of its own has any.
pub fn shape<S: Schema>(schema: Option<S>) -> Shape {
    schema.map_or(Shape::Untyped, |schema| schema.shape())
}
