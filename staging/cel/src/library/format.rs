//! `"%s is %d".format([...])`.

use super::conversions::{shown, shown_double};
use super::{overload, strings, text};
use crate::cost::Cost;
use crate::evaluate::{Error, Outcome};
use crate::functions::Row;
use crate::value::{List, Value};

pub(super) const TABLE: &[Row] = &[Row {
    name: "format",
    signatures: &["string.(list(dyn)) -> string"],
    cost: Cost::Traverse,
    code: format,
}];

const DEFAULT_PRECISION: usize = 6;
/// Doubles have no more digits than this.
const MOST_PRECISION: usize = 1100;

type Formatted = Result<String, String>;

fn format<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(template), Value::List(values)] => fill(template, values),
        _ => overload(),
    }
}

fn fill<'a>(template: &str, values: &List<'_>) -> Outcome<'a> {
    let fail = |message: String| Err(Error::Value(message));
    let mut out = String::new();
    let (mut rest, mut next) = (template, 0);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return fail("unexpected end of string".to_owned());
        }
        let Some(value) = values.get(next) else {
            return fail(format!("index {next} out of range"));
        };
        next += 1;
        let (clause, after) = match clause(rest) {
            Ok(found) => found,
            Err(message) => return fail(message),
        };
        rest = after;
        match clause.apply(&value) {
            Ok(formatted) => out.push_str(&formatted),
            Err(message) => return fail(message),
        }
        if out.len() > super::LONGEST {
            return Err(Error::Cost);
        }
    }
    out.push_str(rest);
    text(out)
}

struct Clause {
    letter: char,
    precision: usize,
}

fn clause(text: &str) -> Result<(Clause, &str), String> {
    let (mut precision, mut rest) = (DEFAULT_PRECISION, text);
    if let Some(after) = text.strip_prefix('.') {
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == after.len() {
            return Err(
                "error while parsing precision: could not find end of precision specifier".to_owned(),
            );
        }
        if digits > 0 {
            precision = after[..digits]
                .parse()
                .unwrap_or(MOST_PRECISION)
                .min(MOST_PRECISION);
        }
        rest = &after[digits..];
    }
    let mut chars = rest.chars();
    match chars.next() {
        Some(letter @ ('s' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o')) => {
            Ok((Clause { letter, precision }, chars.as_str()))
        }
        Some(other) => Err(format!(
            "could not parse formatting clause: unrecognized formatting clause \"{other}\""
        )),
        None => Err("unexpected end of string".to_owned()),
    }
}

impl Clause {
    fn apply(&self, value: &Value<'_>) -> Formatted {
        match self.letter {
            's' => string(value, 0),
            'd' => match value {
                Value::Int(value) => Ok(value.to_string()),
                Value::Uint(value) => Ok(value.to_string()),
                other => unfit("decimal clause can only be used on integers", other),
            },
            'f' => match double(value) {
                Some(value) => Ok(grouped(&format!("{value:.*}", self.precision))),
                None => unfit("fixed-point clause can only be used on doubles", value),
            },
            'e' => match double(value) {
                Some(value) => Ok(scientific(value, self.precision)),
                None => unfit("scientific clause can only be used on doubles", value),
            },
            'b' => match value {
                Value::Int(value) => Ok(signed(*value, |value| format!("{value:b}"))),
                Value::Uint(value) => Ok(format!("{value:b}")),
                Value::Bool(value) => Ok(u8::from(*value).to_string()),
                other => unfit("only integers and bools can be formatted as binary", other),
            },
            'o' => match value {
                Value::Int(value) => Ok(signed(*value, |value| format!("{value:o}"))),
                Value::Uint(value) => Ok(format!("{value:o}")),
                other => unfit("octal clause can only be used on integers", other),
            },
            letter => hex(value).map(|hex| if letter == 'X' { hex.to_uppercase() } else { hex }),
        }
    }
}

fn unfit(what: &str, value: &Value<'_>) -> Formatted {
    Err(format!(
        "error during formatting: {what}, was given {}",
        value.type_name()
    ))
}

fn signed(value: i64, show: fn(u64) -> String) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", show(value.unsigned_abs()))
}

fn hex(value: &Value<'_>) -> Formatted {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match value {
        Value::Int(value) => Ok(signed(*value, |value| format!("{value:x}"))),
        Value::Uint(value) => Ok(format!("{value:x}")),
        Value::String(text) => Ok(bytes(text.as_bytes())),
        Value::Bytes(found) => Ok(bytes(found)),
        other => unfit(
            "only integers, byte buffers, and strings can be formatted as hex",
            other,
        ),
    }
}

fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::String(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Thousands apart, as in English.
fn grouped(number: &str) -> String {
    let number = match number {
        "inf" => return "∞".to_owned(),
        "-inf" => return "-∞".to_owned(),
        other => other,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && digits.starts_with(|c: char| c.is_ascii_digit()) {
            out.push(',');
        }
        out.push(digit);
    }
    if !part.is_empty() {
        out.push('.');
        out.push_str(part);
    }
    out
}

fn scientific(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return grouped(&format!("{value}"));
    }
    let shown = format!("{value:.precision$e}");
    let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let (sign, exponent) = exponent
        .strip_prefix('-')
        .map_or(("", exponent), |digits| ("\u{207b}", digits));
    let raised: String = format!("{exponent:0>2}")
        .bytes()
        .map(|digit| match digit {
            b'1' => '\u{b9}',
            b'2' => '\u{b2}',
            b'3' => '\u{b3}',
            digit => char::from_u32(0x2070 + u32::from(digit - b'0')).unwrap_or('?'),
        })
        .collect();
    format!("{digits}\u{202f}\u{d7}\u{202f}10{sign}{raised}")
}

/// Lists and maps nest no deeper.
const DEEPEST: usize = 200;

fn string(value: &Value<'_>, depth: usize) -> Formatted {
    if depth > DEEPEST {
        return Err("error during formatting: nested too deeply".to_owned());
    }
    match value {
        Value::Null => Ok("null".to_owned()),
        Value::List(list) => {
            let items: Result<Vec<_>, _> = list.iter().map(|item| quoted(&item, depth + 1)).collect();
            Ok(format!("[{}]", items?.join(", ")))
        }
        Value::Map(map) => {
            let mut members = Vec::new();
            for (key, value) in map.entries() {
                members.push((quoted(&key, depth + 1)?, quoted(&value, depth + 1)?));
            }
            members.sort();
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{key}:{value}"))
                .collect();
            Ok(format!("{{{}}}", members.join(", ")))
        }
        Value::Extension(_) | Value::Optional(_) => unfit(
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
            value,
        ),
        other => shown(other).ok_or_else(|| "error during formatting: invalid UTF-8 in bytes".to_owned()),
    }
}

/// Inside of lists and maps, as one would write it.
fn quoted(value: &Value<'_>, depth: usize) -> Formatted {
    Ok(match value {
        Value::String(text) => strings::quote(text),
        Value::Bytes(_) => format!("b{}", strings::quote(&string(value, depth)?)),
        Value::Double(value) if !value.is_finite() => format!("\"{}\"", shown_double(*value)),
        other => string(other, depth)?,
    })
}
