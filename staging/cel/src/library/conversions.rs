//! Conversions between types, and what types there are.

use std::sync::Arc;

use super::{Extension, overload, text, time, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "bool",
        signatures: &["(bool) -> bool", "(string) -> bool"],
        cost: Cost::Fixed(1),
        code: to_bool,
    },
    Row {
        name: "bytes",
        signatures: &["(bytes) -> bytes", "(string) -> bytes"],
        cost: Cost::Traverse,
        code: to_bytes,
    },
    Row {
        name: "double",
        signatures: &[
            "(double) -> double",
            "(int) -> double",
            "(string) -> double",
            "(uint) -> double",
        ],
        cost: Cost::Fixed(1),
        code: to_double,
    },
    Row {
        name: "int",
        signatures: &[
            "(int) -> int",
            "(double) -> int",
            "(duration) -> int",
            "(string) -> int",
            "(timestamp) -> int",
            "(uint) -> int",
        ],
        cost: Cost::Fixed(1),
        code: to_int,
    },
    Row {
        name: "uint",
        signatures: &[
            "(uint) -> uint",
            "(double) -> uint",
            "(int) -> uint",
            "(string) -> uint",
        ],
        cost: Cost::Fixed(1),
        code: to_uint,
    },
    Row {
        name: "string",
        signatures: &[
            "(string) -> string",
            "(bool) -> string",
            "(bytes) -> string",
            "(double) -> string",
            "(duration) -> string",
            "(int) -> string",
            "(timestamp) -> string",
            "(uint) -> string",
            "(ip) -> string",
            "(cidr) -> string",
        ],
        cost: Cost::Fixed(1),
        code: to_string,
    },
    Row {
        name: "dyn",
        signatures: &["(A) -> dyn"],
        cost: Cost::Fixed(1),
        code: |args| Ok(args[0].clone()),
    },
    Row {
        name: "type",
        signatures: &["(A) -> type(A)"],
        cost: Cost::Fixed(1),
        code: |args| Ok(Value::Type(args[0].type_name().into())),
    },
    Row {
        name: "size",
        signatures: &[
            "(bytes) -> int",
            "bytes.() -> int",
            "(list(A)) -> int",
            "list(A).() -> int",
            "(map(A, B)) -> int",
            "map(A, B).() -> int",
            "(string) -> int",
            "string.() -> int",
        ],
        cost: Cost::Fixed(1),
        code: size,
    },
];

fn unconverted<'a>(value: &Value<'_>, to: &str) -> Outcome<'a> {
    wrong(format!(
        "type conversion error from '{}' to '{to}'",
        value.type_name()
    ))
}

fn to_bool<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bool(value)] => Ok(Value::Bool(*value)),
        [Value::String(text)] => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => unconverted(&args[0], "bool"),
        },
        [other] => unconverted(other, "bool"),
        _ => overload(),
    }
}

fn to_bytes<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::String(text)] => Ok(Value::Bytes(Arc::from(text.as_bytes()))),
        [other] => unconverted(other, "bytes"),
        _ => overload(),
    }
}

fn to_double<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Double(value)] => Ok(Value::Double(*value)),
        [Value::Int(value)] => Ok(Value::Double(*value as f64)),
        [Value::Uint(value)] => Ok(Value::Double(*value as f64)),
        [Value::String(text)] => match text.parse::<f64>() {
            Ok(value) => Ok(Value::Double(value)),
            Err(_) => wrong(format!(
                "strconv.ParseFloat: parsing {:?}: invalid syntax",
                &**text
            )),
        },
        [other] => unconverted(other, "double"),
        _ => overload(),
    }
}

fn to_int<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(value)] => Ok(Value::Int(*value)),
        [Value::Uint(value)] => match i64::try_from(*value) {
            Ok(value) => Ok(Value::Int(value)),
            Err(_) => wrong("integer overflow"),
        },
        [Value::Double(value)] if *value > -9.223_372_036_854_776e18 && *value < 9.223_372_036_854_776e18 => {
            Ok(Value::Int(*value as i64))
        }
        [Value::Double(_)] => wrong("integer overflow"),
        [Value::Duration(nanos)] => Ok(Value::Int(*nanos)),
        [Value::Timestamp(timestamp)] => Ok(Value::Int(timestamp.as_second())),
        [Value::String(text)] => match text.parse() {
            Ok(value) => Ok(Value::Int(value)),
            Err(error) => wrong(parse_error("ParseInt", text, &error)),
        },
        [other] => unconverted(other, "int"),
        _ => overload(),
    }
}

fn to_uint<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Uint(value)] => Ok(Value::Uint(*value)),
        [Value::Int(value)] => match u64::try_from(*value) {
            Ok(value) => Ok(Value::Uint(value)),
            Err(_) => wrong("unsigned integer overflow"),
        },
        [Value::Double(value)] if *value >= 0.0 && *value < 1.844_674_407_370_955_2e19 => {
            Ok(Value::Uint(*value as u64))
        }
        [Value::Double(_)] => wrong("unsigned integer overflow"),
        [Value::String(text)] => match text.parse() {
            Ok(value) => Ok(Value::Uint(value)),
            Err(error) => wrong(parse_error("ParseUint", text, &error)),
        },
        [other] => unconverted(other, "uint"),
        _ => overload(),
    }
}

fn parse_error(function: &str, text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

fn to_string<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::String(text.clone())),
        [value] => match shown(value) {
            Some(shown) => text(shown),
            None if matches!(value, Value::Bytes(_)) => {
                wrong("invalid UTF-8 in bytes, cannot convert to string")
            }
            None => unconverted(value, "string"),
        },
        _ => overload(),
    }
}

/// The string that a value is converted to.
pub(super) fn shown(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::String(text) => text.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => shown_double(*value),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.to_owned(),
        Value::Duration(nanos) => time::show_duration(*nanos),
        Value::Timestamp(timestamp) => time::show_timestamp(*timestamp),
        Value::Type(name) => name.to_string(),
        Value::Extension(Extension::Ip(ip)) => ip.to_string(),
        Value::Extension(Extension::Cidr(network)) => network.to_string(),
        _ => return None,
    })
}

/// As few digits as tell it from other numbers; with an exponent when it is large or small.
pub(super) fn shown_double(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value.is_nan() || (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn size<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => {
            Ok(Value::Int(value.size() as i64))
        }
        _ => overload(),
    }
}
