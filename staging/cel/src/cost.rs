//! What evaluation costs, in units that do not depend on the machine: reading a name is one.

use crate::library::Extension;
use crate::value::{List, Map, Value};

/// An expression may cost so much.
pub const PER_CALL_LIMIT: u64 = 1_000_000;

pub(crate) const LIST: u64 = 10;
pub(crate) const MAP: u64 = 30;
pub(crate) const STRUCT: u64 = 40;

/// How the cost of a call is counted.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    Fixed(u64),
    /// Reads the first argument once.
    Traverse,
    /// Reads it and writes as much.
    Rewrite,
    /// Writes the result.
    Result,
    /// Looks at each element of the second argument.
    Elements,
    /// Compares each element of one list with each of another.
    Product,
    /// Compares two values.
    Compare,
    /// Puts two together.
    Concatenate,
    /// Looks for the second argument in the first.
    Search,
    /// The second argument is a pattern.
    Match,
    /// Looks at all that the first argument holds.
    Deep,
    /// Parses a selector, the second argument.
    Selector,
    /// Whether the first argument, a network, has the second.
    Contains,
    /// Checks the second argument's format.
    Format,
}

fn tenths(size: u64, times: u64) -> u64 {
    size.saturating_mul(times).div_ceil(10)
}

fn size(args: &[Value<'_>], index: usize) -> u64 {
    args.get(index).map_or(0, Value::size)
}

/// How much of a text a pattern reads.
pub(crate) fn text_size(text: &Value<'_>) -> u64 {
    tenths(text.size().saturating_add(1), 1)
}

/// A pattern of so many characters applied to a text.
fn pattern(text: u64, pattern: u64) -> u64 {
    tenths(text.saturating_add(1), 1).saturating_mul(pattern.div_ceil(4))
}

impl Cost {
    pub(crate) fn of(self, args: &[Value<'_>], result: Option<&Value<'_>>) -> u64 {
        let (first, second) = (size(args, 0), size(args, 1));
        match self {
            Self::Fixed(cost) => cost,
            Self::Traverse => tenths(first, 1),
            Self::Rewrite => tenths(first, 2),
            Self::Result => tenths(result.map_or(1, Value::size), 2),
            Self::Elements => match args.get(1) {
                Some(Value::List(_)) => second,
                _ => 1,
            },
            Self::Product => first.saturating_mul(second).saturating_add(1),
            Self::Compare => match args {
                [Value::Extension(_), _] => 1,
                [
                    Value::Int(_)
                    | Value::Uint(_)
                    | Value::Double(_)
                    | Value::Duration(_)
                    | Value::Timestamp(_),
                    _,
                ] => 1,
                _ => tenths(first.min(second), 1),
            },
            Self::Concatenate => match args.first() {
                Some(Value::String(_) | Value::Bytes(_)) => tenths(first.saturating_add(second), 1),
                _ => 1,
            },
            Self::Search => tenths(first, 1).saturating_mul(tenths(second, 1)),
            Self::Match => pattern(first, second),
            Self::Deep => args.first().map_or(0, deep),
            Self::Selector => LIST
                .saturating_add(tenths(second, 1))
                .saturating_add(second.div_ceil(2).saturating_mul(LIST + STRUCT)),
            Self::Contains => {
                let parsed = match args.get(1) {
                    Some(Value::String(_)) => tenths(second, 1),
                    _ => 0,
                };
                tenths(first, 2) + parsed
            }
            Self::Format => match args.first() {
                Some(Value::Extension(Extension::Format(format))) => pattern(second, format.pattern_size),
                _ => 1,
            },
        }
    }
}

fn deep(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 / 10,
        Value::Bytes(bytes) => bytes.len() as u64 / 10,
        Value::List(list) => deep_list(list),
        Value::Map(map) => deep_map(map),
        _ => 1,
    }
}

fn deep_list(list: &List<'_>) -> u64 {
    list.iter().map(|item| deep(&item)).sum()
}

fn deep_map(map: &Map<'_>) -> u64 {
    map.entries()
        .iter()
        .map(|(key, value)| deep(key) + deep(value))
        .sum()
}
