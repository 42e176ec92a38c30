//! Types of expressions, as the checker knows them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Known only when evaluated.
    Dyn,
    /// Of something that is wrong already.
    Error,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    /// The type of types.
    Type(Option<Arc<Type>>),
    /// A variable of a function's signature, or one that stands for a type to be found.
    Param(Arc<str>),
    /// Known by its name: quantities, addresses, optional values with what they hold.
    Opaque(&'static str, Arc<[Type]>),
    Object(Arc<Object>),
}

/// A type with fields.
#[derive(Debug)]
pub struct Object {
    pub name: String,
    pub fields: BTreeMap<String, Type>,
    /// Whether it has any other field too, of any type.
    pub is_open: bool,
}

impl Object {
    pub fn field(&self, name: &str) -> Option<Type> {
        let declared = self.fields.get(name).cloned();
        declared.or_else(|| self.is_open.then_some(Type::Dyn))
    }
}

/// Objects are the same if they bear the same name.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

pub const OPTIONAL: &str = "optional_type";

impl Type {
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    pub fn opaque(name: &'static str) -> Self {
        Self::Opaque(name, Arc::new([]))
    }

    pub fn optional(of: Self) -> Self {
        Self::Opaque(OPTIONAL, Arc::new([of]))
    }

    pub fn object(name: impl Into<String>, fields: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Object(Arc::new(Object {
            name: name.into(),
            fields: fields.into_iter().collect(),
            is_open: false,
        }))
    }

    /// An object of which nothing but the name is known.
    pub fn open_object(name: impl Into<String>) -> Self {
        Self::Object(Arc::new(Object {
            name: name.into(),
            fields: BTreeMap::new(),
            is_open: true,
        }))
    }

    pub fn param(name: &str) -> Self {
        Self::Param(name.into())
    }

    /// What an optional type holds.
    pub fn unwrapped(&self) -> Option<&Self> {
        match self {
            Self::Opaque(OPTIONAL, held) => held.first(),
            _ => None,
        }
    }

    pub fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// The name that expressions know it by; without parameters.
    pub fn name(&self) -> &str {
        match self {
            Self::Dyn => "dyn",
            Self::Error => "!error!",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(..) => "map",
            Self::Type(_) => "type",
            Self::Param(name) => name,
            Self::Opaque(name, _) => name,
            Self::Object(object) => &object.name,
        }
    }

    /// As the checker's complaints show it: `timestamp` for `google.protobuf.Timestamp`.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::List(element) => format!("list({})", element.shown()),
            Self::Map(key, value) => format!("map({}, {})", key.shown(), value.shown()),
            Self::Type(Some(of)) => format!("type({})", of.shown()),
            Self::Opaque(name, held) if !held.is_empty() => {
                let held: Vec<_> = held.iter().map(Self::shown).collect();
                format!("{name}({})", held.join(", "))
            }
            _ => self.name().to_owned(),
        }
    }
}

/// By names, with parameters.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Type(Some(of)) => write!(f, "type({of})"),
            Self::Opaque(name, held) if !held.is_empty() => {
                write!(f, "{name}(")?;
                for (index, held) in held.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    write!(f, "{held}")?;
                }
                f.write_str(")")
            }
            _ => f.write_str(self.name()),
        }
    }
}
