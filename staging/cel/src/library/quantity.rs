//! Quantities like `1.5Gi`.

use std::cmp::Ordering;
use std::sync::Arc;

use apimachinery::quantity::{Format, Quantity};

use super::{Extension, overload, semver, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "quantity",
        signatures: &["(string) -> quantity"],
        cost: Cost::Traverse,
        code: parse,
    },
    Row {
        name: "isQuantity",
        signatures: &["(string) -> bool"],
        cost: Cost::Traverse,
        code: is_quantity,
    },
    Row {
        name: "sign",
        signatures: &["(quantity) -> int"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |quantity| Value::Int(quantity.sign().into())),
    },
    Row {
        name: "isGreaterThan",
        signatures: &["quantity.(quantity) -> bool", "semver.(semver) -> bool"],
        cost: Cost::Fixed(1),
        code: |args| compare(args, |order| Value::Bool(order.is_gt())),
    },
    Row {
        name: "isLessThan",
        signatures: &["quantity.(quantity) -> bool", "semver.(semver) -> bool"],
        cost: Cost::Fixed(1),
        code: |args| compare(args, |order| Value::Bool(order.is_lt())),
    },
    Row {
        name: "compareTo",
        signatures: &["quantity.(quantity) -> int", "semver.(semver) -> int"],
        cost: Cost::Fixed(1),
        code: |args| compare(args, |order| Value::Int(order as i64)),
    },
    Row {
        name: "asApproximateFloat",
        signatures: &["quantity.() -> double"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |quantity| Value::Double(quantity.as_f64())),
    },
    Row {
        name: "asInteger",
        signatures: &["quantity.() -> int"],
        cost: Cost::Fixed(1),
        code: as_integer,
    },
    Row {
        name: "isInteger",
        signatures: &["quantity.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |quantity| Value::Bool(is_integer(quantity))),
    },
    Row {
        name: "add",
        signatures: &["quantity.(quantity) -> quantity", "quantity.(int) -> quantity"],
        cost: Cost::Fixed(1),
        code: |args| combine(args, Quantity::add),
    },
    Row {
        name: "sub",
        signatures: &["quantity.(quantity) -> quantity", "quantity.(int) -> quantity"],
        cost: Cost::Fixed(1),
        code: |args| combine(args, Quantity::sub),
    },
];

fn parse<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => match Quantity::parse(text) {
            Ok(quantity) => Ok(Value::Extension(Extension::Quantity(Arc::new(quantity)))),
            Err(error) => wrong(error.to_string()),
        },
        _ => overload(),
    }
}

fn is_quantity<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Bool(Quantity::parse(text).is_ok())),
        _ => overload(),
    }
}

fn of<'a>(args: &[Value<'a>], make: fn(&Quantity) -> Value<'a>) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Quantity(quantity))] => Ok(make(quantity)),
        _ => overload(),
    }
}

/// Whether it is a whole number that fits.
fn is_integer(quantity: &Quantity) -> bool {
    quantity.is_integer() && Quantity::from_i64(quantity.value(), Format::DecimalSi) == *quantity
}

fn as_integer<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Quantity(quantity))] if is_integer(quantity) => {
            Ok(Value::Int(quantity.value()))
        }
        [Value::Extension(Extension::Quantity(_))] => wrong("cannot convert value to integer"),
        _ => overload(),
    }
}

fn compare<'a>(args: &[Value<'a>], make: fn(Ordering) -> Value<'a>) -> Outcome<'a> {
    use Extension::{Quantity, Semver};
    match args {
        [Value::Extension(Quantity(one)), Value::Extension(Quantity(other))] => Ok(make(one.cmp(other))),
        [Value::Extension(Semver(one)), Value::Extension(Semver(other))] => {
            Ok(make(semver::order(one, other)))
        }
        _ => overload(),
    }
}

fn combine<'a>(args: &[Value<'a>], change: fn(&mut Quantity, &Quantity)) -> Outcome<'a> {
    let (mut quantity, other) = match args {
        [
            Value::Extension(Extension::Quantity(one)),
            Value::Extension(Extension::Quantity(other)),
        ] => ((**one).clone(), (**other).clone()),
        [Value::Extension(Extension::Quantity(one)), Value::Int(other)] => (
            (**one).clone(),
            Quantity::from_i64(*other, Format::DecimalExponent),
        ),
        _ => return overload(),
    };
    change(&mut quantity, &other);
    Ok(Value::Extension(Extension::Quantity(Arc::new(quantity))))
}
