//! Schemas of custom objects, as expressions see them: which members there are, and what a string of a format is.

mod names;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::types::Type;
use crate::value::Value;

pub use names::escape;

/// What a JSON value becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Plain,
    Int,
    Double,
    Timestamp,
    Date,
    Duration,
    Bytes,
}

/// How two lists are compared: `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    #[default]
    Atomic,
    Set,
    Map,
}

/// A node of a structural schema.
#[derive(Debug)]
pub struct Schema {
    pub(crate) form: Form,
    pub(crate) list_kind: ListKind,
    /// By the name that expressions use, with the name in JSON.
    fields: BTreeMap<String, (String, Schema)>,
    items: Option<Box<Schema>>,
    additional: Option<Box<Schema>>,
    of: Type,
}

/// Schemas nest no deeper: what is below is of any type.
const DEEPEST: usize = 100;

impl Schema {
    /// From the JSON of a structural schema. `name` is that of the object type, fields of which bear names derived
    /// from it.
    pub fn new(schema: &Json, name: &str, is_root: bool) -> Self {
        Self::nested(schema, name, is_root, 0)
    }

    fn nested(schema: &Json, name: &str, is_resource: bool, depth: usize) -> Self {
        let flag = |key: &str| schema.get(key).and_then(Json::as_bool) == Some(true);
        let text = |key: &str| schema.get(key).and_then(Json::as_str).unwrap_or("");
        let is_resource = is_resource || flag("x-kubernetes-embedded-resource");
        if depth >= DEEPEST || flag("x-kubernetes-int-or-string") {
            return Self::any();
        }
        match text("type") {
            "array" => {
                let Some(items) = schema.get("items") else {
                    return Self::any();
                };
                let items = Self::nested(items, &format!("{name}.@idx"), false, depth + 1);
                let list_kind = match text("x-kubernetes-list-type") {
                    "set" => ListKind::Set,
                    "map" => ListKind::Map,
                    _ => ListKind::Atomic,
                };
                Self {
                    list_kind,
                    of: Type::list(items.of.clone()),
                    items: Some(Box::new(items)),
                    ..Self::any()
                }
            }
            "object" => Self::object(schema, name, is_resource, depth),
            "string" => {
                let (form, of) = match text("format") {
                    "byte" => (Form::Bytes, Type::Bytes),
                    "duration" => (Form::Duration, Type::Duration),
                    "date" => (Form::Date, Type::Timestamp),
                    "date-time" => (Form::Timestamp, Type::Timestamp),
                    _ => (Form::Plain, Type::String),
                };
                Self {
                    form,
                    of,
                    ..Self::any()
                }
            }
            "boolean" => Self {
                of: Type::Bool,
                ..Self::any()
            },
            "integer" => Self {
                form: Form::Int,
                of: Type::Int,
                ..Self::any()
            },
            "number" => Self {
                form: Form::Double,
                of: Type::Double,
                ..Self::any()
            },
            _ => Self::any(),
        }
    }

    fn object(schema: &Json, name: &str, is_resource: bool, depth: usize) -> Self {
        if let Some(additional @ Json::Object(_)) = schema.get("additionalProperties") {
            let value = Self::nested(additional, &format!("{name}.@elem"), false, depth + 1);
            return Self {
                of: Type::map(Type::String, value.of.clone()),
                additional: Some(Box::new(value)),
                ..Self::any()
            };
        }
        let preserves = schema
            .get("x-kubernetes-preserve-unknown-fields")
            .and_then(Json::as_bool)
            == Some(true);
        let none = serde_json::Map::new();
        let properties = schema
            .get("properties")
            .and_then(Json::as_object)
            .unwrap_or(&none);
        if properties.is_empty() && preserves && !is_resource {
            return Self::any();
        }
        let mut fields = BTreeMap::new();
        for (property, schema) in properties {
            let Some(escaped) = escape(property) else { continue };
            let nested = Self::nested(schema, &format!("{name}.{escaped}"), false, depth + 1);
            fields.insert(escaped, (property.clone(), nested));
        }
        if is_resource {
            for (property, nested) in [
                ("apiVersion", Self::string()),
                ("kind", Self::string()),
                ("metadata", Self::metadata(name)),
            ] {
                fields.insert(property.to_owned(), (property.to_owned(), nested));
            }
        }
        Self::with_fields(name, fields)
    }

    fn with_fields(name: &str, fields: BTreeMap<String, (String, Self)>) -> Self {
        let types = fields
            .iter()
            .map(|(field, (_, schema))| (field.clone(), schema.of.clone()));
        Self {
            of: Type::object(name, types),
            fields,
            ..Self::any()
        }
    }

    fn any() -> Self {
        Self {
            form: Form::Plain,
            list_kind: ListKind::Atomic,
            fields: BTreeMap::new(),
            items: None,
            additional: None,
            of: Type::Dyn,
        }
    }

    fn string() -> Self {
        Self {
            of: Type::String,
            ..Self::any()
        }
    }

    /// Of metadata, rules see the names only.
    fn metadata(name: &str) -> Self {
        let field = |name: &str| (name.to_owned(), (name.to_owned(), Self::string()));
        Self::with_fields(
            &format!("{name}.metadata"),
            BTreeMap::from([field("name"), field("generateName")]),
        )
    }

    /// The type for the checker.
    pub fn declared(&self) -> &Type {
        &self.of
    }

    pub(crate) fn items(&self) -> Option<&Self> {
        self.items.as_deref()
    }

    /// The schema of a member by its name in JSON.
    pub(crate) fn shape_of(&self, key: &str) -> Option<&Self> {
        if let Some(additional) = &self.additional {
            return Some(additional);
        }
        let escaped = escape(key)?;
        self.fields.get(&escaped).map(|(_, schema)| schema)
    }

    /// A member by its name in expressions.
    pub(crate) fn member<'a>(
        &'a self,
        members: &'a serde_json::Map<String, Json>,
        name: &str,
    ) -> Option<Value<'a>> {
        if let Some(additional) = &self.additional {
            return members
                .get(name)
                .map(|json| Value::shaped(json, Some(additional)));
        }
        match self.fields.get(name) {
            Some((key, schema)) => members.get(key).map(|json| Value::shaped(json, Some(schema))),
            None => members.get(name).map(Value::json),
        }
    }
}
