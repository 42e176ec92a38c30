//! How a struct's fields are written and merged, by their Rust type.

use super::{DecodeError, Reader, Value, Wire, Writer};
use crate::message::Message;
use std::collections::BTreeMap;

/// A Rust type that a protobuf field can have.
pub trait FieldValue {
    fn put(&self, number: u32, w: &mut Writer);

    /// Takes in one occurrence of the field.
    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError>;

    /// Takes in one occurrence of a repeated field.
    fn append(list: &mut Vec<Self>, value: Value<'_>) -> Result<(), DecodeError>
    where
        Self: Sized + Default,
    {
        let mut item = Self::default();
        item.merge_value(value)?;
        list.push(item);
        Ok(())
    }
}

impl<T: Message> FieldValue for T {
    fn put(&self, number: u32, w: &mut Writer) {
        let before = w.len();
        self.encode_fields(w);
        w.close(number, before);
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let mut reader = value.message()?;
        while let Some((number, value)) = reader.field()? {
            self.merge_field(number, value)?;
        }
        Ok(())
    }
}

impl FieldValue for String {
    fn put(&self, number: u32, w: &mut Writer) {
        w.bytes_field(number, self.as_bytes());
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        self.clear();
        self.push_str(&String::from_utf8_lossy(value.bytes()?));
        Ok(())
    }
}

impl FieldValue for Vec<u8> {
    /// Absent and empty are one value here; absent is written.
    fn put(&self, number: u32, w: &mut Writer) {
        if !self.is_empty() {
            w.bytes_field(number, self);
        }
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        self.clear();
        self.extend_from_slice(value.bytes()?);
        Ok(())
    }
}

impl FieldValue for bool {
    fn put(&self, number: u32, w: &mut Writer) {
        w.varint_field(number, u64::from(*self));
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        *self = value.varint()? != 0;
        Ok(())
    }
}

/// Integers are plain varints (negative ones in ten bytes); lists of them are read packed as well.
macro_rules! integer {
    ($type:ty) => {
        impl FieldValue for $type {
            fn put(&self, number: u32, w: &mut Writer) {
                w.varint_field(number, i64::from(*self) as u64);
            }

            fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
                *self = value.varint()? as $type;
                Ok(())
            }

            fn append(list: &mut Vec<Self>, value: Value<'_>) -> Result<(), DecodeError> {
                if let Wire::Varint(value) = value.wire {
                    list.push(value as $type);
                    return Ok(());
                }
                let mut packed = Reader::new(value.bytes()?);
                while !packed.is_empty() {
                    list.push(packed.varint()? as $type);
                }
                Ok(())
            }
        }
    };
}

integer!(i32);
integer!(i64);

impl FieldValue for f64 {
    fn put(&self, number: u32, w: &mut Writer) {
        w.bytes(&self.to_bits().to_le_bytes());
        w.tag(number, 1);
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let Wire::Fixed64(bits) = value.wire else {
            return Err(DecodeError::WireType);
        };
        *self = f64::from_bits(bits);
        Ok(())
    }
}

impl<T: FieldValue + Default> FieldValue for Option<T> {
    fn put(&self, number: u32, w: &mut Writer) {
        if let Some(value) = self {
            value.put(number, w);
        }
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        self.get_or_insert_default().merge_value(value)
    }
}

impl<T: FieldValue + Default> FieldValue for Vec<T> {
    fn put(&self, number: u32, w: &mut Writer) {
        for item in self.iter().rev() {
            item.put(number, w);
        }
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        T::append(self, value)
    }
}

impl<T: FieldValue + Default> FieldValue for BTreeMap<String, T> {
    fn put(&self, number: u32, w: &mut Writer) {
        for (key, value) in self.iter().rev() {
            let before = w.len();
            value.put(2, w);
            key.put(1, w);
            w.close(number, before);
        }
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let (mut key, mut item) = (String::new(), T::default());
        let mut entry = value.message()?;
        while let Some((number, value)) = entry.field()? {
            match number {
                1 => key.merge_value(value)?,
                2 => item.merge_value(value)?,
                _ => {}
            }
        }
        self.insert(key, item);
        Ok(())
    }
}

pub fn put_box<T: Message>(field: &Option<Box<T>>, number: u32, w: &mut Writer) {
    if let Some(value) = field {
        value.as_ref().put(number, w);
    }
}

pub fn merge_box<T: Message + Default>(
    field: &mut Option<Box<T>>,
    value: Value<'_>,
) -> Result<(), DecodeError> {
    field.get_or_insert_default().as_mut().merge_value(value)
}

/// A time that is not a pointer is written even when zero, as an empty message.
pub fn put_time<T: FieldValue>(field: &Option<T>, number: u32, w: &mut Writer) {
    match field {
        Some(time) => time.put(number, w),
        None => w.bytes_field(number, &[]),
    }
}

/// An empty message is the zero time.
pub fn merge_time<T: FieldValue + Default>(
    field: &mut Option<T>,
    value: Value<'_>,
) -> Result<(), DecodeError> {
    *field = None;
    if value.bytes()?.is_empty() {
        Ok(())
    } else {
        field.merge_value(value)
    }
}

/// A named list is a message around its items.
pub fn put_wrapped(field: &[String], number: u32, w: &mut Writer) {
    if !field.is_empty() {
        put_list(field, number, w);
    }
}

fn put_list(field: &[String], number: u32, w: &mut Writer) {
    let before = w.len();
    for item in field.iter().rev() {
        item.put(1, w);
    }
    w.close(number, before);
}

pub fn merge_wrapped(field: &mut Vec<String>, value: Value<'_>) -> Result<(), DecodeError> {
    let mut items = value.message()?;
    while let Some((number, item)) = items.field()? {
        if number == 1 {
            field.merge_value(item)?;
        }
    }
    Ok(())
}

pub fn put_map_of_lists(field: &BTreeMap<String, Vec<String>>, number: u32, w: &mut Writer) {
    for (key, items) in field.iter().rev() {
        let before = w.len();
        put_list(items, 2, w);
        key.put(1, w);
        w.close(number, before);
    }
}

pub fn merge_map_of_lists(
    field: &mut BTreeMap<String, Vec<String>>,
    value: Value<'_>,
) -> Result<(), DecodeError> {
    let (mut key, mut items) = (String::new(), Vec::new());
    let mut entry = value.message()?;
    while let Some((number, value)) = entry.field()? {
        match number {
            1 => key.merge_value(value)?,
            2 => merge_wrapped(&mut items, value)?,
            _ => {}
        }
    }
    field.insert(key, items);
    Ok(())
}
