//! Values written out.

use crate::ast::Literal;
use crate::lexer::{Lexeme, Token};

/// What a token says, if it is a literal; or why it says nothing.
pub fn read(lexeme: Lexeme<'_>, negative: bool) -> Option<Result<Literal, &'static str>> {
    let text = lexeme.text;
    let read = match lexeme.token {
        Token::Int => integer(text, negative)
            .map(Literal::Int)
            .ok_or("invalid int literal"),
        Token::Float => float(text, negative)
            .map(Literal::Double)
            .ok_or("invalid double literal"),
        _ if negative => return None,
        Token::Uint => unsigned(text).map(Literal::Uint).ok_or("invalid uint literal"),
        Token::String => unquote(text, false)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(|text| Literal::String(text.into()))
            .ok_or("unable to unescape string"),
        Token::Bytes => unquote(&text[1..], true)
            .map(|bytes| Literal::Bytes(bytes.into()))
            .ok_or("unable to unescape string"),
        Token::Sign("true") => Ok(Literal::Bool(true)),
        Token::Sign("false") => Ok(Literal::Bool(false)),
        Token::Sign("null") => Ok(Literal::Null),
        _ => return None,
    };
    Some(read)
}

fn integer(text: &str, negative: bool) -> Option<i64> {
    let magnitude = match text.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let magnitude = magnitude.ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn unsigned(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(['u', 'U']);
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn float(text: &str, negative: bool) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(if negative { -value } else { value })
}

/// The bytes between the quotes, escapes resolved: code points, or bytes in a bytes literal.
fn unquote(text: &str, is_bytes: bool) -> Option<Vec<u8>> {
    let raw = text.starts_with(['r', 'R']);
    let text = text.strip_prefix(['r', 'R']).unwrap_or(text);
    let width = if text.len() >= 6 && (text.starts_with("\"\"\"") || text.starts_with("'''")) {
        3
    } else {
        1
    };
    let inner = text.get(width..text.len().checked_sub(width)?)?;
    let inner = inner.replace("\r\n", "\n").replace('\r', "\n");
    if raw {
        return Some(inner.into_bytes());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.as_str();
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], is_bytes, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

/// Resolves one escape; gives what follows it.
fn escape<'t>(text: &'t str, is_bytes: bool, out: &mut Vec<u8>) -> Option<&'t str> {
    let (first, rest) = text.split_at_checked(1)?;
    let simple = match first {
        "a" => 7,
        "b" => 8,
        "f" => 12,
        "n" => b'\n',
        "r" => b'\r',
        "t" => b'\t',
        "v" => 11,
        "\\" | "'" | "\"" | "`" | "?" => first.as_bytes()[0],
        _ => 0,
    };
    if simple != 0 {
        out.push(simple);
        return Some(rest);
    }
    let (digits, radix, rest) = match first {
        "x" | "X" => (rest.get(..2)?, 16, rest.get(2..)?),
        "u" if !is_bytes => (rest.get(..4)?, 16, rest.get(4..)?),
        "U" if !is_bytes => (rest.get(..8)?, 16, rest.get(8..)?),
        "0" | "1" | "2" | "3" => (text.get(..3)?, 8, text.get(3..)?),
        _ => return None,
    };
    let code = u32::from_str_radix(digits, radix).ok()?;
    if is_bytes {
        out.push(u8::try_from(code).ok()?);
    } else {
        let mut buffer = [0; 4];
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    }
    Some(rest)
}
