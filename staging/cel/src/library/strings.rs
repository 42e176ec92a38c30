//! Strings: positions count characters.

use super::{overload, text, wrong};
use crate::cost::Cost;
use crate::evaluate::{Error, Outcome};
use crate::functions::Row;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "contains",
        signatures: &["string.(string) -> bool"],
        cost: Cost::Search,
        code: |args| two(args, |text, part| text.contains(part)),
    },
    Row {
        name: "startsWith",
        signatures: &["string.(string) -> bool"],
        cost: Cost::Traverse,
        code: |args| two(args, |text, part| text.starts_with(part)),
    },
    Row {
        name: "endsWith",
        signatures: &["string.(string) -> bool"],
        cost: Cost::Traverse,
        code: |args| two(args, |text, part| text.ends_with(part)),
    },
    Row {
        name: "charAt",
        signatures: &["string.(int) -> string"],
        cost: Cost::Fixed(1),
        code: char_at,
    },
    Row {
        name: "lowerAscii",
        signatures: &["string.() -> string"],
        cost: Cost::Traverse,
        code: |args| one(args, str::to_ascii_lowercase),
    },
    Row {
        name: "upperAscii",
        signatures: &["string.() -> string"],
        cost: Cost::Traverse,
        code: |args| one(args, str::to_ascii_uppercase),
    },
    Row {
        name: "trim",
        signatures: &["string.() -> string"],
        cost: Cost::Traverse,
        code: |args| one(args, |text| text.trim().to_owned()),
    },
    Row {
        name: "strings.quote",
        signatures: &["(string) -> string"],
        cost: Cost::Traverse,
        code: |args| one(args, quote),
    },
    Row {
        name: "substring",
        signatures: &["string.(int) -> string", "string.(int, int) -> string"],
        cost: Cost::Traverse,
        code: substring,
    },
    Row {
        name: "replace",
        signatures: &[
            "string.(string, string) -> string",
            "string.(string, string, int) -> string",
        ],
        cost: Cost::Rewrite,
        code: replace,
    },
    Row {
        name: "split",
        signatures: &[
            "string.(string) -> list(string)",
            "string.(string, int) -> list(string)",
        ],
        cost: Cost::Rewrite,
        code: split,
    },
    Row {
        name: "join",
        signatures: &["list(string).() -> string", "list(string).(string) -> string"],
        cost: Cost::Result,
        code: join,
    },
];

fn one<'a>(args: &[Value<'a>], make: fn(&str) -> String) -> Outcome<'a> {
    match args {
        [Value::String(found)] => text(make(found)),
        _ => overload(),
    }
}

fn two<'a>(args: &[Value<'a>], holds: fn(&str, &str) -> bool) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(part)] => Ok(Value::Bool(holds(text, part))),
        _ => overload(),
    }
}

/// The byte at which the character of an index begins; the end of the text for its length.
pub(super) fn place(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    let mut places = text.char_indices().map(|(place, _)| place).chain([text.len()]);
    places.nth(index)
}

fn char_at<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(found), Value::Int(index)] = args else {
        return overload();
    };
    match place(found, *index) {
        Some(at) => text(found[at..].chars().next().map(String::from).unwrap_or_default()),
        None => wrong(format!("index out of range: {index}")),
    }
}

fn substring<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (found, start, end) = match args {
        [Value::String(found), Value::Int(start)] => (found, start, None),
        [Value::String(found), Value::Int(start), Value::Int(end)] => (found, start, Some(end)),
        _ => return overload(),
    };
    if let Some(end) = end.filter(|end| start > end) {
        return wrong(format!("invalid substring range. start: {start}, end: {end}"));
    }
    let Some(from) = place(found, *start) else {
        return wrong(format!("index out of range: {start}"));
    };
    let to = match end {
        None => found.len(),
        Some(end) => match place(found, *end) {
            Some(to) => to,
            None => return wrong(format!("index out of range: {end}")),
        },
    };
    text(found[from..to].to_owned())
}

fn replace<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (found, old, new, limit) = match args {
        [Value::String(found), Value::String(old), Value::String(new)] => (found, old, new, -1),
        [
            Value::String(found),
            Value::String(old),
            Value::String(new),
            Value::Int(limit),
        ] => (found, old, new, *limit),
        _ => return overload(),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // How long it will be, before it is made.
    let times = found.matches(&**old).take(limit).count();
    if times.saturating_mul(new.len()).saturating_add(found.len()) > super::LONGEST {
        return Err(Error::Cost);
    }
    text(found.replacen(&**old, new, limit))
}

fn split<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (found, separator, limit) = match args {
        [Value::String(found), Value::String(separator)] => (found, separator, -1),
        [Value::String(found), Value::String(separator), Value::Int(limit)] => (found, separator, *limit),
        _ => return overload(),
    };
    let limit = match limit {
        0 => return Ok(Value::list(Vec::new())),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let part = |part: &str| Value::text(part);
    let parts = if separator.is_empty() {
        let mut parts: Vec<_> = Vec::new();
        let mut rest = &**found;
        while let Some(first) = rest.chars().next() {
            if parts.len() + 1 == limit {
                parts.push(part(rest));
                break;
            }
            let (head, tail) = rest.split_at(first.len_utf8());
            parts.push(part(head));
            rest = tail;
        }
        parts
    } else {
        found.splitn(limit, &**separator).map(part).collect()
    };
    Ok(Value::list(parts))
}

fn join<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return overload(),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::String(item) = item else {
            return wrong(format!("join: invalid input: {item}"));
        };
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&item);
        if joined.len() > super::LONGEST {
            return Err(Error::Cost);
        }
    }
    text(joined)
}

/// As a literal of the language.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
