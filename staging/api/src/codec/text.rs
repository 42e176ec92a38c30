//! JSON text as Go's encoder writes it.

use std::io::Write;

/// Appends a quoted string, with the characters escaped that would matter inside HTML, as upstream does.
/// Invalid UTF-8 becomes U+FFFD.
pub fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if is_plain_ascii(bytes) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => escape(text.as_bytes(), out),
        Err(_) => {
            for chunk in bytes.utf8_chunks() {
                escape(chunk.valid().as_bytes(), out);
                for _ in chunk.invalid() {
                    out.extend_from_slice(b"\\ufffd");
                }
            }
        }
    }
    out.push(b'"');
}

/// Bytes that cannot stand for themselves in a string. The first byte of U+2028 and U+2029 is looked at closer.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xe2] = true;
    table
};

/// Bytes that are looked at together, without a branch for each: the compiler makes vector code of that.
const BLOCK: usize = 16;

/// Whether a text stands for itself, as nearly all do: ASCII without anything to escape.
fn is_plain_ascii(text: &[u8]) -> bool {
    let care = |byte: u8| !(0x20..0x80).contains(&byte) | matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
    !any_in_blocks(text, care)
}

fn any_in_blocks(text: &[u8], wanted: impl Fn(u8) -> bool) -> bool {
    let any = |part: &[u8]| part.iter().fold(false, |any, byte| any | wanted(*byte));
    let mut blocks = text.chunks_exact(BLOCK);
    blocks.any(any) || any(blocks.remainder())
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut plain = 0;
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        if !SPECIAL[usize::from(byte)] {
            at += 1;
            continue;
        }
        let mut length = 1;
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            0xe2 => match separator(&text[at..]) {
                Some(escaped) => {
                    length = 3;
                    escaped
                }
                None => {
                    at += 1;
                    continue;
                }
            },
            byte => {
                out.extend_from_slice(&text[plain..at]);
                out.extend_from_slice(&unicode(byte));
                at += 1;
                plain = at;
                continue;
            }
        };
        out.extend_from_slice(&text[plain..at]);
        out.extend_from_slice(escaped);
        at += length;
        plain = at;
    }
    out.extend_from_slice(&text[plain..]);
}

/// The escape of a line or paragraph separator at the start of `text`.
fn separator(text: &[u8]) -> Option<&'static [u8]> {
    match text {
        [0xe2, 0x80, 0xa8, ..] => Some(b"\\u2028"),
        [0xe2, 0x80, 0xa9, ..] => Some(b"\\u2029"),
        _ => None,
    }
}

fn unicode(byte: u8) -> [u8; 6] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [
        b'\\',
        b'u',
        b'0',
        b'0',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 15)],
    ]
}

/// Appends a JSON document that is kept as bytes: without white space, and escaped as strings are.
pub fn raw(document: &[u8], out: &mut Vec<u8>) {
    let marked = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'<' | b'>' | b'&' | 0xe2);
    if !any_in_blocks(document, marked) {
        out.extend_from_slice(document);
        return;
    }
    let (mut quoted, mut at) = (false, 0);
    while at < document.len() {
        let byte = document[at];
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => {}
            b'\\' if quoted => {
                out.extend(document[at..].iter().take(2));
                at += 1;
            }
            b'<' | b'>' | b'&' => out.extend_from_slice(&unicode(byte)),
            0xe2 if separator(&document[at..]).is_some() => {
                out.extend_from_slice(separator(&document[at..]).unwrap_or_default());
                at += 2;
            }
            byte => {
                quoted ^= byte == b'"';
                out.push(byte);
            }
        }
        at += 1;
    }
}

pub fn integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// A float as Go prints it: the shortest decimal that reads back, with an exponent below 1e-6 and from 1e21.
pub fn float(value: f64, out: &mut Vec<u8>) {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        let _ = write!(out, "{value}");
        return;
    }
    let text = format!("{value:e}");
    let text = if text.contains("e-") {
        text
    } else {
        text.replace('e', "e+")
    };
    out.extend_from_slice(text.as_bytes());
}
