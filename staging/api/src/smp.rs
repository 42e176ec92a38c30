//! Strategic merge patch: a merge patch that knows which lists merge, and by which key.
//!
//! The strategies and keys come from descriptors. Directives: `$patch: replace|delete` in objects and in items of
//! lists, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
//!
//! Reading order: [`apply`], `merge_object`, [`lists`], [`order`].
//!
//! Upstream: `apimachinery/pkg/util/strategicpatch`.

mod lists;
mod order;
#[cfg(test)]
mod tests;

use crate::types::{Base, Container, Field, Type};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// Objects may nest this deep.
const MAX_DEPTH: usize = 200;

/// Why a patch cannot be applied, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("invalid JSON document")]
    NotAnObject,
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    #[error("the order in the patch list of {0} doesn't match its {SET_ELEMENT_ORDER} list")]
    OrderMismatch(String),
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey { map: String, key: String },
    #[error("unknown patch type: {directive} in map: {map}")]
    UnknownDirective { directive: String, map: String },
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    #[error("cannot merge lists without merge key for {0}")]
    UndeclaredMergeKey(String),
    #[error("expected a {expected}, but received a {received}")]
    Type {
        expected: &'static str,
        received: &'static str,
    },
    #[error("list element types are not identical")]
    MixedList,
    #[error("no elements in any of the given slices")]
    EmptyLists,
    #[error("unable to find api field in struct {ty} for the json field {field:?}")]
    UnknownField { ty: String, field: String },
    #[error("merging an object in json but data type is not struct, instead is: {0}")]
    NotAStruct(&'static str),
    #[error("exceeded max depth")]
    Depth,
}

/// Applies a patch to an object of a type.
pub fn apply(original: Value, patch: Value, ty: &'static Type) -> Result<Value, Error> {
    match (original, patch) {
        (Value::Object(original), Value::Object(patch)) => {
            merge_object(original, patch, Schema::Struct(ty), 0).map(Value::Object)
        }
        _ => Err(Error::NotAnObject),
    }
}

/// What is known of the values on a level.
#[derive(Clone, Copy)]
enum Schema {
    Struct(&'static Type),
    /// Anything else, by the name of its Go kind; nothing below it can be merged by key.
    Other(&'static str),
}

/// How a field is patched.
#[derive(Clone, Copy)]
struct Strategy {
    /// Of the value; of the items, for a list.
    schema: Schema,
    replace: bool,
    merge: bool,
    merge_key: &'static str,
}

impl Schema {
    fn of(base: Base) -> Self {
        match base {
            Base::Message(ty) => Self::Struct(ty),
            Base::String => Self::Other("string"),
            Base::Bool => Self::Other("bool"),
            Base::Int32 => Self::Other("int32"),
            Base::Int64 => Self::Other("int64"),
            Base::Float64 => Self::Other("float64"),
            Base::Bytes => Self::Other("slice"),
            _ => Self::Other("struct"),
        }
    }

    /// What `$patch` of a field would do. Fails for a field that the type does not have.
    fn field(self, name: &str) -> Result<Strategy, Error> {
        match self {
            Self::Struct(ty) => match ty.field(name) {
                Some(field) => Ok(Strategy::of(field)),
                None => Err(Error::UnknownField {
                    ty: ty.name.to_owned(),
                    field: name.to_owned(),
                }),
            },
            Self::Other(kind) => Err(Error::NotAStruct(kind)),
        }
    }
}

impl Strategy {
    fn of(field: &'static Field) -> Self {
        let schema = match field.container {
            Container::Map | Container::MapOfLists => Schema::Other("map"),
            _ => Schema::of(field.base),
        };
        let has = |strategy: &str| field.patch.split(',').any(|stated| stated == strategy);
        Self {
            schema,
            replace: has("replace"),
            merge: has("merge"),
            merge_key: field.merge_key,
        }
    }
}

fn merge_object(
    original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Schema,
    depth: usize,
) -> Result<Map<String, Value>, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Depth);
    }
    match patch.get(DIRECTIVE).map(Value::as_str) {
        None => {}
        Some(Some("replace")) => {
            patch.remove(DIRECTIVE);
            return Ok(patch);
        }
        Some(Some("delete")) => return Ok(Map::new()),
        Some(_) => return Err(unknown_directive(&patch)),
    }
    let mut merged = original;
    retain_keys(&mut merged, &mut patch)?;
    order::apply_directives(&mut merged, &mut patch, schema, depth)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST) {
            Some(rest) => {
                let name = rest.strip_prefix('/').ok_or(Error::PrimitiveList)?;
                delete_from_list(&mut merged, name, &value)?;
            }
            None => merge_member(&mut merged, key, value, schema, depth)?,
        }
    }
    Ok(merged)
}

fn merge_member(
    merged: &mut Map<String, Value>,
    key: String,
    value: Value,
    schema: Schema,
    depth: usize,
) -> Result<(), Error> {
    if value.is_null() {
        merged.remove(&key);
        return Ok(());
    }
    let result = match (merged.remove(&key), value) {
        (Some(Value::Object(original)), Value::Object(patch)) => {
            let strategy = schema.field(&key)?;
            if strategy.replace {
                Some(Value::Object(patch))
            } else {
                Some(Value::Object(merge_object(
                    original,
                    patch,
                    strategy.schema,
                    depth + 1,
                )?))
            }
        }
        (Some(Value::Array(original)), Value::Array(patch)) => {
            let strategy = schema.field(&key)?;
            Some(Value::Array(lists::merge_or_replace(
                original, patch, &key, strategy, depth,
            )?))
        }
        (_, patch) => without_directives(without_nulls(patch)),
    };
    if let Some(value) = result {
        merged.insert(key, value);
    }
    Ok(())
}

/// Removes values from a list of scalars; without such a list there is nothing to do.
fn delete_from_list(merged: &mut Map<String, Value>, name: &str, value: &Value) -> Result<(), Error> {
    match (merged.get_mut(name), value) {
        (Some(Value::Array(items)), Value::Array(unwanted)) => {
            lists::one_type(items.iter().chain(unwanted))?;
            items.retain(|item| !unwanted.contains(item));
        }
        (Some(_), Value::Null) => _ = merged.remove(name),
        _ => {}
    }
    Ok(())
}

/// `$retainKeys` lists the members that may stay; a patch with others contradicts itself.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Error> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(kept) = directive else {
        return Err(Error::RetainKeys);
    };
    let is_kept = |key: &str| kept.iter().any(|name| name == key);
    let is_directive =
        |key: &str| key.starts_with(DELETE_FROM_PRIMITIVE_LIST) || key.starts_with(SET_ELEMENT_ORDER);
    if patch
        .iter()
        .any(|(key, value)| !value.is_null() && !is_directive(key) && !is_kept(key))
    {
        return Err(Error::RetainKeys);
    }
    original.retain(|key, _| is_kept(key));
    Ok(())
}

/// A value that nothing is merged with, without the nulls that would have deleted something.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        value => value,
    }
}

/// A value that nothing is merged with, without the objects that only direct.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) if members.contains_key(DIRECTIVE) => None,
        Value::Object(members) => {
            let kept = members
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(
            items.into_iter().filter_map(without_directives).collect(),
        )),
        value => Some(value),
    }
}

fn unknown_directive(patch: &Map<String, Value>) -> Error {
    let directive = match patch.get(DIRECTIVE) {
        Some(Value::String(text)) => text.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    };
    Error::UnknownDirective {
        directive,
        map: shown(patch),
    }
}

fn shown(map: &Map<String, Value>) -> String {
    Value::Object(map.clone()).to_string()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
