//! URLs and their parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Extension, overload, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::{Key, Map, Value};

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "url",
        signatures: &["(string) -> url"],
        cost: Cost::Traverse,
        code: parse,
    },
    Row {
        name: "isURL",
        signatures: &["(string) -> bool"],
        cost: Cost::Traverse,
        code: is_url,
    },
    Row {
        name: "getScheme",
        signatures: &["url.() -> string"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |url| url.scheme.clone()),
    },
    Row {
        name: "getHost",
        signatures: &["url.() -> string"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |url| url.host.clone()),
    },
    Row {
        name: "getHostname",
        signatures: &["url.() -> string"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |url| url.split_host().0.to_owned()),
    },
    Row {
        name: "getPort",
        signatures: &["url.() -> string"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |url| url.split_host().1.to_owned()),
    },
    Row {
        name: "getEscapedPath",
        signatures: &["url.() -> string"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |url| escaped(&url.path)),
    },
    Row {
        name: "getQuery",
        signatures: &["url.() -> map(string, list(string))"],
        cost: Cost::Fixed(1),
        code: query,
    },
];

/// The parts of a URL, as they are written.
#[derive(Clone, Debug)]
pub struct Url {
    pub(super) text: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// The host without brackets, and the port.
    fn split_host(&self) -> (&str, &str) {
        let (host, port) = match self.host.rfind(':') {
            Some(at) if !self.host[at..].contains(']') => (&self.host[..at], &self.host[at + 1..]),
            _ => (self.host.as_str(), ""),
        };
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }
}

/// An absolute URL, or an absolute path.
pub(super) fn read(text: &str) -> Result<Url, String> {
    let fail = |why: &str| Err(format!("parse {text:?}: {why}"));
    if text.is_empty() {
        return fail("empty url");
    }
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return fail("net/url: invalid control character in URL");
    }
    let before_fragment = text.split('#').next().unwrap_or(text);
    let (before_query, query) = before_fragment.split_once('?').unwrap_or((before_fragment, ""));
    let (scheme, rest) = match scheme(before_query) {
        Ok(found) => found,
        Err(why) => return fail(why),
    };
    if scheme.is_empty() && !rest.starts_with('/') {
        return fail("invalid URI for request");
    }
    let (authority, path) = match rest.strip_prefix("//") {
        Some(after) if !scheme.is_empty() => after.split_at(after.find('/').unwrap_or(after.len())),
        _ => ("", rest),
    };
    if bad_escape(path) {
        let at = path.find('%').unwrap_or(0);
        let shown: String = path[at..].chars().take(3).collect();
        return fail(&format!("invalid URL escape {shown:?}"));
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(why) = bad_host(host) {
        return fail(&why);
    }
    Ok(Url {
        text: text.to_owned(),
        scheme: scheme.to_ascii_lowercase(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
    })
}

fn scheme(text: &str) -> Result<(&str, &str), &'static str> {
    for (at, char) in text.char_indices() {
        match char {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            '0'..='9' | '+' | '-' | '.' => return Ok(("", text)),
            ':' if at == 0 => return Err("missing protocol scheme"),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            _ => return Ok(("", text)),
        }
    }
    Ok(("", text))
}

fn bad_escape(text: &str) -> bool {
    text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn bad_host(host: &str) -> Option<String> {
    if host.starts_with('[') && !host.contains(']') {
        return Some("missing ']' in host".to_owned());
    }
    if let Some(bad) = host
        .chars()
        .find(|char| matches!(char, ' ' | '^' | '{' | '}' | '|' | '\\'))
    {
        return Some(format!("invalid character {:?} in host name", bad.to_string()));
    }
    let after = host.rfind(']').map_or(0, |at| at + 1);
    let (_, port) = host[after..].split_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    (!digits).then(|| format!("invalid port {:?} after host", format!(":{port}")))
}

/// What a path may not hold as it is, as bytes.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte.into()),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@'
            | b'%' => {
                out.push(byte.into());
            }
            b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    if bad_escape(text) {
        return None;
    }
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                out.push(u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok()?);
                at += 2;
            }
            b'+' => out.push(b' '),
            byte => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

fn parse<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => match read(text) {
            Ok(url) => Ok(Value::Extension(Extension::Url(Arc::new(url)))),
            Err(message) => wrong(format!(
                "URL parse error during conversion from string: {message}"
            )),
        },
        _ => overload(),
    }
}

fn is_url<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Bool(read(text).is_ok())),
        _ => overload(),
    }
}

fn of<'a>(args: &[Value<'a>], part: fn(&Url) -> String) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Url(url))] => Ok(Value::text(part(url))),
        _ => overload(),
    }
}

fn query<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Extension(Extension::Url(url))] = args else {
        return overload();
    };
    let mut found: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for pair in url
        .query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (unescaped(key), unescaped(value)) {
            found.entry(key).or_default().push(Value::text(value));
        }
    }
    let entries = found.into_iter().map(|(key, values)| {
        let value = (Value::text(key.as_str()), Value::list(values));
        (Key::String(key.into()), value)
    });
    Ok(Value::Map(Map::Shared(Arc::new(entries.collect()))))
}
