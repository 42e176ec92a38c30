//! Scalars, and types whose JSON is not an object of fields.

use super::fields::{put_bytes, put_float, put_int_or_string, put_nested, put_uint};
use super::{Parser, strict};
use crate::codec::lexer::Start;
use crate::codec::{Error, scalar};
use crate::types::{Base, Field, Type};
use std::borrow::Cow;

impl<'a> Parser<'a> {
    /// One value that is neither null nor an object of fields, with its tag.
    pub fn scalar(&mut self, owner: &'static Type, field: &'static Field, number: u16) -> Result<(), Error> {
        let start = self.lexer.start()?;
        match (field.base, start) {
            (Base::String, Start::String) => {
                let text = self.lexer.string()?;
                put_bytes(&mut self.out, number, text.as_bytes());
            }
            (Base::Bool, Start::Bool) => {
                let set = self.lexer.bool()?;
                put_uint(&mut self.out, number, u64::from(set));
            }
            (Base::Int32 | Base::Int64, Start::Number) => self.integer(owner, field, number)?,
            (Base::Float64, Start::Number) => {
                let text = self.lexer.number()?;
                let value = text.parse().map_err(|_| self.number_error(owner, field, text))?;
                put_float(&mut self.out, number, value);
            }
            (Base::Bytes, Start::String) => {
                let text = self.lexer.string()?;
                let bytes = scalar::parse_base64(text.as_bytes()).map_err(Error::Json)?;
                put_bytes(&mut self.out, number, &bytes);
            }
            (Base::Quantity, _) => self.quantity(number)?,
            (Base::IntOrString, _) => self.int_or_string(owner, start, number)?,
            (Base::Time | Base::MicroTime, Start::String) => self.time(field.base, number)?,
            (Base::Duration, Start::String) => {
                let text = self.lexer.string()?;
                let nanoseconds = scalar::parse_duration(&text).map_err(Error::Json)?;
                put_nested(&mut self.out, number, |out| put_uint(out, 1, nanoseconds as u64));
            }
            (Base::FieldsV1 | Base::RawExtension | Base::Json, _) => {
                let raw = self.lexer.raw()?;
                put_nested(&mut self.out, number, |out| put_bytes(out, 1, raw));
            }
            (Base::Time | Base::MicroTime | Base::Duration, _) => {
                return Err(self.type_error(owner, start.name(), "string"));
            }
            _ => return Err(self.type_error(owner, start.name(), &strict::go_base(field))),
        }
        Ok(())
    }

    fn integer(&mut self, owner: &'static Type, field: &'static Field, number: u16) -> Result<(), Error> {
        let text = self.lexer.number()?;
        let value = match field.base {
            Base::Int32 => text.parse::<i32>().map(i64::from),
            _ => text.parse::<i64>(),
        };
        let value = value.map_err(|_| self.number_error(owner, field, text))?;
        put_uint(&mut self.out, number, value as u64);
        Ok(())
    }

    fn number_error(&self, owner: &'static Type, field: &'static Field, text: &str) -> Error {
        self.type_error(owner, &format!("number {text}"), &strict::go_base(field))
    }

    /// A quantity may be a bare number.
    fn quantity(&mut self, number: u16) -> Result<(), Error> {
        let text: Cow<'a, str> = match self.lexer.start()? {
            Start::String => self.lexer.string()?,
            _ => String::from_utf8_lossy(self.lexer.raw()?),
        };
        let canonical = scalar::parse_quantity(&text).map_err(Error::Json)?;
        put_nested(&mut self.out, number, |out| {
            put_bytes(out, 1, canonical.as_bytes())
        });
        Ok(())
    }

    fn int_or_string(&mut self, owner: &'static Type, start: Start, number: u16) -> Result<(), Error> {
        match start {
            Start::String => {
                let text = self.lexer.string()?;
                put_nested(&mut self.out, number, |out| put_int_or_string(out, 1, 0, &text));
            }
            Start::Number => {
                let text = self.lexer.number()?;
                let int = text
                    .parse()
                    .map_err(|_| self.type_error(owner, &format!("number {text}"), "int32"))?;
                put_nested(&mut self.out, number, |out| put_int_or_string(out, 0, int, ""));
            }
            _ => return Err(self.type_error(owner, start.name(), "int32")),
        }
        Ok(())
    }

    fn time(&mut self, base: Base, number: u16) -> Result<(), Error> {
        let text = self.lexer.string()?;
        let micro = matches!(base, Base::MicroTime);
        let (seconds, nanoseconds) = scalar::parse_time(&text, micro).map_err(Error::Json)?;
        let kept = if micro { nanoseconds / 1000 * 1000 } else { 0 };
        put_nested(&mut self.out, number, |out| {
            put_uint(out, 1, seconds as u64);
            put_uint(out, 2, kept as u64);
        });
        Ok(())
    }
}
