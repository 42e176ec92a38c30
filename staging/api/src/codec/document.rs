//! JSON without a type, as a tree: patches and configurations.

use super::Error;
use super::lexer::{Lexer, Start};
use serde_json::{Map, Number, Value};

/// Trees may nest this deep: they are walked by recursion.
const MAX_DEPTH: usize = 200;
/// Reports are bounded: a request cannot make the answer grow with it.
const MAX_REPORTS: usize = 100;

/// A document, and which of its members are repeated: `duplicate field "spec.foo"`. The last one counts.
pub fn parse(json: &[u8]) -> Result<(Value, Vec<String>), Error> {
    let mut parser = Parser {
        lexer: Lexer::new(json),
        path: String::new(),
        repeated: Vec::new(),
        depth: 0,
    };
    let value = parser.value()?;
    parser.lexer.end()?;
    Ok((value, parser.repeated))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    path: String,
    repeated: Vec<String>,
    depth: usize,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Value, Error> {
        match self.lexer.start()? {
            Start::Object => self.nested(Self::object),
            Start::Array => self.nested(Self::array),
            Start::String => Ok(Value::String(self.lexer.string()?.into_owned())),
            Start::Number => Ok(number(self.lexer.number()?)),
            Start::Bool => Ok(Value::Bool(self.lexer.bool()?)),
            Start::Null => self.lexer.null().map(|()| Value::Null),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Error>) -> Result<Value, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::Json("exceeded max depth".to_owned()));
        }
        self.depth += 1;
        self.lexer.open();
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, Error> {
        let mut members = Map::new();
        let mut first = true;
        while let Some(name) = self.lexer.key(first)? {
            first = false;
            let before = self.path.len();
            if before > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name);
            let value = self.value()?;
            if members.insert(name.into_owned(), value).is_some() && self.repeated.len() < MAX_REPORTS {
                self.repeated.push(format!("duplicate field \"{}\"", self.path));
            }
            self.path.truncate(before);
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self) -> Result<Value, Error> {
        let mut items = Vec::new();
        while self.lexer.item(items.is_empty())? {
            let before = self.path.len();
            self.path.push_str(&format!("[{}]", items.len()));
            items.push(self.value()?);
            self.path.truncate(before);
        }
        Ok(Value::Array(items))
    }
}

/// An integer if it fits one, else a float.
fn number(text: &str) -> Value {
    let integer = text
        .parse::<i64>()
        .map(Number::from)
        .or_else(|_| text.parse::<u64>().map(Number::from));
    let float = || text.parse::<f64>().ok().and_then(Number::from_f64);
    integer.ok().or_else(float).map_or(Value::Null, Value::Number)
}
