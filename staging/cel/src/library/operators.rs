//! Arithmetic, comparison, membership.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{overload, text, time, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::{Value, equal, order};

macro_rules! comparisons {
    () => {
        &[
            "(bool, bool) -> bool",
            "(int, int) -> bool",
            "(uint, uint) -> bool",
            "(double, double) -> bool",
            "(string, string) -> bool",
            "(bytes, bytes) -> bool",
            "(timestamp, timestamp) -> bool",
            "(duration, duration) -> bool",
            "(int, double) -> bool",
            "(int, uint) -> bool",
            "(uint, double) -> bool",
            "(uint, int) -> bool",
            "(double, int) -> bool",
            "(double, uint) -> bool",
        ]
    };
}

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "_==_",
        signatures: &["(A, A) -> bool"],
        cost: Cost::Compare,
        code: equals,
    },
    Row {
        name: "_!=_",
        signatures: &["(A, A) -> bool"],
        cost: Cost::Compare,
        code: differs,
    },
    Row {
        name: "_<_",
        signatures: comparisons!(),
        cost: Cost::Compare,
        code: |args| compare(args, |order| order.is_lt()),
    },
    Row {
        name: "_<=_",
        signatures: comparisons!(),
        cost: Cost::Compare,
        code: |args| compare(args, |order| order.is_le()),
    },
    Row {
        name: "_>_",
        signatures: comparisons!(),
        cost: Cost::Compare,
        code: |args| compare(args, |order| order.is_gt()),
    },
    Row {
        name: "_>=_",
        signatures: comparisons!(),
        cost: Cost::Compare,
        code: |args| compare(args, |order| order.is_ge()),
    },
    Row {
        name: "_+_",
        signatures: &[
            "(bytes, bytes) -> bytes",
            "(double, double) -> double",
            "(duration, duration) -> duration",
            "(duration, timestamp) -> timestamp",
            "(timestamp, duration) -> timestamp",
            "(int, int) -> int",
            "(list(A), list(A)) -> list(A)",
            "(string, string) -> string",
            "(uint, uint) -> uint",
        ],
        cost: Cost::Concatenate,
        code: add,
    },
    Row {
        name: "_-_",
        signatures: &[
            "(double, double) -> double",
            "(duration, duration) -> duration",
            "(int, int) -> int",
            "(timestamp, duration) -> timestamp",
            "(timestamp, timestamp) -> duration",
            "(uint, uint) -> uint",
        ],
        cost: Cost::Fixed(1),
        code: subtract,
    },
    Row {
        name: "_*_",
        signatures: &[
            "(double, double) -> double",
            "(int, int) -> int",
            "(uint, uint) -> uint",
        ],
        cost: Cost::Fixed(1),
        code: multiply,
    },
    Row {
        name: "_/_",
        signatures: &[
            "(double, double) -> double",
            "(int, int) -> int",
            "(uint, uint) -> uint",
        ],
        cost: Cost::Fixed(1),
        code: divide,
    },
    Row {
        name: "_%_",
        signatures: &["(int, int) -> int", "(uint, uint) -> uint"],
        cost: Cost::Fixed(1),
        code: modulo,
    },
    Row {
        name: "-_",
        signatures: &["(double) -> double", "(int) -> int"],
        cost: Cost::Fixed(1),
        code: negate,
    },
    Row {
        name: "!_",
        signatures: &["(bool) -> bool"],
        cost: Cost::Fixed(1),
        code: not,
    },
    Row {
        name: "@in",
        signatures: &["(A, list(A)) -> bool", "(A, map(A, B)) -> bool"],
        cost: Cost::Elements,
        code: is_in,
    },
    Row {
        name: "@not_strictly_false",
        signatures: &["(bool) -> bool"],
        cost: Cost::Fixed(1),
        code: |args| Ok(args[0].clone()),
    },
    // The evaluator has its own code for these; the rows are their signatures.
    Row {
        name: "_&&_",
        signatures: &["(bool, bool) -> bool"],
        cost: Cost::Fixed(0),
        code: |_| overload(),
    },
    Row {
        name: "_||_",
        signatures: &["(bool, bool) -> bool"],
        cost: Cost::Fixed(0),
        code: |_| overload(),
    },
    Row {
        name: "_?_:_",
        signatures: &["(bool, A, A) -> A"],
        cost: Cost::Fixed(0),
        code: |_| overload(),
    },
    Row {
        name: "_[_]",
        signatures: &[
            "(list(A), int) -> A",
            "(map(A, B), A) -> B",
            "(optional(list(A)), int) -> optional(A)",
            "(optional(map(A, B)), A) -> optional(B)",
        ],
        cost: Cost::Fixed(1),
        code: |_| overload(),
    },
    Row {
        name: "_[?_]",
        signatures: &[
            "(list(A), int) -> optional(A)",
            "(optional(list(A)), int) -> optional(A)",
            "(map(A, B), A) -> optional(B)",
            "(optional(map(A, B)), A) -> optional(B)",
        ],
        cost: Cost::Fixed(1),
        code: |_| overload(),
    },
    Row {
        name: "cel.@mapInsert",
        signatures: &[
            "(map(A, B), A, B) -> map(A, B)",
            "(map(A, B), map(A, B)) -> map(A, B)",
        ],
        cost: Cost::Fixed(1),
        code: |_| overload(),
    },
];

fn equals<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [one, other] => Ok(Value::Bool(equal(one, other))),
        _ => overload(),
    }
}

fn differs<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [one, other] => Ok(Value::Bool(!equal(one, other))),
        _ => overload(),
    }
}

fn compare<'a>(args: &[Value<'a>], holds: fn(Ordering) -> bool) -> Outcome<'a> {
    let [one, other] = args else { return overload() };
    match order(one, other) {
        Some(order) => Ok(Value::Bool(holds(order))),
        None if is_number(one) && is_number(other) => wrong("NaN values cannot be ordered"),
        None => overload(),
    }
}

fn is_number(value: &Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

fn checked<'a, T>(value: Option<T>, make: fn(T) -> Value<'a>, what: &str) -> Outcome<'a> {
    match value {
        Some(value) => Ok(make(value)),
        None => wrong(format!("{what} overflow")),
    }
}

const INT: &str = "integer";
const UINT: &str = "unsigned integer";

fn moved<'a>(timestamp: Timestamp, nanos: i64) -> Outcome<'a> {
    let moved = timestamp.checked_add(SignedDuration::from_nanos(nanos)).ok();
    let moved = moved.filter(|moved| time::in_range(*moved));
    checked(moved, Value::Timestamp, "timestamp")
}

pub(super) fn add<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    use Value::*;
    match args {
        [Int(one), Int(other)] => checked(one.checked_add(*other), Int, INT),
        [Uint(one), Uint(other)] => checked(one.checked_add(*other), Uint, UINT),
        [Double(one), Double(other)] => Ok(Double(one + other)),
        [String(one), String(other)] => text([&**one, &**other].concat()),
        [Bytes(one), Bytes(other)] => Ok(Bytes(Arc::from([&**one, &**other].concat()))),
        [List(one), List(other)] => Ok(Value::list(one.iter().chain(other.iter()).collect())),
        [Duration(one), Duration(other)] => checked(one.checked_add(*other), Duration, "duration"),
        [Timestamp(timestamp), Duration(nanos)] | [Duration(nanos), Timestamp(timestamp)] => {
            moved(*timestamp, *nanos)
        }
        _ => overload(),
    }
}

fn subtract<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    use Value::*;
    match args {
        [Int(one), Int(other)] => checked(one.checked_sub(*other), Int, INT),
        [Uint(one), Uint(other)] => checked(one.checked_sub(*other), Uint, UINT),
        [Double(one), Double(other)] => Ok(Double(one - other)),
        [Duration(one), Duration(other)] => checked(one.checked_sub(*other), Duration, "duration"),
        [Timestamp(one), Timestamp(other)] => {
            let between = one.as_nanosecond() - other.as_nanosecond();
            checked(i64::try_from(between).ok(), Duration, "duration")
        }
        [Timestamp(timestamp), Duration(nanos)] => match nanos.checked_neg() {
            Some(nanos) => moved(*timestamp, nanos),
            None => wrong("timestamp overflow"),
        },
        _ => overload(),
    }
}

fn multiply<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    use Value::*;
    match args {
        [Int(one), Int(other)] => checked(one.checked_mul(*other), Int, INT),
        [Uint(one), Uint(other)] => checked(one.checked_mul(*other), Uint, UINT),
        [Double(one), Double(other)] => Ok(Double(one * other)),
        _ => overload(),
    }
}

fn divide<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    use Value::*;
    match args {
        [Int(_), Int(0)] | [Uint(_), Uint(0)] => wrong("division by zero"),
        [Int(one), Int(other)] => checked(one.checked_div(*other), Int, INT),
        [Uint(one), Uint(other)] => Ok(Uint(one / other)),
        [Double(one), Double(other)] => Ok(Double(one / other)),
        _ => overload(),
    }
}

fn modulo<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    use Value::*;
    match args {
        [Int(_), Int(0)] | [Uint(_), Uint(0)] => wrong("modulus by zero"),
        [Int(one), Int(other)] => checked(one.checked_rem(*other), Int, INT),
        [Uint(one), Uint(other)] => Ok(Uint(one % other)),
        _ => overload(),
    }
}

fn negate<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(value)] => checked(value.checked_neg(), Value::Int, INT),
        [Value::Double(value)] => Ok(Value::Double(-value)),
        _ => overload(),
    }
}

fn not<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => overload(),
    }
}

fn is_in<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [item, Value::List(list)] => Ok(Value::Bool(list.iter().any(|found| equal(item, &found)))),
        [key, Value::Map(map)] => Ok(Value::Bool(map.get(key).is_some())),
        _ => overload(),
    }
}
