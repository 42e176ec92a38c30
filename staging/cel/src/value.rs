//! What expressions give.
//!
//! JSON stays where it is: a value that stands for an object or array of it borrows the tree for `'a` and becomes
//! other values a member at a time.

mod compare;
mod json;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::library::Extension;
use crate::schema::Schema;

pub use compare::{equal, order};

#[derive(Clone, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Arc<[u8]>),
    /// In nanoseconds.
    Duration(i64),
    Timestamp(Timestamp),
    List(List<'a>),
    Map(Map<'a>),
    /// A type, by its name.
    Type(Arc<str>),
    Optional(Option<Arc<Value<'a>>>),
    Extension(Extension),
}

/// A string, borrowed or shared.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

#[derive(Clone, Debug)]
pub enum List<'a> {
    Json(&'a [Json], Option<&'a Schema>),
    Shared(Arc<Vec<Value<'a>>>),
}

#[derive(Clone, Debug)]
pub enum Map<'a> {
    Json(&'a serde_json::Map<String, Json>, Option<&'a Schema>),
    Shared(Arc<BTreeMap<Key, (Value<'a>, Value<'a>)>>),
    /// An object that an expression made of a type with that name.
    Made(Arc<str>, Arc<BTreeMap<Key, (Value<'a>, Value<'a>)>>),
}

/// What maps are ordered by: an integer is the same key whether it is signed or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Bool(bool),
    Int(i128),
    String(Arc<str>),
}

impl Key {
    /// `None` for what cannot be a key.
    pub fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Int(value) => Some(Self::Int((*value).into())),
            Value::Uint(value) => Some(Self::Int((*value).into())),
            Value::Double(value) if value.fract() == 0.0 && value.abs() < 1e19 => {
                Some(Self::Int(*value as i128))
            }
            Value::String(text) => Some(Self::String(Arc::from(&**text))),
            _ => None,
        }
    }
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.len(),
            Self::Shared(items) => items.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(items, schema) => {
                let item = items.get(index)?;
                Some(Value::shaped(item, schema.and_then(Schema::items)))
            }
            Self::Shared(items) => items.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    pub fn len(&self) -> usize {
        match self {
            Self::Json(members, _) => members.len(),
            Self::Shared(entries) | Self::Made(_, entries) => entries.len(),
        }
    }

    /// The type's name, of an object that an expression made.
    pub fn made_as(&self) -> Option<&str> {
        match self {
            Self::Made(name, _) => Some(name),
            _ => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (_, Value::String(text)) => self.field(text),
            (Self::Json(..), _) => None,
            (Self::Shared(entries) | Self::Made(_, entries), key) => {
                Some(entries.get(&Key::of(key)?)?.1.clone())
            }
        }
    }

    /// The value of a key that is a string.
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(members, None) => members.get(name).map(Value::json),
            Self::Json(members, Some(schema)) => schema.member(members, name),
            Self::Shared(entries) | Self::Made(_, entries) => {
                let key = Key::String(Arc::from(name));
                entries.get(&key).map(|(_, value)| value.clone())
            }
        }
    }

    pub fn entries(&self) -> Vec<(Value<'a>, Value<'a>)> {
        match self {
            Self::Json(members, schema) => members
                .iter()
                .map(|(key, value)| {
                    let shape = schema.and_then(|schema| schema.shape_of(key));
                    (Value::String(Text::Borrowed(key)), Value::shaped(value, shape))
                })
                .collect(),
            Self::Shared(entries) | Self::Made(_, entries) => entries.values().cloned().collect(),
        }
    }
}

impl<'a> Value<'a> {
    /// JSON as it is.
    pub fn json(json: &'a Json) -> Self {
        Self::shaped(json, None)
    }

    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::String(Text::Shared(text.into()))
    }

    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(List::Shared(Arc::new(items)))
    }

    pub fn some(value: Value<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// A map of fields.
    pub fn object(fields: impl IntoIterator<Item = (&'a str, Value<'a>)>) -> Self {
        let entries = fields.into_iter().map(|(name, value)| {
            let key = Value::String(Text::Borrowed(name));
            (Key::String(Arc::from(name)), (key, value))
        });
        Self::Map(Map::Shared(Arc::new(entries.collect())))
    }

    /// As `type(x)` names it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(map) => map.made_as().unwrap_or("map"),
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Extension(extension) => extension.type_name(),
        }
    }

    /// What costs are counted by: characters, bytes, elements; 1 for what has no size.
    pub fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Optional(Some(held)) => return held.size(),
            Self::Extension(extension) => extension.size(),
            _ => 1,
        };
        size as u64
    }
}

/// How errors show a key.
impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Uint(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value}"),
            Self::String(text) => f.write_str(text),
            Self::Type(name) => f.write_str(name),
            other => f.write_str(other.type_name()),
        }
    }
}
