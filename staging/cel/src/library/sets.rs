//! Lists as sets.

use super::overload;
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::{List, Value, equal};

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "sets.contains",
        signatures: &["(list(A), list(A)) -> bool"],
        cost: Cost::Product,
        code: |args| both(args, contains),
    },
    Row {
        name: "sets.equivalent",
        signatures: &["(list(A), list(A)) -> bool"],
        cost: Cost::Product,
        code: |args| both(args, |one, other| contains(one, other) && contains(other, one)),
    },
    Row {
        name: "sets.intersects",
        signatures: &["(list(A), list(A)) -> bool"],
        cost: Cost::Product,
        code: |args| both(args, |one, other| one.iter().any(|item| has(other, &item))),
    },
];

fn has(list: &List<'_>, item: &Value<'_>) -> bool {
    list.iter().any(|found| equal(&found, item))
}

fn contains(list: &List<'_>, items: &List<'_>) -> bool {
    items.iter().all(|item| has(list, &item))
}

fn both<'a>(args: &[Value<'a>], holds: fn(&List<'_>, &List<'_>) -> bool) -> Outcome<'a> {
    match args {
        [Value::List(one), Value::List(other)] => Ok(Value::Bool(holds(one, other))),
        _ => overload(),
    }
}
