//! Patterns. Matching takes time linear in the text.

use std::sync::Arc;

use regex_lite::Regex;

use super::{overload, wrong};
use crate::cost::Cost;
use crate::evaluate::{Error, Outcome};
use crate::functions::Row;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "matches",
        signatures: &["(string, string) -> bool", "string.(string) -> bool"],
        cost: Cost::Match,
        code: matches,
    },
    Row {
        name: "find",
        signatures: &["string.(string) -> string"],
        cost: Cost::Match,
        code: find,
    },
    Row {
        name: "findAll",
        signatures: &[
            "string.(string) -> list(string)",
            "string.(string, int) -> list(string)",
        ],
        cost: Cost::Match,
        code: find_all,
    },
];

fn compiled(pattern: &str, prefix: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::Value(format!("{prefix}error parsing regexp: {error}")))
}

fn matches<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(pattern)] => {
            Ok(Value::Bool(compiled(pattern, "")?.is_match(text)))
        }
        _ => overload(),
    }
}

fn find<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(pattern)] => {
            let regex = compiled(pattern, "Illegal regex: ")?;
            Ok(Value::text(regex.find(text).map_or("", |found| found.as_str())))
        }
        _ => overload(),
    }
}

fn find_all<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, pattern, limit) = match args {
        [Value::String(text), Value::String(pattern)] => (text, pattern, -1),
        [Value::String(text), Value::String(pattern), Value::Int(limit)] => (text, pattern, *limit),
        _ => return overload(),
    };
    let regex = compiled(pattern, "Illegal regex: ")?;
    let Ok(limit) = usize::try_from(if limit < 0 { i64::MAX } else { limit }) else {
        return wrong("integer overflow");
    };
    let found = regex.find_iter(text).take(limit);
    Ok(Value::list(
        found
            .map(|found| Value::text(Arc::from(found.as_str())))
            .collect(),
    ))
}
