//! The offending value of a field error, as far as messages show it.

use crate::quote::quote;

/// A value that a field error shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not shown.
    Omitted,
    /// Shown in quotes.
    String(String),
    Int(i64),
    Bool(bool),
    /// Anything else, as JSON text.
    Json(String),
}

impl Value {
    /// The text of the value in a message.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Value::Omitted => None,
            Value::String(value) => Some(quote(value)),
            Value::Int(value) => Some(value.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Json(json) => Some(json.clone()),
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.to_owned())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Value {
        Value::String(value.clone())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Value {
        Value::Int(i64::from(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Value {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Value {
        Value::Json(value.to_string())
    }
}

/// A list prints as JSON, as upstream's slices do.
impl From<&[String]> for Value {
    fn from(value: &[String]) -> Value {
        Value::Json(serde_json::Value::from(value).to_string())
    }
}

/// A pointer: `null`, or the value as JSON.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        match value.map(Into::into) {
            None => Value::Json("null".to_owned()),
            Some(Value::String(text)) => Value::Json(serde_json::Value::String(text).to_string()),
            Some(value) => value,
        }
    }
}
