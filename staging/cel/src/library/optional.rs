//! Values that may be missing.

use std::sync::Arc;

use super::{overload, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "optional.of",
        signatures: &["(A) -> optional(A)"],
        cost: Cost::Fixed(1),
        code: |args| Ok(Value::some(args[0].clone())),
    },
    Row {
        name: "optional.ofNonZeroValue",
        signatures: &["(A) -> optional(A)"],
        cost: Cost::Fixed(1),
        code: non_zero,
    },
    Row {
        name: "optional.none",
        signatures: &["() -> optional(A)"],
        cost: Cost::Fixed(1),
        code: |_| Ok(Value::Optional(None)),
    },
    Row {
        name: "value",
        signatures: &["optional(A).() -> A"],
        cost: Cost::Fixed(1),
        code: value,
    },
    Row {
        name: "hasValue",
        signatures: &["optional(A).() -> bool"],
        cost: Cost::Fixed(1),
        code: has_value,
    },
    // The evaluator has its own code for these, which looks at the second only if it has to.
    Row {
        name: "or",
        signatures: &["optional(A).(optional(A)) -> optional(A)"],
        cost: Cost::Fixed(0),
        code: |_| overload(),
    },
    Row {
        name: "orValue",
        signatures: &["optional(A).(A) -> A"],
        cost: Cost::Fixed(0),
        code: |_| overload(),
    },
    Row {
        name: "optional.unwrap",
        signatures: &["(list(optional(A))) -> list(A)"],
        cost: Cost::Fixed(1),
        code: unwrap,
    },
    Row {
        name: "unwrapOpt",
        signatures: &["list(optional(A)).() -> list(A)"],
        cost: Cost::Fixed(1),
        code: unwrap,
    },
];

fn non_zero<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [value] = args else { return overload() };
    let zero = match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(value) => *value == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Optional(held) => held.is_none(),
        _ => false,
    };
    Ok(Value::Optional((!zero).then(|| Arc::new(value.clone()))))
}

fn value<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(Some(held))] => Ok((**held).clone()),
        [Value::Optional(None)] => wrong("optional.none() dereference"),
        _ => overload(),
    }
}

fn has_value<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(held)] => Ok(Value::Bool(held.is_some())),
        _ => overload(),
    }
}

fn unwrap<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return overload();
    };
    let mut held = Vec::new();
    for item in list.iter() {
        match item {
            Value::Optional(Some(item)) => held.push((*item).clone()),
            Value::Optional(None) => {}
            other => return wrong(format!("value {other} is not optional")),
        }
    }
    Ok(Value::list(held))
}
