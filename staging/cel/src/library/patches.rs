//! What mutations are made of: parts of objects, operations of JSON patches, and keys in their paths.

use super::{overload, text};
use crate::cost::Cost;
use crate::functions::Row;
use crate::types::Type;
use crate::value::Value;

/// An object as a whole; `Object.spec` is what its field `spec` holds.
pub const OBJECT: &str = "Object";
pub const JSON_PATCH: &str = "JSONPatch";
const ESCAPE_KEY: &str = "jsonpatch.escapeKey";

/// Is it the name of a type that only mutations know?
pub fn is_type(name: &str) -> bool {
    let within = name.strip_prefix(OBJECT);
    name == JSON_PATCH || within.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub fn of_name(name: &str) -> Type {
    if name != JSON_PATCH {
        return Type::open_object(name);
    }
    let fields = ["op", "from", "path"].map(|field| (field.to_owned(), Type::String));
    Type::object(
        JSON_PATCH,
        fields.into_iter().chain([("value".to_owned(), Type::Dyn)]),
    )
}

pub fn is_function(name: &str) -> bool {
    name == ESCAPE_KEY
}

pub(super) const TABLE: &[Row] = &[Row {
    name: ESCAPE_KEY,
    signatures: &["(string) -> string"],
    cost: Cost::Traverse,
    code: |args| match args {
        [Value::String(key)] => text(key.replace('~', "~0").replace('/', "~1")),
        _ => overload(),
    },
}];
