//! Values from JSON and to JSON.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::{List, Map, Text, Value};
use crate::library::time;
use crate::schema::{Form, Schema};

impl<'a> Value<'a> {
    /// JSON as what its schema declares: a string of format `date-time` is a timestamp.
    pub fn shaped(json: &'a Json, schema: Option<&'a Schema>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => shaped_number(number, schema),
            Json::String(text) => shaped_text(text, schema),
            Json::Array(items) => Self::List(List::Json(items, schema)),
            Json::Object(members) => Self::Map(Map::Json(members, schema)),
        }
    }

    /// The value as JSON, if it is made of what JSON knows.
    pub fn to_json(&self) -> Option<Json> {
        Some(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Uint(value) => Json::from(*value),
            Self::Double(value) => Json::Number(serde_json::Number::from_f64(*value)?),
            Self::String(text) => Json::String(text.to_string()),
            Self::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
            Self::Duration(nanos) => Json::String(time::show_duration(*nanos)),
            Self::Timestamp(timestamp) => Json::String(time::show_timestamp(*timestamp)),
            Self::List(list) => Json::Array(list.iter().map(|item| item.to_json()).collect::<Option<_>>()?),
            Self::Map(map) => {
                let mut members = serde_json::Map::new();
                for (key, value) in map.entries() {
                    let Value::String(key) = key else { return None };
                    members.insert(key.to_string(), value.to_json()?);
                }
                Json::Object(members)
            }
            Self::Type(_) | Self::Optional(_) | Self::Extension(_) => return None,
        })
    }
}

fn shaped_number<'a>(number: &serde_json::Number, schema: Option<&Schema>) -> Value<'a> {
    let as_double = schema.is_some_and(|schema| schema.form == Form::Double);
    match (number.as_i64(), number.as_f64()) {
        (Some(value), _) if !as_double => Value::Int(value),
        (_, Some(value)) if schema.is_some_and(|schema| schema.form == Form::Int) && value.fract() == 0.0 => {
            Value::Int(value as i64)
        }
        (_, Some(value)) => Value::Double(value),
        (_, None) => Value::Null,
    }
}

/// A text that is not what its format says stays a string: validation of formats says so elsewhere.
fn shaped_text<'a>(text: &'a str, schema: Option<&Schema>) -> Value<'a> {
    let plain = || Value::String(Text::Borrowed(text));
    match schema.map(|schema| schema.form) {
        Some(Form::Timestamp) => time::parse_timestamp(text).map_or_else(plain, Value::Timestamp),
        Some(Form::Date) => time::parse_date(text).map_or_else(plain, Value::Timestamp),
        Some(Form::Duration) => time::parse_duration(text).map_or_else(plain, Value::Duration),
        Some(Form::Bytes) => match STANDARD.decode(text) {
            Ok(bytes) => Value::Bytes(Arc::from(bytes)),
            Err(_) => plain(),
        },
        _ => plain(),
    }
}
