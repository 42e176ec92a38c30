//! Lists.

use std::cmp::Ordering;

use super::{overload, strings, wrong};
use crate::cost::Cost;
use crate::evaluate::{Error, Outcome};
use crate::functions::Row;
use crate::value::{List, Value, equal, order};

const SORTED: &[&str] = &[
    "list(int).() -> bool",
    "list(uint).() -> bool",
    "list(double).() -> bool",
    "list(bool).() -> bool",
    "list(duration).() -> bool",
    "list(timestamp).() -> bool",
    "list(string).() -> bool",
    "list(bytes).() -> bool",
];
const EXTREME: &[&str] = &[
    "list(int).() -> int",
    "list(uint).() -> uint",
    "list(double).() -> double",
    "list(bool).() -> bool",
    "list(duration).() -> duration",
    "list(timestamp).() -> timestamp",
    "list(string).() -> string",
    "list(bytes).() -> bytes",
];

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "isSorted",
        signatures: SORTED,
        cost: Cost::Deep,
        code: is_sorted,
    },
    Row {
        name: "sum",
        signatures: &[
            "list(int).() -> int",
            "list(uint).() -> uint",
            "list(double).() -> double",
            "list(duration).() -> duration",
        ],
        cost: Cost::Deep,
        code: sum,
    },
    Row {
        name: "max",
        signatures: EXTREME,
        cost: Cost::Deep,
        code: |args| extreme(args, Ordering::Greater, "max"),
    },
    Row {
        name: "min",
        signatures: EXTREME,
        cost: Cost::Deep,
        code: |args| extreme(args, Ordering::Less, "min"),
    },
    Row {
        name: "indexOf",
        signatures: &[
            "list(A).(A) -> int",
            "string.(string) -> int",
            "string.(string, int) -> int",
        ],
        cost: Cost::Deep,
        code: |args| index_of(args, false),
    },
    Row {
        name: "lastIndexOf",
        signatures: &[
            "list(A).(A) -> int",
            "string.(string) -> int",
            "string.(string, int) -> int",
        ],
        cost: Cost::Deep,
        code: |args| index_of(args, true),
    },
];

pub(super) const MORE: &[Row] = &[
    Row {
        name: "slice",
        signatures: &["list(A).(int, int) -> list(A)"],
        cost: Cost::Deep,
        code: slice,
    },
    Row {
        name: "flatten",
        signatures: &["list(list(A)).() -> list(A)", "list(dyn).(int) -> list(dyn)"],
        cost: Cost::Deep,
        code: flatten,
    },
    Row {
        name: "sort",
        signatures: SORT,
        cost: Cost::Deep,
        code: sort,
    },
    Row {
        name: "distinct",
        signatures: &["list(A).() -> list(A)"],
        cost: Cost::Deep,
        code: distinct,
    },
    Row {
        name: "reverse",
        signatures: &["list(A).() -> list(A)"],
        cost: Cost::Deep,
        code: reverse,
    },
    Row {
        name: "lists.range",
        signatures: &["(int) -> list(int)"],
        cost: Cost::Fixed(1),
        code: range,
    },
    Row {
        name: "first",
        signatures: &["list(A).() -> optional(A)"],
        cost: Cost::Fixed(1),
        code: |args| end(args, |list| list.get(0)),
    },
    Row {
        name: "last",
        signatures: &["list(A).() -> optional(A)"],
        cost: Cost::Fixed(1),
        code: |args| end(args, |list| list.get(list.len().checked_sub(1)?)),
    },
];

const SORT: &[&str] = &[
    "list(int).() -> list(int)",
    "list(uint).() -> list(uint)",
    "list(double).() -> list(double)",
    "list(bool).() -> list(bool)",
    "list(duration).() -> list(duration)",
    "list(timestamp).() -> list(timestamp)",
    "list(string).() -> list(string)",
    "list(bytes).() -> list(bytes)",
];

/// Ranges have no more elements.
const LONGEST_RANGE: i64 = 1_000_000;

fn is_sorted<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return overload();
    };
    let mut last: Option<Value<'_>> = None;
    for item in list.iter() {
        match last.as_ref().map(|last| order(last, &item)) {
            Some(Some(Ordering::Greater)) => return Ok(Value::Bool(false)),
            Some(None) => return overload(),
            _ => last = Some(item),
        }
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return overload();
    };
    let mut sum: Option<Value<'a>> = None;
    for item in list.iter() {
        sum = Some(match sum {
            None => item,
            Some(sum) => super::operators::add(&[sum, item])?,
        });
    }
    match sum {
        Some(Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) => {}
        Some(_) => return overload(),
        None => return Ok(Value::Int(0)),
    }
    sum.map_or_else(overload, Ok)
}

fn extreme<'a>(args: &[Value<'a>], wanted: Ordering, name: &str) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return overload();
    };
    let mut found: Option<Value<'a>> = None;
    for item in list.iter() {
        let better = match &found {
            None => true,
            Some(found) => match order(&item, found) {
                Some(order) => order == wanted,
                None => return overload(),
            },
        };
        if better {
            found = Some(item);
        }
    }
    found.map_or_else(|| wrong(format!("{name} called on empty list")), Ok)
}

fn index_of<'a>(args: &[Value<'a>], last: bool) -> Outcome<'a> {
    match args {
        [Value::List(list), wanted] => {
            let is = |index: &usize| list.get(*index).is_some_and(|item| equal(&item, wanted));
            let mut indexes = 0..list.len();
            let found = if last { indexes.rfind(is) } else { indexes.find(is) };
            Ok(Value::Int(found.map_or(-1, |index| index as i64)))
        }
        [Value::String(text), Value::String(part)] => Ok(Value::Int(in_text(text, part, last, None)?)),
        [Value::String(text), Value::String(part), Value::Int(offset)] => {
            Ok(Value::Int(in_text(text, part, last, Some(*offset))?))
        }
        _ => overload(),
    }
}

/// The character at which a part begins, from an offset on; the last one, up to an offset.
fn in_text(text: &str, part: &str, last: bool, offset: Option<i64>) -> Result<i64, Error> {
    let at = match offset {
        None if last => text.len(),
        None => 0,
        Some(offset) => match strings::place(text, offset) {
            Some(at) => at,
            None if last && part.is_empty() => text.len(),
            None => return Err(Error::Value(format!("index out of range: {offset}"))),
        },
    };
    let found = if last {
        let end = (at + part.len()).min(text.len());
        let end = (end..=text.len())
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(text.len());
        text[..end].rfind(part)
    } else {
        text[at..].find(part).map(|found| at + found)
    };
    Ok(found.map_or(-1, |found| text[..found].chars().count() as i64))
}

fn slice<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else {
        return overload();
    };
    let length = list.len() as i64;
    if *start < 0 || *end < 0 {
        return wrong(format!(
            "cannot slice({start}, {end}), negative indexes not supported"
        ));
    }
    if start > end {
        return wrong(format!(
            "cannot slice({start}, {end}), start index must be less than or equal to end index"
        ));
    }
    if *end > length {
        return wrong(format!("cannot slice({start}, {end}), list is length {length}"));
    }
    Ok(Value::list(
        list.iter()
            .skip(*start as usize)
            .take((end - start) as usize)
            .collect(),
    ))
}

fn flatten<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (list, levels) = match args {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(levels)] => (list, *levels),
        _ => return overload(),
    };
    if levels < 0 {
        return wrong("level must be non-negative");
    }
    let mut flat = Vec::new();
    flatten_into(list, levels, 0, &mut flat)?;
    Ok(Value::list(flat))
}

/// Lists nest no deeper.
const DEEPEST: usize = 200;

fn flatten_into<'a>(
    list: &List<'a>,
    levels: i64,
    depth: usize,
    flat: &mut Vec<Value<'a>>,
) -> Result<(), Error> {
    for item in list.iter() {
        match item {
            Value::List(inner) if levels > 0 && depth < DEEPEST => {
                flatten_into(&inner, levels - 1, depth + 1, flat)?;
            }
            item => flat.push(item),
        }
    }
    Ok(())
}

fn sort<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return overload();
    };
    let mut items: Vec<_> = list.iter().collect();
    let Some(first) = items.first() else {
        return Ok(args[0].clone());
    };
    if order(first, first).is_none() {
        return wrong("list elements must be comparable");
    }
    let name = first.type_name();
    if items.iter().any(|item| item.type_name() != name) {
        return wrong("list elements must have the same type");
    }
    items.sort_by(|one, other| order(one, other).unwrap_or(Ordering::Equal));
    Ok(Value::list(items))
}

fn distinct<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return overload();
    };
    let mut found: Vec<Value<'a>> = Vec::new();
    for item in list.iter() {
        if !found.iter().any(|other| equal(other, &item)) {
            found.push(item);
        }
    }
    Ok(Value::list(found))
}

fn reverse<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return overload();
    };
    let mut items: Vec<_> = list.iter().collect();
    items.reverse();
    Ok(Value::list(items))
}

fn range<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(count)] if *count > LONGEST_RANGE => Err(Error::Cost),
        [Value::Int(count)] => Ok(Value::list((0..*count).map(Value::Int).collect())),
        _ => overload(),
    }
}

fn end<'a>(args: &[Value<'a>], get: fn(&List<'a>) -> Option<Value<'a>>) -> Outcome<'a> {
    match args {
        [Value::List(list)] => Ok(Value::Optional(get(list).map(std::sync::Arc::new))),
        _ => overload(),
    }
}
