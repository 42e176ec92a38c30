//! Versions like `1.2.3-beta.1`.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Extension, overload, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "semver",
        signatures: &["(string) -> semver", "(string, bool) -> semver"],
        cost: Cost::Traverse,
        code: parse,
    },
    Row {
        name: "isSemver",
        signatures: &["(string) -> bool", "(string, bool) -> bool"],
        cost: Cost::Traverse,
        code: is_semver,
    },
    Row {
        name: "major",
        signatures: &["semver.() -> int"],
        cost: Cost::Fixed(1),
        code: |args| part(args, 0),
    },
    Row {
        name: "minor",
        signatures: &["semver.() -> int"],
        cost: Cost::Fixed(1),
        code: |args| part(args, 1),
    },
    Row {
        name: "patch",
        signatures: &["semver.() -> int"],
        cost: Cost::Fixed(1),
        code: |args| part(args, 2),
    },
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semver {
    numbers: [u64; 3],
    prerelease: Vec<Identifier>,
}

/// Numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

/// By precedence: build metadata counts for nothing.
pub(super) fn order(one: &Semver, other: &Semver) -> Ordering {
    one.numbers.cmp(&other.numbers).then_with(|| {
        match (one.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => one.prerelease.cmp(&other.prerelease),
        }
    })
}

fn number(text: &str, name: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {name} number {text:?}"));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!(
            "{} number must not contain leading zeroes {text:?}",
            capitalized(name)
        ));
    }
    text.parse()
        .map_err(|_| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

fn capitalized(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
        .unwrap_or_default()
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(super) fn read(text: &str) -> Result<Semver, String> {
    if text.is_empty() {
        return Err("Version string empty".to_owned());
    }
    let (rest, build) = text
        .split_once('+')
        .map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, prerelease) = rest
        .split_once('-')
        .map_or((rest, None), |(core, after)| (core, Some(after)));
    let parts: Vec<_> = core.splitn(3, '.').collect();
    let [major, minor, patch] = parts.as_slice() else {
        return Err("No Major.Minor.Patch elements found".to_owned());
    };
    let numbers = [
        number(major, "major")?,
        number(minor, "minor")?,
        number(patch, "patch")?,
    ];
    let mut found = Vec::new();
    for word in prerelease.into_iter().flat_map(|text| text.split('.')) {
        found.push(if word.is_empty() {
            return Err("Prerelease is empty".to_owned());
        } else if word.bytes().all(|byte| byte.is_ascii_digit()) {
            if word.len() > 1 && word.starts_with('0') {
                return Err(format!(
                    "Numeric PreRelease version must not contain leading zeroes {word:?}"
                ));
            }
            Identifier::Number(word.parse().map_err(|_| format!("value out of range {word:?}"))?)
        } else if is_word(word) {
            Identifier::Word(word.to_owned())
        } else {
            return Err(format!("Invalid character(s) found in prerelease {word:?}"));
        });
    }
    for word in build.into_iter().flat_map(|text| text.split('.')) {
        if word.is_empty() {
            return Err("Build meta data is empty".to_owned());
        }
        if !is_word(word) {
            return Err(format!("Invalid character(s) found in build meta data {word:?}"));
        }
    }
    Ok(Semver {
        numbers,
        prerelease: found,
    })
}

/// `v1.02` as `1.2.0`.
fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let mut parts: Vec<String> = core
        .splitn(3, '.')
        .map(|part| {
            let trimmed = part.trim_start_matches('0');
            if trimmed.is_empty() && !part.is_empty() {
                "0"
            } else {
                trimmed
            }
            .to_owned()
        })
        .collect();
    if rest.is_empty() {
        while parts.len() < 3 {
            parts.push("0".to_owned());
        }
    }
    parts.join(".") + rest
}

fn of(args: &[Value<'_>]) -> Option<Result<Semver, String>> {
    Some(match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => read(text),
        [Value::String(text), Value::Bool(true)] => read(&normalized(text)),
        _ => return None,
    })
}

fn parse<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match of(args) {
        Some(Ok(version)) => Ok(Value::Extension(Extension::Semver(Arc::new(version)))),
        Some(Err(message)) => wrong(message),
        None => overload(),
    }
}

fn is_semver<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    of(args).map_or_else(overload, |found| Ok(Value::Bool(found.is_ok())))
}

fn part<'a>(args: &[Value<'a>], index: usize) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Semver(version))] => match i64::try_from(version.numbers[index]) {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => wrong("integer overflow"),
        },
        _ => overload(),
    }
}
