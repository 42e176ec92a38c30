//! Protobuf -> JSON.
//!
//! Protobuf comes in number order and JSON goes out in declaration order. Where both are the same, as for most types,
//! a message is written while it is read. Else it is scanned once to note where its fields are, then written field by
//! field; the notes of all open messages share one stack.

use super::TypeMeta;
use super::{scalar, text};
use crate::types::{Base, Container, Field, Form, Omit, Type};
use crate::wire::{DecodeError, Reader, Value, Wire};

/// Appends the JSON of a bare protobuf message. `meta` is written first, as the top-level kind's.
pub fn proto_to_json(
    meta: Option<TypeMeta<'_>>,
    ty: &'static Type,
    proto: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    if ty.form == Form::Open {
        return crate::custom::write(meta, proto, out);
    }
    let mut printer = Printer::new(out);
    let open = printer.out.len();
    printer.out.push(b'{');
    if let Some(TypeMeta { api_version, kind }) = meta {
        printer.name(open, "kind");
        text::string(kind.as_bytes(), printer.out);
        // Some documents (discovery's) state their kind alone.
        if !api_version.is_empty() {
            printer.name(open, "apiVersion");
            text::string(api_version.as_bytes(), printer.out);
        }
    }
    printer.members(ty, Reader::new(proto), open)?;
    printer.out.push(b'}');
    Ok(())
}

/// Appends the JSON of a member that is not on the wire.
pub(super) fn absent_to_json(field: &Field, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    match field.container {
        Container::One => Printer::new(out).single(field, None).map(drop),
        _ => {
            out.extend_from_slice(b"null");
            Ok(())
        }
    }
}

/// Appends the JSON of a member that is one field on the wire.
pub(super) fn single_to_json(field: &Field, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    match field.container {
        Container::WrappedList => Printer::new(out).wrapped_list(Some(value)),
        _ => Printer::new(out).single(field, Some(value)).map(drop),
    }
}

/// Appends the JSON of a repeated member.
pub(super) fn repeated_to_json(
    field: &Field,
    occurrences: Reader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    match field.container {
        Container::List => Printer::new(out).list(field, occurrences),
        _ => Printer::new(out).map(field, occurrences),
    }
}

/// Appends the JSON of an item of a list, or of a map's value.
pub(super) fn item_to_json(
    field: &Field,
    value: Option<Value<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    Printer::new(out).map_value(field, value)
}

struct Printer<'o> {
    out: &'o mut Vec<u8>,
    notes: Vec<Note>,
    /// No message so far had its fields out of order. After the first that has, none is taken to be in order: what is
    /// written in vain stays bounded.
    is_orderly: bool,
}

/// Where a field's occurrences lie in its message; an absent field's are empty.
#[derive(Clone, Copy, Default)]
struct Note {
    /// Start of the first occurrence.
    first: u32,
    /// Start of the last occurrence.
    last: u32,
    /// End of the last occurrence.
    end: u32,
}

impl Note {
    fn new(first: usize, last: usize, end: usize) -> Self {
        Self {
            first: first as u32,
            last: last as u32,
            end: end as u32,
        }
    }
}

impl<'o> Printer<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        Self {
            out,
            notes: Vec::new(),
            is_orderly: true,
        }
    }

    /// A member's comma and name; `open` is where the object's brace is.
    fn name(&mut self, open: usize, name: &str) {
        if self.out.len() > open + 1 {
            self.out.push(b',');
        }
        // API names need no escaping.
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn object(&mut self, ty: &'static Type, message: Reader<'_>) -> Result<(), DecodeError> {
        if ty.form != Form::Struct {
            return self.union(ty, message);
        }
        let open = self.out.len();
        self.out.push(b'{');
        self.members(ty, message, open)?;
        self.out.push(b'}');
        Ok(())
    }

    /// The members of a message, inlined ones included, without braces.
    fn members(&mut self, ty: &'static Type, message: Reader<'_>, open: usize) -> Result<(), DecodeError> {
        if self.is_orderly && ty.by_number.is_sorted() {
            let start = self.out.len();
            if self.members_as_they_come(ty, message.clone(), open)? {
                return Ok(());
            }
            self.out.truncate(start);
            self.is_orderly = false;
        }
        self.members_by_notes(ty, message, open)
    }

    /// In one pass. `false` when a field comes after one that is declared behind it, or once more.
    fn members_as_they_come(
        &mut self,
        ty: &'static Type,
        mut message: Reader<'_>,
        open: usize,
    ) -> Result<bool, DecodeError> {
        let (mut written, mut expected) = (0, 0);
        let mut start = message.position();
        let mut field = message.field()?;
        while let Some((number, value)) = field {
            let mut end = message.position();
            field = message.field()?;
            let Some(index) = ty.index_of(number, &mut expected) else {
                start = end;
                continue;
            };
            if index < written {
                return Ok(false);
            }
            self.absent(&ty.fields[written..index], open)?;
            let declared = &ty.fields[index];
            if declared.container == Container::One {
                self.present(declared, value, open)?;
            } else {
                // All occurrences of a repeated field are one member.
                let mut last = start;
                while field.is_some_and(|(next, _)| next == number) {
                    last = end;
                    end = message.position();
                    field = message.field()?;
                }
                let note = Note::new(start, last, end);
                self.member(declared, &message, note, open)?;
            }
            written = index + 1;
            start = end;
        }
        self.absent(&ty.fields[written..], open)?;
        Ok(true)
    }

    /// Members that the message does not have, as far as JSON states them all the same.
    fn absent(&mut self, fields: &'static [Field], open: usize) -> Result<(), DecodeError> {
        let nothing = Reader::new(&[]);
        for field in fields {
            match (field.name, field.base) {
                ("", Base::Message(inner)) => self.members(inner, nothing.clone(), open)?,
                _ => self.member(field, &nothing, Note::default(), open)?,
            }
        }
        Ok(())
    }

    /// A member that is not repeated.
    fn present(&mut self, field: &'static Field, value: Value<'_>, open: usize) -> Result<(), DecodeError> {
        if let ("", Base::Message(inner)) = (field.name, field.base) {
            return self.members(inner, value.message()?, open);
        }
        let before = self.out.len();
        self.name(open, field.name);
        let written = self.single(field, Some(value))?;
        if !written && field.omit != Omit::Never {
            self.out.truncate(before);
        }
        Ok(())
    }

    /// In two passes.
    fn members_by_notes(
        &mut self,
        ty: &'static Type,
        message: Reader<'_>,
        open: usize,
    ) -> Result<(), DecodeError> {
        let base = self.notes.len();
        self.scan(ty, message.clone())?;
        for (index, field) in ty.fields.iter().enumerate() {
            let note = self.notes[base + index];
            match (field.name, field.base) {
                ("", Base::Message(inner)) => {
                    let value = last_value(&message, note)?;
                    let nested = value.map_or_else(|| Ok(Reader::new(&[])), Value::message)?;
                    self.members(inner, nested, open)?;
                }
                _ => self.member(field, &message, note, open)?,
            }
        }
        self.notes.truncate(base);
        Ok(())
    }

    /// Notes where each field of a message is.
    fn scan(&mut self, ty: &'static Type, mut message: Reader<'_>) -> Result<(), DecodeError> {
        let base = self.notes.len();
        self.notes.resize(base + ty.fields.len(), Note::default());
        let mut expected = 0;
        loop {
            let start = message.position() as u32;
            let Some((number, _)) = message.field()? else {
                return Ok(());
            };
            let Some(index) = ty.index_of(number, &mut expected) else {
                continue;
            };
            let note = &mut self.notes[base + index];
            if note.end == 0 {
                note.first = start;
            }
            (note.last, note.end) = (start, message.position() as u32);
        }
    }

    fn member(
        &mut self,
        field: &Field,
        message: &Reader<'_>,
        note: Note,
        open: usize,
    ) -> Result<(), DecodeError> {
        if note.end == 0 && is_left_out(field) {
            return Ok(());
        }
        let before = self.out.len();
        self.name(open, field.name);
        let written = match field.container {
            Container::One => self.single(field, last_value(message, note)?)?,
            _ if note.end == 0 => {
                self.out.extend_from_slice(b"null");
                false
            }
            Container::WrappedList => {
                self.wrapped_list(last_value(message, note)?)?;
                true
            }
            Container::List => {
                self.list(field, message.window(note.first as usize, note.end as usize))?;
                true
            }
            Container::Map | Container::MapOfLists => {
                self.map(field, message.window(note.first as usize, note.end as usize))?;
                true
            }
        };
        if !written && field.omit != Omit::Never {
            self.out.truncate(before);
        }
        Ok(())
    }

    /// A field that is not repeated. Whether its value keeps `omitempty` from leaving it out.
    fn single(&mut self, field: &Field, value: Option<Value<'_>>) -> Result<bool, DecodeError> {
        match value {
            Some(value) => {
                let not_empty = self.value(field.base, value)?;
                let zero_struct = field.omit == Omit::Zero;
                Ok(field.pointer || not_empty || (is_struct(field.base) && !zero_struct))
            }
            None if field.pointer => {
                self.out.extend_from_slice(b"null");
                Ok(false)
            }
            None => {
                self.zero(field.base)?;
                Ok(is_struct(field.base) && field.omit != Omit::Zero)
            }
        }
    }

    /// One value. Whether it is other than zero.
    fn value(&mut self, base: Base, value: Value<'_>) -> Result<bool, DecodeError> {
        match base {
            Base::String => {
                let bytes = value.bytes()?;
                text::string(bytes, self.out);
                Ok(!bytes.is_empty())
            }
            Base::Bool => {
                let set = value.varint()? != 0;
                self.out.extend_from_slice(if set { b"true" } else { b"false" });
                Ok(set)
            }
            Base::Int32 => {
                let number = value.varint()? as i32;
                text::integer(i64::from(number), self.out);
                Ok(number != 0)
            }
            Base::Int64 => {
                let number = value.varint()? as i64;
                text::integer(number, self.out);
                Ok(number != 0)
            }
            Base::Float64 => {
                let Wire::Fixed64(bits) = value.wire else {
                    return Err(DecodeError::WireType);
                };
                text::float(f64::from_bits(bits), self.out);
                Ok(bits != 0)
            }
            Base::Bytes => {
                let bytes = value.bytes()?;
                self.out.push(b'"');
                scalar::base64(bytes, self.out);
                self.out.push(b'"');
                Ok(!bytes.is_empty())
            }
            Base::Message(ty) => {
                self.object(ty, value.message()?)?;
                Ok(true)
            }
            base => self.own_form(base, value.bytes()?),
        }
    }

    /// A message whose JSON is a text, a number or a document.
    fn own_form(&mut self, base: Base, message: &[u8]) -> Result<bool, DecodeError> {
        match base {
            Base::Quantity => {
                self.out.push(b'"');
                let stored = scalar::inner_bytes(message)?;
                scalar::quantity(if stored.is_empty() { b"0" } else { stored }, self.out)?;
                self.out.push(b'"');
            }
            Base::Time | Base::MicroTime => {
                let (seconds, nanoseconds) = scalar::inner_varints(message)?;
                if message.is_empty() {
                    self.out.extend_from_slice(b"null");
                    return Ok(false);
                }
                let micro = matches!(base, Base::MicroTime).then_some(nanoseconds / 1000);
                self.out.push(b'"');
                scalar::time(seconds, micro, self.out);
                self.out.push(b'"');
            }
            Base::Duration => {
                self.out.push(b'"');
                scalar::duration(scalar::inner_varints(message)?.0, self.out);
                self.out.push(b'"');
            }
            Base::IntOrString => self.int_or_string(message)?,
            _ => match scalar::inner_bytes(message)? {
                [] => self.out.extend_from_slice(b"null"),
                document => text::raw(document, self.out),
            },
        }
        Ok(true)
    }

    fn int_or_string(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let (mut kind, mut int, mut string): (u64, i32, &[u8]) = (0, 0, &[]);
        let mut reader = Reader::new(message);
        while let Some((number, value)) = reader.field()? {
            match number {
                1 => kind = value.varint()?,
                2 => int = value.varint()? as i32,
                3 => string = value.bytes()?,
                _ => {}
            }
        }
        match kind {
            0 => text::integer(i64::from(int), self.out),
            _ => text::string(string, self.out),
        }
        Ok(())
    }

    /// The value of an absent field that is not a pointer.
    fn zero(&mut self, base: Base) -> Result<(), DecodeError> {
        match base {
            Base::String => self.out.extend_from_slice(b"\"\""),
            Base::Bool => self.out.extend_from_slice(b"false"),
            Base::Int32 | Base::Int64 | Base::Float64 => self.out.push(b'0'),
            Base::Bytes => self.out.extend_from_slice(b"null"),
            Base::Message(ty) => self.object(ty, Reader::new(&[]))?,
            base => _ = self.own_form(base, &[])?,
        }
        Ok(())
    }

    fn list(&mut self, field: &Field, mut items: Reader<'_>) -> Result<(), DecodeError> {
        self.out.push(b'[');
        let open = self.out.len();
        while let Some((number, value)) = items.field()? {
            if number != u32::from(field.number) {
                continue;
            }
            match (field.base, value.wire) {
                // A packed list of integers.
                (Base::Int32 | Base::Int64, Wire::Bytes(packed)) => {
                    let mut packed = Reader::new(packed);
                    while !packed.is_empty() {
                        let wire = Wire::Varint(packed.varint()?);
                        self.comma(open);
                        self.value(field.base, Value { wire, ..value })?;
                    }
                }
                _ => {
                    self.comma(open);
                    self.value(field.base, value)?;
                }
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn comma(&mut self, open: usize) {
        if self.out.len() > open {
            self.out.push(b',');
        }
    }

    fn wrapped_list(&mut self, value: Option<Value<'_>>) -> Result<(), DecodeError> {
        self.out.push(b'[');
        let open = self.out.len();
        if let Some(value) = value {
            let mut items = value.message()?;
            while let Some((number, item)) = items.field()? {
                if number == 1 {
                    self.comma(open);
                    text::string(item.bytes()?, self.out);
                }
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn map(&mut self, field: &Field, occurrences: Reader<'_>) -> Result<(), DecodeError> {
        let entries = map_entries(field, occurrences)?;
        self.out.push(b'{');
        let open = self.out.len();
        for (key, value) in entries {
            self.comma(open);
            text::string(key, self.out);
            self.out.push(b':');
            self.map_value(field, value)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn map_value(&mut self, field: &Field, value: Option<Value<'_>>) -> Result<(), DecodeError> {
        match (field.container, value) {
            (Container::MapOfLists, None) => self.out.extend_from_slice(b"null"),
            (Container::MapOfLists, value) => self.wrapped_list(value)?,
            (_, Some(value)) => _ = self.value(field.base, value)?,
            // Absent bytes read as empty here, not as null.
            (_, None) if matches!(field.base, Base::Bytes) => self.out.extend_from_slice(b"\"\""),
            (_, None) => self.zero(field.base)?,
        }
        Ok(())
    }

    /// The types that print as one of two forms: a schema, or something simpler.
    fn union(&mut self, ty: &'static Type, message: Reader<'_>) -> Result<(), DecodeError> {
        let base = self.notes.len();
        self.scan(ty, message.clone())?;
        let (first, second) = (self.notes[base], self.notes[base + 1]);
        self.notes.truncate(base);
        let [a, b] = ty.fields else {
            return Err(DecodeError::Tag);
        };
        let (schema_field, schema, other) = if ty.form == Form::OrBool {
            (b, second, first)
        } else {
            (a, first, second)
        };
        match ty.form {
            // Lists win over the schema where upstream's marshaller asks for them first.
            Form::OrArray | Form::OrStringArray if other.end != 0 => {
                self.list(b, message.window(other.first as usize, other.end as usize))
            }
            _ => match last_value(&message, schema)? {
                Some(value) => self.value(schema_field.base, value).map(drop),
                None if ty.form == Form::OrBool => {
                    let allows = last_value(&message, other)?.map_or(Ok(0), Value::varint)? != 0;
                    self.out
                        .extend_from_slice(if allows { b"true" } else { b"false" });
                    Ok(())
                }
                None => {
                    self.out.extend_from_slice(b"null");
                    Ok(())
                }
            },
        }
    }
}

/// A key of a map, and its value unless that is left out.
pub(super) type Entry<'a> = (&'a [u8], Option<Value<'a>>);

/// The entries of a map by their keys. Stored maps are sorted already; other writers' may not be, and their last entry
/// of a key counts.
pub(super) fn map_entries<'a>(
    field: &Field,
    mut occurrences: Reader<'a>,
) -> Result<Vec<Entry<'a>>, DecodeError> {
    let mut entries = Vec::new();
    while let Some((number, value)) = occurrences.field()? {
        if number == u32::from(field.number) {
            entries.push(map_entry(value)?);
        }
    }
    if !entries.is_sorted_by(|a, b| a.0 < b.0) {
        entries.sort_by(|a, b| a.0.cmp(b.0));
        entries.reverse();
        entries.dedup_by(|a, b| a.0 == b.0);
        entries.reverse();
    }
    Ok(entries)
}

fn map_entry<'a>(value: Value<'a>) -> Result<Entry<'a>, DecodeError> {
    let (mut key, mut item): (&[u8], _) = (&[], None);
    let mut entry = value.message()?;
    while let Some((number, value)) = entry.field()? {
        match number {
            1 => key = value.bytes()?,
            2 => item = Some(value),
            _ => {}
        }
    }
    Ok((key, item))
}

fn last_value<'a>(message: &Reader<'a>, note: Note) -> Result<Option<Value<'a>>, DecodeError> {
    if note.end == 0 {
        return Ok(None);
    }
    Ok(message
        .window(note.last as usize, note.end as usize)
        .field()?
        .map(|(_, value)| value))
}

/// Whether an absent field leaves no trace.
pub(super) fn is_left_out(field: &Field) -> bool {
    let shows_zero = field.container == Container::One
        && !field.pointer
        && is_struct(field.base)
        && field.omit != Omit::Zero;
    field.omit != Omit::Never && !shows_zero
}

/// Types that are structs in Go: `omitempty` never leaves them out.
pub(super) fn is_struct(base: Base) -> bool {
    !matches!(
        base,
        Base::String | Base::Bool | Base::Int32 | Base::Int64 | Base::Float64 | Base::Bytes
    )
}
