//! Strings in the double quotes of Go's `%q`, which upstream's messages are full of.

use std::fmt::Write as _;

/// `value` in double quotes, escaped as Go's `strconv.Quote` does.
pub fn quote(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if is_printable(c) => out.push(c),
        c if (c as u32) < 0x10000 => {
            let _ = write!(out, "\\u{:04x}", c as u32);
        }
        c => {
            let _ = write!(out, "\\U{:08x}", c as u32);
        }
    }
}

/// Go prints letters, marks, numbers, punctuation and symbols as they are. Rust's own escaping draws the same line
/// but for a few code points, and keeps U+0020 as the only printable space.
fn is_printable(c: char) -> bool {
    matches!(c, ' ' | '\'') || (!c.is_whitespace() && c.escape_debug().count() == 1)
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quotes_as_go_does() {
        for (input, quoted) in [
            ("plain", r#""plain""#),
            ("a\"b\\c'd", r#""a\"b\\c'd""#),
            ("tab\tnul\0del\u{7f}", r#""tab\tnul\x00del\x7f""#),
            ("é ü 日本", r#""é ü 日本""#),
            ("no\u{a0}break", r#""no\u00a0break""#),
        ] {
            assert_eq!(quote(input), quoted);
        }
    }
}
