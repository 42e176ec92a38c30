//! Text to tokens.

use crate::issues::Issue;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    End,
    /// Operators and punctuation, `in`, `true`, `false`, `null`.
    Sign(&'static str),
    Int,
    Uint,
    Float,
    String,
    Bytes,
    Ident,
    /// A name in backquotes.
    Escaped,
}

/// A token with its text, and where it stands in code points.
#[derive(Clone, Copy, Debug)]
pub struct Lexeme<'s> {
    pub token: Token,
    pub text: &'s str,
    pub at: u32,
}

const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%",
];
const WORDS: [&str; 4] = ["in", "true", "false", "null"];

/// All tokens, the last one [`Token::End`], and what is none.
pub fn tokens(source: &str) -> (Vec<Lexeme<'_>>, Vec<Issue>) {
    let mut lexer = Lexer {
        rest: source,
        at: 0,
        issues: Vec::new(),
    };
    let mut tokens = Vec::new();
    while let Some(lexeme) = lexer.next() {
        tokens.push(lexeme);
    }
    tokens.push(Lexeme {
        token: Token::End,
        text: "<EOF>",
        at: lexer.at,
    });
    (tokens, lexer.issues)
}

struct Lexer<'s> {
    rest: &'s str,
    at: u32,
    issues: Vec<Issue>,
}

impl<'s> Lexer<'s> {
    fn take(&mut self, bytes: usize) -> (&'s str, u32) {
        let (taken, rest) = self.rest.split_at(bytes);
        let at = self.at;
        self.rest = rest;
        self.at += taken.chars().count() as u32;
        (taken, at)
    }

    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.rest.len()
                - self
                    .rest
                    .trim_start_matches(['\t', ' ', '\r', '\n', '\u{c}'])
                    .len();
            let comment = match self.rest[blanks..].starts_with("//") {
                true => self.rest[blanks..].find('\n').unwrap_or(self.rest.len() - blanks),
                false => 0,
            };
            if blanks + comment == 0 {
                return;
            }
            self.take(blanks + comment);
        }
    }

    fn next(&mut self) -> Option<Lexeme<'s>> {
        loop {
            self.skip_blanks();
            let first = self.rest.chars().next()?;
            if let Some((token, length)) = self.recognize() {
                let (text, at) = self.take(length);
                return Some(Lexeme { token, text, at });
            }
            let length = self.unrecognized(first);
            let (text, at) = self.take(length);
            let shown = text
                .replace('\n', "\\n")
                .replace('\r', "\\r")
                .replace('\t', "\\t");
            self.issues.push(Issue {
                at: Some(at),
                message: format!("Syntax error: token recognition error at: '{shown}'"),
            });
        }
    }

    /// How much a start of something that never became a token takes along.
    fn unrecognized(&self, first: char) -> usize {
        let second = self.rest[first.len_utf8()..].chars().next();
        match first {
            '\'' | '"' => unended(self.rest),
            '&' | '|' | '=' | '`' => 1 + second.map_or(0, char::len_utf8),
            _ => first.len_utf8(),
        }
    }

    fn recognize(&self) -> Option<(Token, usize)> {
        let bytes = self.rest.as_bytes();
        let first = *bytes.first()?;
        if let Some(found) = string(self.rest) {
            return Some(found);
        }
        if first.is_ascii_alphabetic() || first == b'_' {
            let length = run(bytes, 0, |b| b.is_ascii_alphanumeric() || b == b'_');
            let text = &self.rest[..length];
            let word = WORDS.iter().find(|word| **word == text);
            return Some((word.map_or(Token::Ident, |word| Token::Sign(word)), length));
        }
        if first == b'`' {
            let length = run(bytes, 1, |b| b.is_ascii_alphanumeric() || b"_.-/ ".contains(&b));
            return (length > 1 && bytes.get(length) == Some(&b'`')).then_some((Token::Escaped, length + 1));
        }
        if first.is_ascii_digit() || (first == b'.' && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
            return Some(number(bytes));
        }
        let sign = SIGNS.iter().find(|sign| self.rest.starts_with(**sign))?;
        Some((Token::Sign(sign), sign.len()))
    }
}

/// The end of what fulfils `belongs`, from `start`.
fn run(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let more = bytes[start..].iter().take_while(|byte| belongs(**byte)).count();
    start + more
}

fn number(bytes: &[u8]) -> (Token, usize) {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let unsigned = |end: usize| match bytes.get(end) {
        Some(b'u' | b'U') => (Token::Uint, end + 1),
        _ => (Token::Int, end),
    };
    if bytes.starts_with(b"0x") {
        let end = run(bytes, 2, |byte| byte.is_ascii_hexdigit());
        if end > 2 {
            return unsigned(end);
        }
    }
    let mut end = run(bytes, 0, is_digit);
    let mut float = false;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = run(bytes, end + 1, is_digit);
        float = true;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = run(bytes, (end + 1 + sign).min(bytes.len()), is_digit);
        if exponent > end + 1 + sign {
            return (Token::Float, exponent);
        }
    }
    if float { (Token::Float, end) } else { unsigned(end) }
}

/// A string or bytes literal, with its prefixes, that ends.
fn string(text: &str) -> Option<(Token, usize)> {
    let bytes = text.as_bytes();
    let is_bytes = matches!(bytes.first(), Some(b'b' | b'B'));
    let mut start = usize::from(is_bytes);
    let raw = matches!(bytes.get(start), Some(b'r' | b'R'));
    start += usize::from(raw);
    let quote = *bytes.get(start)?;
    if quote != b'"' && quote != b'\'' {
        return None;
    }
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let token = if is_bytes { Token::Bytes } else { Token::String };
    let mut at = start + if triple { 3 } else { 1 };
    loop {
        match *bytes.get(at)? {
            byte if byte == quote && triple && bytes[at..].starts_with(&[quote; 3]) => {
                return Some((token, at + 3));
            }
            byte if byte == quote && !triple => return Some((token, at + 1)),
            b'\n' | b'\r' if !triple => return None,
            b'\\' if !raw => at += escape(&bytes[at..])?,
            _ => at += 1,
        }
    }
}

/// How much of a string that does not end is read before that is known: up to an escape that is none, or to the end
/// of the line.
fn unended(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' | b'\r' => return at,
            b'\\' => match escape(&bytes[at..]) {
                Some(length) => at += length,
                None => {
                    let wrong = text[at + 1..].chars().next().map_or(0, char::len_utf8);
                    return at + 1 + wrong;
                }
            },
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The length of an escape sequence.
fn escape(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize, count: usize, is: fn(&u8) -> bool| {
        let found = bytes.get(from..from + count)?;
        found.iter().all(is).then_some(from + count)
    };
    match bytes.get(1)? {
        b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`' => Some(2),
        b'x' | b'X' => digits(2, 2, u8::is_ascii_hexdigit),
        b'u' => digits(2, 4, u8::is_ascii_hexdigit),
        b'U' => digits(2, 8, u8::is_ascii_hexdigit),
        b'0'..=b'3' => digits(1, 3, |byte| (b'0'..=b'7').contains(byte)),
        _ => None,
    }
}
