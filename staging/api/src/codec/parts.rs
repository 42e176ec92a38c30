//! The parts of an encoded message, one by one, as its JSON shows them and without writing that: members, items of
//! lists, values of maps.

use super::to_json::{self, is_left_out, is_struct, map_entries};
use crate::types::{Base, Container, Field, Form as TypeForm, Omit, Type};
use crate::wire::{DecodeError, Reader, Value, Wire};

/// A member of a message, or one item of a repeated member.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub field: &'static Field,
    held: Held<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Held<'a> {
    /// A member that is not on the wire, and that JSON shows all the same.
    Absent,
    Single(Value<'a>),
    Repeated(Occurrences<'a>),
    /// An item of a list, or a value of a map, which may be missing.
    Item(Option<Value<'a>>),
}

/// A repeated member: what of its message lies between the first occurrence and the last.
#[derive(Clone, Copy, Debug)]
struct Occurrences<'a> {
    message: Value<'a>,
    first: u32,
    end: u32,
}

impl<'a> Occurrences<'a> {
    fn reader(self) -> Result<Reader<'a>, DecodeError> {
        let message = self.message.message()?;
        Ok(message.window(self.first as usize, self.end as usize))
    }

    fn bytes(self) -> Option<&'a [u8]> {
        let message = self.message.bytes().ok()?;
        message.get(self.first as usize..self.end as usize)
    }
}

/// What kind of JSON value a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Null,
    Scalar,
    List,
    Map,
    /// Whatever the document says that stands there.
    Document,
}

/// The bytes of an object as the message that they are.
pub fn whole(proto: &[u8]) -> Value<'_> {
    Value {
        wire: Wire::Bytes(proto),
        depth: 0,
    }
}

/// The members that the JSON of a message shows, each at its field's slot. No message: those of a zero one.
pub fn members<'a>(
    ty: &'static Type,
    message: Option<Value<'a>>,
) -> Result<Vec<Option<Part<'a>>>, DecodeError> {
    let mut members = vec![None; usize::from(ty.members)];
    fill(ty, message, &mut members)?;
    Ok(members)
}

fn fill<'a>(
    ty: &'static Type,
    message: Option<Value<'a>>,
    members: &mut [Option<Part<'a>>],
) -> Result<(), DecodeError> {
    if let Some(message) = message {
        scan(ty, message, members)?;
    }
    for field in ty.fields {
        let slot = usize::from(field.slot);
        if let ("", Base::Message(inner)) = (field.name, field.base) {
            let held = members[slot].take().map(|part| part.held);
            let inlined = match held {
                Some(Held::Single(value)) => Some(value),
                _ => None,
            };
            fill(inner, inlined, &mut members[slot..])?;
            continue;
        }
        let shown = match members[slot] {
            Some(part) => part.is_shown()?,
            None => !is_left_out(field),
        };
        members[slot] = match members[slot] {
            _ if !shown => None,
            None => Some(Part {
                field,
                held: Held::Absent,
            }),
            present => present,
        };
    }
    Ok(())
}

/// Notes what is on the wire. An inlined message stands at the slot of its first member.
fn scan<'a>(
    ty: &'static Type,
    message: Value<'a>,
    members: &mut [Option<Part<'a>>],
) -> Result<(), DecodeError> {
    let mut reader = message.message()?;
    let mut expected = 0;
    loop {
        let start = reader.position() as u32;
        let Some((number, value)) = reader.field()? else {
            return Ok(());
        };
        let Some(index) = ty.index_of(number, &mut expected) else {
            continue;
        };
        let field = &ty.fields[index];
        let member = &mut members[usize::from(field.slot)];
        let end = reader.position() as u32;
        let held = match (field.container, &member) {
            (Container::One | Container::WrappedList, _) => Held::Single(value),
            (
                _,
                Some(Part {
                    held: Held::Repeated(before),
                    ..
                }),
            ) => Held::Repeated(Occurrences { end, ..*before }),
            _ => Held::Repeated(Occurrences {
                message,
                first: start,
                end,
            }),
        };
        *member = Some(Part { field, held });
    }
}

impl<'a> Part<'a> {
    /// Whether JSON shows a member that is on the wire.
    fn is_shown(&self) -> Result<bool, DecodeError> {
        let Held::Single(value) = self.held else {
            return Ok(true);
        };
        let field = self.field;
        if field.pointer || field.omit == Omit::Never || field.container != Container::One {
            return Ok(true);
        }
        Ok(is_set(field.base, value)? || (is_struct(field.base) && field.omit != Omit::Zero))
    }

    /// Whether both are surely the same: their bytes are. Equal parts may differ in theirs.
    pub fn is_same(&self, other: &Part<'_>) -> bool {
        let same_value = |a: &Value<'_>, b: &Value<'_>| a.wire == b.wire;
        match (&self.held, &other.held) {
            (Held::Absent, Held::Absent) | (Held::Item(None), Held::Item(None)) => true,
            (Held::Single(a), Held::Single(b)) | (Held::Item(Some(a)), Held::Item(Some(b))) => {
                same_value(a, b)
            }
            (Held::Repeated(a), Held::Repeated(b)) => a.bytes().is_some() && a.bytes() == b.bytes(),
            _ => false,
        }
    }

    /// The part's place as far as its type goes: one item of its field rather than the whole.
    pub fn is_item(&self) -> bool {
        matches!(self.held, Held::Item(_))
    }

    pub fn form(&self) -> Form {
        let nested_list = self.field.container == Container::MapOfLists;
        match (&self.held, self.field.container) {
            (Held::Repeated(_), Container::List) | (Held::Single(_), Container::WrappedList) => Form::List,
            (Held::Repeated(_), _) => Form::Map,
            (Held::Item(Some(_)), _) if nested_list => Form::List,
            (Held::Item(None), _) if nested_list => Form::Null,
            // Bytes that a map's entry leaves out are empty rather than absent.
            (Held::Item(None), _) if matches!(self.field.base, Base::Bytes) => Form::Scalar,
            (Held::Absent, container) if self.field.pointer || container != Container::One => Form::Null,
            (Held::Single(value) | Held::Item(Some(value)), _) => form(self.field.base, Some(*value)),
            (Held::Absent | Held::Item(None), _) => form(self.field.base, None),
        }
    }

    /// The message that the part is; without a value: a zero one.
    pub fn message(&self) -> Option<(&'static Type, Option<Value<'a>>)> {
        match (self.field.base, self.held) {
            (Base::Message(ty), Held::Single(value)) => Some((ty, Some(value))),
            (Base::Message(ty), Held::Item(value)) => Some((ty, value)),
            (Base::Message(ty), Held::Absent) if self.form() == Form::Map => Some((ty, None)),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Result<Vec<Part<'a>>, DecodeError> {
        let item = |value| Part {
            field: self.field,
            held: Held::Item(Some(value)),
        };
        let (mut occurrences, number) = match self.held {
            Held::Repeated(occurrences) => (occurrences.reader()?, u32::from(self.field.number)),
            Held::Single(value) | Held::Item(Some(value)) => (value.message()?, 1),
            Held::Absent | Held::Item(None) => return Ok(Vec::new()),
        };
        let mut items = Vec::new();
        while let Some((found, value)) = occurrences.field()? {
            if found != number {
                continue;
            }
            match (self.field.base, value.wire) {
                // A packed list of integers.
                (Base::Int32 | Base::Int64, Wire::Bytes(packed)) => {
                    let mut packed = Reader::new(packed);
                    while !packed.is_empty() {
                        let wire = Wire::Varint(packed.varint()?);
                        items.push(item(Value { wire, ..value }));
                    }
                }
                _ => items.push(item(value)),
            }
        }
        Ok(items)
    }

    /// The values of a map, sorted by their keys.
    pub fn entries(&self) -> Result<Vec<(&'a [u8], Part<'a>)>, DecodeError> {
        let Held::Repeated(occurrences) = self.held else {
            return Ok(Vec::new());
        };
        let entries = map_entries(self.field, occurrences.reader()?)?;
        let part = |(key, value)| {
            let held = Held::Item(value);
            (
                key,
                Part {
                    field: self.field,
                    held,
                },
            )
        };
        Ok(entries.into_iter().map(part).collect())
    }

    /// What a string says, if the part is one on the wire.
    pub fn text(&self) -> Option<&'a str> {
        let (Held::Single(value) | Held::Item(Some(value))) = self.held else {
            return None;
        };
        match (self.field.base, self.field.container, value.wire) {
            (Base::String, Container::One | Container::List | Container::Map, Wire::Bytes(text)) => {
                std::str::from_utf8(text).ok()
            }
            _ => None,
        }
    }

    /// What an integer is, if the part is one on the wire.
    pub fn integer(&self) -> Option<i64> {
        let (Held::Single(value) | Held::Item(Some(value))) = self.held else {
            return None;
        };
        match (self.field.base, value.wire) {
            (Base::Int32, Wire::Varint(number)) => Some(i64::from(number as i32)),
            (Base::Int64, Wire::Varint(number)) => Some(number as i64),
            _ => None,
        }
    }

    /// Appends the part's JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match self.held {
            Held::Absent => to_json::absent_to_json(self.field, out),
            Held::Single(value) => to_json::single_to_json(self.field, value, out),
            Held::Repeated(occurrences) => to_json::repeated_to_json(self.field, occurrences.reader()?, out),
            Held::Item(value) => to_json::item_to_json(self.field, value, out),
        }
    }
}

fn form(base: Base, value: Option<Value<'_>>) -> Form {
    let is_blank = || value.is_none_or(|value| value.bytes().is_ok_and(<[u8]>::is_empty));
    match base {
        Base::Message(ty) if ty.form == TypeForm::Struct => Form::Map,
        Base::Message(_) | Base::FieldsV1 | Base::RawExtension | Base::Json => Form::Document,
        Base::Time | Base::MicroTime if is_blank() => Form::Null,
        Base::Bytes if value.is_none() => Form::Null,
        _ => Form::Scalar,
    }
}

/// Whether a value is other than zero, as JSON sees it.
fn is_set(base: Base, value: Value<'_>) -> Result<bool, DecodeError> {
    Ok(match base {
        Base::String | Base::Bytes | Base::Time | Base::MicroTime => !value.bytes()?.is_empty(),
        Base::Bool | Base::Int64 => value.varint()? != 0,
        Base::Int32 => value.varint()? as i32 != 0,
        Base::Float64 => !matches!(value.wire, Wire::Fixed64(0)),
        _ => true,
    })
}
