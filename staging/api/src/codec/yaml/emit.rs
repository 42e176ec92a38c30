//! YAML as upstream prints it: block style, lists not indented below their key, lines broken after 80 columns.
//!
//! Upstream: `sigs.k8s.io/yaml`, a port of libyaml's emitter.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::scalar::{self, Style};

/// Columns after which a space becomes a line break.
const BEST_WIDTH: usize = 80;
const INDENT: usize = 2;

/// One document.
pub fn document(value: &Value) -> String {
    let mut emitter = Emitter::default();
    match value {
        Value::Object(map) if !map.is_empty() => emitter.map(map, 0),
        Value::Array(list) if !list.is_empty() => emitter.list(list, 0),
        scalar => emitter.scalar(scalar, INDENT),
    }
    emitter.out.push('\n');
    emitter.out
}

#[derive(Default)]
struct Emitter {
    out: String,
    /// Characters since the last line break.
    column: usize,
}

impl Emitter {
    fn map(&mut self, map: &Map<String, Value>, indent: usize) {
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort_by(|a, b| natural_order(a, b));
        for key in keys {
            self.start_line(indent);
            self.string(key, Position::Key);
            self.push_str(":");
            match &map[key] {
                Value::Object(inner) if !inner.is_empty() => self.map(inner, indent + INDENT),
                Value::Array(list) if !list.is_empty() => self.list(list, indent),
                value => {
                    self.push(' ');
                    self.scalar(value, indent + INDENT);
                }
            }
        }
    }

    fn list(&mut self, list: &[Value], indent: usize) {
        for item in list {
            self.start_line(indent);
            self.push_str("- ");
            match item {
                Value::Object(inner) if !inner.is_empty() => self.map(inner, indent + INDENT),
                Value::Array(inner) if !inner.is_empty() => self.list(inner, indent + INDENT),
                value => self.scalar(value, indent + INDENT),
            }
        }
    }

    /// A new line, unless this one holds nothing but the dashes of lists up to here.
    fn start_line(&mut self, indent: usize) {
        let line = &self.out[self.out.len() - self.column..];
        if self.column == indent && line.bytes().all(|byte| matches!(byte, b'-' | b' ')) {
            return;
        }
        self.break_line(indent);
    }

    fn break_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    fn push(&mut self, char: char) {
        self.out.push(char);
        self.column += 1;
    }

    fn push_str(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(_) => self.push_str("{}"),
            Value::Array(_) => self.push_str("[]"),
            Value::String(text) => self.string(text, Position::Value { indent }),
            other => self.push_str(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str, position: Position) {
        match scalar::style(text, matches!(position, Position::Key)) {
            Style::Plain => self.wrapped(text, position, str::len, |emitter, char| emitter.push(char)),
            Style::SingleQuoted => {
                self.push('\'');
                self.wrapped(
                    text,
                    position,
                    |rest| rest.len() - 1,
                    |emitter, char| {
                        if char == '\'' {
                            emitter.push('\'');
                        }
                        emitter.push(char);
                    },
                );
                self.push('\'');
            }
            Style::DoubleQuoted => self.double_quoted(text, position),
            Style::Literal => self.literal(text, position),
        }
    }

    /// Text whose single spaces become line breaks where the line is long.
    fn wrapped(
        &mut self,
        text: &str,
        position: Position,
        last: impl Fn(&str) -> usize,
        write: impl Fn(&mut Emitter, char),
    ) {
        let mut after_space = false;
        for (at, char) in text.char_indices() {
            let next_is_space = text[at + char.len_utf8()..].starts_with(' ');
            if char == ' '
                && let Position::Value { indent } = position
                && !after_space
                && !next_is_space
                && self.column > BEST_WIDTH
                && at < last(text)
                && at > 0
            {
                self.break_line(indent);
            } else {
                write(self, char);
            }
            after_space = char == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, position: Position) {
        self.push('"');
        let mut after_space = false;
        for (at, char) in text.char_indices() {
            let rest = &text[at + char.len_utf8()..];
            match char {
                ' ' => {
                    match position {
                        Position::Value { indent }
                            if !after_space && self.column > BEST_WIDTH && at > 0 && !rest.is_empty() =>
                        {
                            self.break_line(indent);
                            if rest.starts_with(' ') {
                                self.push('\\');
                            }
                        }
                        _ => self.push(' '),
                    }
                    after_space = true;
                    continue;
                }
                char => match scalar::escape(char) {
                    Some(escaped) => self.push_str(&escaped),
                    None => self.push(char),
                },
            }
            after_space = false;
        }
        self.push('"');
    }

    /// A block with its line breaks as they are.
    fn literal(&mut self, text: &str, position: Position) {
        let indent = match position {
            Position::Value { indent } => indent,
            Position::Key => 0,
        };
        self.push('|');
        if text.starts_with([' ', '\n']) {
            self.push_str(&INDENT.to_string());
        }
        if !text.ends_with('\n') {
            self.push('-');
        } else if text == "\n" || text.ends_with("\n\n") {
            self.push('+');
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            if line.is_empty() {
                self.break_line(0);
            } else {
                self.break_line(indent);
                self.push_str(line);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Position {
    Key,
    /// Its further lines are indented so.
    Value {
        indent: usize,
    },
}

/// Keys by letters, with the numbers in them compared as numbers.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else {
        return a.len().cmp(&b.len());
    };
    let (left, right) = (a[at], b[at]);
    match (left.is_alphabetic(), right.is_alphabetic()) {
        (true, true) => return left.cmp(&right),
        (false, false) => {}
        (left_is_letter, _) => {
            let in_number = at > 0 && a[at - 1].is_ascii_digit();
            return if left_is_letter == in_number {
                Ordering::Less
            } else {
                Ordering::Greater
            };
        }
    }
    let significant = (left == '0' || right == '0')
        && a[..at]
            .iter()
            .rev()
            .take_while(|char| char.is_ascii_digit())
            .any(|char| *char != '0');
    let number = |chars: &[char]| {
        let digits = chars[at..].iter().take_while(|char| char.is_ascii_digit());
        digits.fold((u64::from(significant), 0usize), |(value, count), digit| {
            let digit = u64::from(digit.to_digit(10).unwrap_or_default());
            (value.wrapping_mul(10).wrapping_add(digit), count + 1)
        })
    };
    number(&a).cmp(&number(&b)).then(left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn check(value: &Value, expected: Expect) {
        expected.assert_eq(&document(value));
    }

    #[test]
    fn lists_stand_below_their_key() {
        check(
            &json!({"b": {"c": [1, {"y": "x", "f:z": {}}, ["p", "q"], []]}, "a": null}),
            expect![[r#"
                a: null
                b:
                  c:
                  - 1
                  - f:z: {}
                    "y": x
                  - - p
                    - q
                  - []
            "#]],
        );
    }

    #[test]
    fn strings_are_quoted_where_they_would_be_something_else() {
        check(
            &json!([
                "",
                "true",
                "1.5",
                "2026-01-01T00:00:00Z",
                "a: b",
                "- a",
                "#",
                "it's",
                "'q'",
                "a\tb",
                "v1",
                " x",
                "1:30",
                "é"
            ]),
            expect![[r##"
                - ""
                - "true"
                - "1.5"
                - "2026-01-01T00:00:00Z"
                - 'a: b'
                - '- a'
                - '#'
                - it's
                - '''q'''
                - "a\tb"
                - v1
                - ' x'
                - "1:30"
                - é
            "##]],
        );
    }

    #[test]
    fn long_and_multiline_texts() {
        let words = "lorem ipsum dolor sit amet ".repeat(5);
        check(
            &json!({"message": words.trim_end(), "literal": "a\n\n b\n", "bare": "a\nb", "more": "a\n\n"}),
            expect![[r#"
                bare: |-
                  a
                  b
                literal: |
                  a

                   b
                message: lorem ipsum dolor sit amet lorem ipsum dolor sit amet lorem ipsum dolor sit
                  amet lorem ipsum dolor sit amet lorem ipsum dolor sit amet
                more: |+
                  a

            "#]],
        );
    }

    #[test]
    fn keys_are_in_natural_order() {
        check(
            &json!({"a10": 1, "a2": 2, "B": 3, "a": 4, "a-1": 5}),
            expect![[r#"
            B: 3
            a: 4
            a-1: 5
            a2: 2
            a10: 1
        "#]],
        );
    }
}
