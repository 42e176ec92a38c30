//! The grammar of label selectors.

use std::collections::BTreeSet;

use super::{Error, Operator, Requirement, check_key};
use crate::field::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Error(String),
    End,
    ClosedParenthesis,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    GreaterThan,
    Identifier(String),
    In,
    LessThan,
    NotEquals,
    NotIn,
    OpenParenthesis,
}

impl Token {
    /// The text that messages show.
    fn literal(&self) -> &str {
        match self {
            Token::Error(text) | Token::Identifier(text) => text,
            Token::End => "",
            Token::ClosedParenthesis => ")",
            Token::Comma => ",",
            Token::Not => "!",
            Token::DoubleEquals => "==",
            Token::Equals => "=",
            Token::GreaterThan => ">",
            Token::In => "in",
            Token::LessThan => "<",
            Token::NotEquals => "!=",
            Token::NotIn => "notin",
            Token::OpenParenthesis => "(",
        }
    }

    /// Where a value is expected, `in` and `notin` are plain identifiers.
    fn as_value(&self) -> Token {
        match self {
            Token::In | Token::NotIn => Token::Identifier(self.literal().to_owned()),
            other => other.clone(),
        }
    }
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn special(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::ClosedParenthesis,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::GreaterThan,
        "<" => Token::LessThan,
        "!=" => Token::NotEquals,
        "(" => Token::OpenParenthesis,
        _ => return None,
    })
}

/// Splits the text into tokens; the last one is `End`.
fn scan(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // A NUL ends the text, as it does upstream.
        if bytes[at] == 0 {
            break;
        }
        if is_space(bytes[at]) {
            at += 1;
        } else if is_special(bytes[at]) {
            let (token, length) = scan_special(&text[at..]);
            tokens.push(token);
            at += length;
        } else {
            let length = bytes[at..]
                .iter()
                .take_while(|&&b| b != 0 && !is_special(b) && !is_space(b))
                .count();
            tokens.push(match &text[at..at + length] {
                "in" => Token::In,
                "notin" => Token::NotIn,
                word => Token::Identifier(word.to_owned()),
            });
            at += length;
        }
    }
    tokens.push(Token::End);
    tokens
}

/// The longest operator at the start of `text`, which starts with a special symbol.
fn scan_special(text: &str) -> (Token, usize) {
    let run = text.bytes().take_while(|&byte| is_special(byte)).count();
    let mut found = None;
    for length in 1..=run {
        match special(&text[..length]) {
            Some(token) => found = Some((token, length)),
            None if found.is_some() => break,
            None => {}
        }
    }
    found.unwrap_or_else(|| {
        (
            Token::Error(format!("error expected: keyword found '{}'", &text[..run])),
            run,
        )
    })
}

struct Parser<'a> {
    tokens: Vec<Token>,
    position: usize,
    path: &'a Path,
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Requirement>, Error> {
    Parser {
        tokens: scan(text),
        position: 0,
        path,
    }
    .parse()
}

fn syntax(message: String) -> Error {
    Error::Syntax(message)
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.position).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    fn parse(mut self) -> Result<Vec<Requirement>, Error> {
        let mut requirements = Vec::new();
        loop {
            match self.peek().as_value() {
                Token::Identifier(_) | Token::Not => {}
                Token::End => return Ok(requirements),
                other => {
                    let found = other.literal();
                    return Err(syntax(format!(
                        "found '{found}', expected: !, identifier, or 'end of string'"
                    )));
                }
            }
            let requirement = self
                .requirement()
                .map_err(|error| syntax(format!("unable to parse requirement: {error}")))?;
            requirements.push(requirement);
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Comma => {
                    let following = self.peek().as_value();
                    if !matches!(following, Token::Identifier(_) | Token::Not) {
                        let found = following.literal();
                        return Err(syntax(format!("found '{found}', expected: identifier after ','")));
                    }
                }
                other => {
                    let found = other.literal();
                    return Err(syntax(format!(
                        "found '{found}', expected: ',' or 'end of string'"
                    )));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        let negated = *self.peek() == Token::Not;
        if negated {
            self.position += 1;
        }
        let key = match self.next().as_value() {
            Token::Identifier(key) => key,
            other => {
                return Err(syntax(format!(
                    "found '{}', expected: identifier",
                    other.literal()
                )));
            }
        };
        if let Some(error) = check_key(&key, self.path) {
            return Err(Error::Requirement(vec![error]));
        }
        if negated {
            return Requirement::new(&key, Operator::DoesNotExist, Vec::new(), self.path);
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Requirement::new(&key, Operator::Exists, Vec::new(), self.path);
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(&key, operator, values.into_iter().collect(), self.path)
    }

    fn operator(&mut self) -> Result<Operator, Error> {
        Ok(match self.next() {
            Token::In => Operator::In,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::GreaterThan => Operator::GreaterThan,
            Token::LessThan => Operator::LessThan,
            Token::NotIn => Operator::NotIn,
            Token::NotEquals => Operator::NotEquals,
            other => {
                let expected = "in, notin, =, ==, !=, gt, lt";
                return Err(syntax(format!(
                    "found '{}', expected: {expected}",
                    other.literal()
                )));
            }
        })
    }

    /// `(x,y,z)`
    fn values(&mut self) -> Result<BTreeSet<String>, Error> {
        let open = self.next();
        if open != Token::OpenParenthesis {
            return Err(syntax(format!("found '{}' expected: '('", open.literal())));
        }
        let first = self.peek().as_value();
        match first {
            Token::Identifier(_) | Token::Comma => {
                let values = self.identifiers()?;
                if self.next() != Token::ClosedParenthesis {
                    return Err(syntax(format!("found '{}', expected: ')'", first.literal())));
                }
                Ok(values)
            }
            Token::ClosedParenthesis => {
                self.position += 1;
                Ok(BTreeSet::from([String::new()]))
            }
            other => Err(syntax(format!(
                "found '{}', expected: ',', ')' or identifier",
                other.literal()
            ))),
        }
    }

    /// A comma-separated list up to the closing parenthesis; nothing between commas is the empty value.
    fn identifiers(&mut self) -> Result<BTreeSet<String>, Error> {
        let mut values = BTreeSet::new();
        loop {
            match self.next().as_value() {
                Token::Identifier(value) => {
                    values.insert(value);
                    match self.peek().as_value() {
                        Token::Comma => {}
                        Token::ClosedParenthesis => return Ok(values),
                        other => {
                            return Err(syntax(format!(
                                "found '{}', expected: ',' or ')'",
                                other.literal()
                            )));
                        }
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek() {
                        Token::ClosedParenthesis => {
                            values.insert(String::new());
                            return Ok(values);
                        }
                        Token::Comma => {
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                other => {
                    return Err(syntax(format!(
                        "found '{}', expected: ',', or identifier",
                        other.literal()
                    )));
                }
            }
        }
    }

    /// The value after `=`; the end and a comma stand for the empty one.
    fn exact_value(&mut self) -> Result<String, Error> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next().as_value() {
            Token::Identifier(value) => Ok(value),
            other => Err(syntax(format!(
                "found '{}', expected: identifier",
                other.literal()
            ))),
        }
    }
}
