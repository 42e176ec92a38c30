//! JSON tokens, with Go's messages for what is wrong.

use super::Error;
use std::borrow::Cow;

/// Documents may nest this deep, as in Go's decoder.
const MAX_DEPTH: usize = 10_000;

pub struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What a value starts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Start {
    /// As Go's type errors name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Null => "null",
        }
    }
}

impl<'a> Lexer<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next value's first character decides what it is.
    pub fn start(&mut self) -> Result<Start, Error> {
        match self.peek()? {
            b'{' => Ok(Start::Object),
            b'[' => Ok(Start::Array),
            b'"' => Ok(Start::String),
            b'-' | b'0'..=b'9' => Ok(Start::Number),
            b't' | b'f' => Ok(Start::Bool),
            b'n' => Ok(Start::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    /// Steps into an object or list.
    pub fn open(&mut self) {
        self.at += 1;
    }

    /// The next member's name; `None` at the object's end.
    pub fn key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Error> {
        match (self.peek()?, first) {
            (b'}', _) => {
                self.at += 1;
                return Ok(None);
            }
            (_, true) => {}
            (b',', false) => {
                self.at += 1;
                self.peek()?;
            }
            _ => return Err(self.unexpected("after object key:value pair")),
        }
        if self.bytes[self.at] != b'"' {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let key = self.string()?;
        if self.peek()? != b':' {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether the list has a next item.
    pub fn item(&mut self, first: bool) -> Result<bool, Error> {
        match (self.peek()?, first) {
            (b']', _) => {
                self.at += 1;
                Ok(false)
            }
            (_, true) => Ok(true),
            (b',', false) => {
                self.at += 1;
                self.peek()?;
                Ok(true)
            }
            _ => Err(self.unexpected("after array element")),
        }
    }

    /// Checks that nothing follows the document.
    pub fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at < self.bytes.len() {
            Err(self.unexpected("after top-level value"))
        } else {
            Ok(())
        }
    }

    pub fn null(&mut self) -> Result<(), Error> {
        self.literal("null")
    }

    pub fn bool(&mut self) -> Result<bool, Error> {
        let set = self.bytes[self.at] == b't';
        self.literal(if set { "true" } else { "false" })?;
        Ok(set)
    }

    /// A number's text.
    pub fn number(&mut self) -> Result<&'a str, Error> {
        let start = self.at;
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Ok(std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default())
    }

    /// A string's content. Invalid UTF-8 becomes U+FFFD.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(String::from_utf8_lossy(&self.bytes[start..self.at - 1]));
        }
        let mut text = String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned();
        loop {
            match self.bytes.get(self.at) {
                None => return Err(end()),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(byte) if *byte < 0x20 => return Err(self.unexpected("in string literal")),
                Some(_) => {
                    let start = self.at;
                    self.plain();
                    text.push_str(&String::from_utf8_lossy(&self.bytes[start..self.at]));
                }
            }
        }
    }

    /// Any value, checked and left as it is written.
    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        self.peek()?;
        let start = self.at;
        // Which brackets are open; a long document must not use the call stack.
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.start()? {
                Start::Object => {
                    self.open();
                    open.push(b'}');
                    if self.key(true)?.is_some() {
                        self.bound(&open)?;
                        continue;
                    }
                    open.pop();
                }
                Start::Array => {
                    self.open();
                    open.push(b']');
                    if self.item(true)? {
                        self.bound(&open)?;
                        continue;
                    }
                    open.pop();
                }
                Start::String => drop(self.string()?),
                Start::Number => drop(self.number()?),
                Start::Bool => drop(self.bool()?),
                Start::Null => self.null()?,
            }
            // A value ended: go on with what is around it.
            loop {
                let more = match open.last() {
                    None => return Ok(&self.bytes[start..self.at]),
                    Some(b'}') => self.key(false)?.is_some(),
                    Some(_) => self.item(false)?,
                };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    fn bound(&self, open: &[u8]) -> Result<(), Error> {
        if open.len() > MAX_DEPTH {
            Err(Error::Json("exceeded max depth".to_owned()))
        } else {
            Ok(())
        }
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Result<u8, Error> {
        self.space();
        self.bytes.get(self.at).copied().ok_or_else(end)
    }

    /// Runs over characters that stand for themselves.
    fn plain(&mut self) {
        while self
            .bytes
            .get(self.at)
            .is_some_and(|b| *b >= 0x20 && *b != b'"' && *b != b'\\')
        {
            self.at += 1;
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match self.at == start {
            false => Ok(()),
            true if self.at == self.bytes.len() => Err(end()),
            true => Err(self.unexpected("in numeric literal")),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Error> {
        for expected in word.bytes() {
            match self.bytes.get(self.at) {
                Some(found) if *found == expected => self.at += 1,
                None => return Err(end()),
                Some(_) => {
                    let place = format!("in literal {word} (expecting {})", quoted(char::from(expected)));
                    return Err(self.unexpected(&place));
                }
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<char, Error> {
        self.at += 1;
        let byte = *self.bytes.get(self.at).ok_or_else(end)?;
        let simple = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(simple)
    }

    /// `\uXXXX`, or a pair of them; half a pair is U+FFFD.
    fn unicode(&mut self) -> Result<char, Error> {
        self.at += 1;
        let first = self.hex4()?;
        if let Some(single) = char::from_u32(first) {
            return Ok(single);
        }
        let rest = &self.bytes[self.at..];
        if (0xd800..0xdc00).contains(&first) && rest.starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let mut value = 0;
        for _ in 0..4 {
            let byte = *self.bytes.get(self.at).ok_or_else(end)?;
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }

    fn unexpected(&self, place: &str) -> Error {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let found = rest.first().map_or('\0', |byte| char::from(*byte));
        Error::Json(format!("invalid character {} {place}", quoted(found)))
    }
}

fn end() -> Error {
    Error::Json("unexpected end of JSON input".to_owned())
}

/// A character as Go's error messages show it.
fn quoted(character: char) -> String {
    match character {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        '\n' => "'\\n'".to_owned(),
        '\r' => "'\\r'".to_owned(),
        '\t' => "'\\t'".to_owned(),
        c if c.is_control() => format!("'\\x{:02x}'", u32::from(c)),
        c => format!("'{c}'"),
    }
}
