//! JSON -> protobuf, in one pass.
//!
//! Members come in any order and leave in number order. Each object appends its members' encodings to one buffer
//! and notes where they are; at its end they are copied into place, with zero values where the wire has one for an
//! absent member.

pub mod fields;
mod strict;
mod values;

use super::Error;
use super::lexer::{Lexer, Start};
use crate::types::{Base, Container, Field, Form, Type};
use crate::wire::MAX_DEPTH;
use fields::{Slot, put_bytes, put_tag, put_varint};
use std::borrow::Cow;
use strict::{Path, Segment};

/// A document read as a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The bare protobuf form.
    pub proto: Vec<u8>,
    /// What the document says it is; empty when it does not.
    pub api_version: String,
    pub kind: String,
    /// Unknown and repeated fields, in upstream's words: `unknown field "spec.foo"`.
    pub strict_errors: Vec<String>,
}

/// Reads a JSON document as a type. Unknown fields are reported and dropped; of repeated ones the last counts.
pub fn json_to_proto(ty: &'static Type, json: &[u8]) -> Result<Parsed, Error> {
    if ty.form == Form::Open {
        return crate::custom::read(json);
    }
    let mut parser = Parser {
        lexer: Lexer::new(json),
        out: Vec::with_capacity(json.len()),
        scratch: Vec::with_capacity(json.len()),
        slots: Vec::with_capacity(256),
        path: Path::default(),
        parsed: Parsed::default(),
        depth: 0,
    };
    match parser.lexer.start()? {
        Start::Object => parser.object(ty, None)?,
        Start::Null => parser.lexer.null()?,
        other => return Err(parser.type_error(ty, other.name(), &strict::go_type(ty))),
    }
    parser.lexer.end()?;
    Ok(Parsed {
        proto: parser.out,
        ..parser.parsed
    })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    out: Vec<u8>,
    /// Where objects are put together before they replace their parts in `out`.
    scratch: Vec<u8>,
    slots: Vec<Slot>,
    path: Path<'a>,
    parsed: Parsed,
    depth: u8,
}

impl<'a> Parser<'a> {
    /// An object, as the message's fields alone or as field `number` of the message around it.
    fn object(&mut self, ty: &'static Type, number: Option<u16>) -> Result<(), Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::Json("exceeded max depth".to_owned()));
        }
        self.depth += 1;
        let (start, base) = (self.out.len(), self.slots.len());
        self.slots.resize(base + usize::from(ty.members), Slot::default());
        self.lexer.open();
        let mut first = true;
        let mut expected = 0;
        while let Some(key) = self.lexer.key(first)? {
            first = false;
            match ty.member(&key, &mut expected) {
                Some((slot, field)) => self.member(ty, base + slot, field)?,
                None => self.other_member(ty, key)?,
            }
        }
        let mark = self.scratch.len();
        fields::assemble(ty, &self.slots[base..], &self.out, &mut self.scratch);
        self.slots.truncate(base);
        self.out.truncate(start);
        if let Some(number) = number {
            put_tag(&mut self.out, number, 2);
            put_varint(&mut self.out, (self.scratch.len() - mark) as u64);
        }
        self.out.extend_from_slice(&self.scratch[mark..]);
        self.scratch.truncate(mark);
        self.depth -= 1;
        Ok(())
    }

    /// A member of the type, encoded with its tag (each occurrence, if repeated).
    fn member(&mut self, owner: &'static Type, slot: usize, field: &'static Field) -> Result<(), Error> {
        if self.slots[slot].seen {
            self.strict("duplicate", field.name);
        }
        self.path.push(Segment::Field(field.name));
        let start = self.out.len();
        match (self.lexer.start()?, field.container) {
            (Start::Null, _) => self.lexer.null()?,
            (_, Container::One) => self.value(owner, field, field.number)?,
            (Start::Array, Container::List) => self.list(owner, field, field.number)?,
            (Start::Array, Container::WrappedList) => self.wrapped_list(owner, field, field.number)?,
            (Start::Object, Container::Map | Container::MapOfLists) => self.map(owner, field)?,
            (found, _) => return Err(self.type_error(owner, found.name(), &strict::go_field_type(field))),
        }
        // A field that protobuf does not carry is checked all the same.
        if field.number == 0 {
            self.out.truncate(start);
        }
        self.slots[slot] = Slot {
            start: start as u32,
            end: self.out.len() as u32,
            seen: true,
        };
        self.path.pop();
        Ok(())
    }

    /// A member that is not a field: a kind's own name and version, or unknown.
    fn other_member(&mut self, ty: &'static Type, key: Cow<'a, str>) -> Result<(), Error> {
        let is_kind = ty.kind.is_some() && matches!(key.as_ref(), "kind" | "apiVersion");
        if !is_kind {
            self.strict("unknown", &key);
            self.lexer.raw()?;
            return Ok(());
        }
        let text = match self.lexer.start()? {
            Start::String => self.lexer.string()?.into_owned(),
            Start::Null => {
                self.lexer.null()?;
                String::new()
            }
            found => {
                self.path.push(Segment::Key(key));
                return Err(self.type_error(ty, found.name(), "string"));
            }
        };
        if self.depth == 1 {
            let target = if key == "kind" {
                &mut self.parsed.kind
            } else {
                &mut self.parsed.api_version
            };
            if !target.is_empty() {
                let error = format!("duplicate field {key:?}");
                self.parsed.strict_errors.push(error);
            }
            let target = if key == "kind" {
                &mut self.parsed.kind
            } else {
                &mut self.parsed.api_version
            };
            *target = text;
        }
        Ok(())
    }

    fn list(&mut self, owner: &'static Type, field: &'static Field, number: u16) -> Result<(), Error> {
        self.lexer.open();
        let mut index = 0;
        while self.lexer.item(index == 0)? {
            self.path.push(Segment::Index(index));
            if self.lexer.start()? == Start::Null {
                self.lexer.null()?;
                fields::put_zero(field.base, number, &mut self.out);
            } else {
                self.value(owner, field, number)?;
            }
            self.path.pop();
            index += 1;
        }
        Ok(())
    }

    fn wrapped_list(
        &mut self,
        owner: &'static Type,
        field: &'static Field,
        number: u16,
    ) -> Result<(), Error> {
        let start = self.out.len();
        self.list(owner, field, 1)?;
        fields::close(&mut self.out, start, number);
        Ok(())
    }

    /// A map as its entries, sorted by key; the last one of a key counts.
    fn map(&mut self, owner: &'static Type, field: &'static Field) -> Result<(), Error> {
        let start = self.out.len();
        let mut entries: Vec<(Cow<'a, str>, usize, usize)> = Vec::new();
        let mut first = true;
        self.lexer.open();
        while let Some(key) = self.lexer.key(first)? {
            first = false;
            let at = self.out.len();
            put_bytes(&mut self.out, 1, key.as_bytes());
            self.path.push(Segment::Key(key.clone()));
            self.map_value(owner, field)?;
            self.path.pop();
            fields::close(&mut self.out, at, field.number);
            entries.push((key, at, self.out.len()));
        }
        if entries.is_sorted_by(|a, b| a.0 < b.0) {
            return Ok(());
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mark = self.scratch.len();
        for (index, (key, from, to)) in entries.iter().enumerate() {
            if entries.get(index + 1).is_some_and(|next| next.0 == *key) {
                self.strict("duplicate", key);
            } else {
                self.scratch.extend_from_slice(&self.out[*from..*to]);
            }
        }
        self.out.truncate(start);
        self.out.extend_from_slice(&self.scratch[mark..]);
        self.scratch.truncate(mark);
        Ok(())
    }

    fn map_value(&mut self, owner: &'static Type, field: &'static Field) -> Result<(), Error> {
        match (self.lexer.start()?, field.container) {
            (Start::Null, Container::MapOfLists) => {
                self.lexer.null()?;
                put_bytes(&mut self.out, 2, &[]);
            }
            (Start::Null, _) => {
                self.lexer.null()?;
                fields::put_zero(field.base, 2, &mut self.out);
            }
            (Start::Array, Container::MapOfLists) => self.wrapped_list(owner, field, 2)?,
            (found, Container::MapOfLists) => {
                return Err(self.type_error(owner, found.name(), "[]string"));
            }
            _ => self.value(owner, field, 2)?,
        }
        Ok(())
    }

    /// The types that are a schema or something simpler. Upstream reads them apart from the document around them,
    /// so nothing inside is reported as unknown.
    fn union(&mut self, ty: &'static Type, number: u16) -> Result<(), Error> {
        let (start, reported) = (self.out.len(), self.parsed.strict_errors.len());
        let [a, b] = ty.fields else {
            return Err(Error::Json(format!("{} is not a union", ty.name)));
        };
        match (ty.form, self.lexer.start()?) {
            (Form::OrBool, Start::Bool) => {
                let allows = self.lexer.bool()?;
                fields::put_uint(&mut self.out, a.number, u64::from(allows));
            }
            (Form::OrBool, Start::Object) => {
                fields::put_uint(&mut self.out, a.number, 1);
                self.value(ty, b, b.number)?;
            }
            (Form::OrBool, _) => return Err(Error::Json("boolean or JSON schema expected".to_owned())),
            (_, Start::Object) => self.value(ty, a, a.number)?,
            (_, Start::Array) => self.list(ty, b, b.number)?,
            // Upstream leaves other values alone.
            _ => drop(self.lexer.raw()?),
        }
        self.parsed.strict_errors.truncate(reported);
        fields::close(&mut self.out, start, number);
        Ok(())
    }

    fn message(&mut self, owner: &'static Type, ty: &'static Type, number: u16) -> Result<(), Error> {
        match self.lexer.start()? {
            _ if ty.form != Form::Struct => self.union(ty, number),
            Start::Object => self.object(ty, Some(number)),
            found => Err(self.type_error(owner, found.name(), &strict::go_type(ty))),
        }
    }

    /// One value that is not null, with its tag.
    fn value(&mut self, owner: &'static Type, field: &'static Field, number: u16) -> Result<(), Error> {
        match field.base {
            Base::Message(ty) => self.message(owner, ty, number),
            _ => self.scalar(owner, field, number),
        }
    }
}
