//! Putting encoded members into number order, and the wire forms of zero values.

use crate::types::{Base, Container, Field, Form, Type};

/// Where a member's encoding lies in the parser's buffer.
#[derive(Clone, Copy, Default)]
pub struct Slot {
    pub start: u32,
    pub end: u32,
    pub seen: bool,
}

/// Appends a message's fields to `to`: the encoded members from `from`, zero values where the wire has them.
pub fn assemble(ty: &Type, slots: &[Slot], from: &[u8], to: &mut Vec<u8>) {
    for index in ty.by_number {
        let field = &ty.fields[usize::from(*index)];
        let slot = usize::from(field.slot);
        match (field.name, field.base) {
            ("", Base::Message(inner)) => {
                let start = to.len();
                assemble(inner, &slots[slot..], from, to);
                close(to, start, field.number);
            }
            _ => {
                let Slot { start, end, .. } = slots[slot];
                if end > start {
                    to.extend_from_slice(&from[start as usize..end as usize]);
                } else if writes_zero(field) {
                    put_zero(field.base, field.number, to);
                }
            }
        }
    }
}

/// Whether an absent field is written as zero.
fn writes_zero(field: &Field) -> bool {
    field.container == Container::One && !field.pointer
}

/// The zero value of a type, as a field. Absent bytes are not written.
pub fn put_zero(base: Base, number: u16, out: &mut Vec<u8>) {
    match base {
        Base::Bytes => {}
        Base::Bool | Base::Int32 | Base::Int64 => put_uint(out, number, 0),
        Base::Float64 => put_float(out, number, 0.0),
        Base::Quantity => put_nested(out, number, |out| put_bytes(out, 1, b"0")),
        Base::Duration => put_nested(out, number, |out| put_uint(out, 1, 0)),
        Base::IntOrString => put_nested(out, number, |out| put_int_or_string(out, 0, 0, "")),
        Base::Message(ty) => put_nested(out, number, |out| zero_fields(ty, out)),
        Base::String | Base::Time | Base::MicroTime | Base::FieldsV1 | Base::RawExtension | Base::Json => {
            put_bytes(out, number, &[]);
        }
    }
}

fn zero_fields(ty: &Type, out: &mut Vec<u8>) {
    if ty.form == Form::OrArray || ty.form == Form::OrStringArray {
        return;
    }
    for field in ty.by_number.iter().map(|index| &ty.fields[usize::from(*index)]) {
        if writes_zero(field) {
            put_zero(field.base, field.number, out);
        }
    }
}

pub fn put_int_or_string(out: &mut Vec<u8>, kind: u64, int: i32, string: &str) {
    put_uint(out, 1, kind);
    put_uint(out, 2, i64::from(int) as u64);
    put_bytes(out, 3, string.as_bytes());
}

/// Turns what was appended since `start` into field `number`.
pub fn close(out: &mut Vec<u8>, start: usize, number: u16) {
    let length = out.len() - start;
    put_tag(out, number, 2);
    put_varint(out, length as u64);
    let prefix = out.len() - start - length;
    out[start..].rotate_right(prefix);
}

pub fn put_nested(out: &mut Vec<u8>, number: u16, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    content(out);
    close(out, start, number);
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_tag(out: &mut Vec<u8>, number: u16, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

pub fn put_uint(out: &mut Vec<u8>, number: u16, value: u64) {
    put_tag(out, number, 0);
    put_varint(out, value);
}

pub fn put_float(out: &mut Vec<u8>, number: u16, value: f64) {
    put_tag(out, number, 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

pub fn put_bytes(out: &mut Vec<u8>, number: u16, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
