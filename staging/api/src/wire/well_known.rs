//! Fields whose types `apimachinery` owns, with wire forms of their own.

use super::{DecodeError, FieldValue, Value, Writer};
use apimachinery::duration::Duration;
use apimachinery::int_or_string::IntOrString;
use apimachinery::quantity::Quantity;
use apimachinery::time::{MicroTime, Time};
use jiff::Timestamp;

/// A quantity is its canonical string in a message.
impl FieldValue for Quantity {
    fn put(&self, number: u32, w: &mut Writer) {
        let before = w.len();
        w.bytes_field(1, self.to_string().as_bytes());
        w.close(number, before);
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let mut text = String::new();
        let mut reader = value.message()?;
        while let Some((number, value)) = reader.field()? {
            if number == 1 {
                text.merge_value(value)?;
            }
        }
        *self = if text.is_empty() {
            Self::default()
        } else {
            Self::parse(&text).map_err(|_| DecodeError::Quantity)?
        };
        Ok(())
    }
}

impl FieldValue for IntOrString {
    fn put(&self, number: u32, w: &mut Writer) {
        let (kind, int, string) = match self {
            Self::Int(int) => (0, *int, ""),
            Self::String(string) => (1, 0, string.as_str()),
        };
        let before = w.len();
        w.bytes_field(3, string.as_bytes());
        int.put(2, w);
        w.varint_field(1, kind);
        w.close(number, before);
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let (mut kind, mut int, mut string) = (0, 0i32, String::new());
        let mut reader = value.message()?;
        while let Some((number, value)) = reader.field()? {
            match number {
                1 => kind = value.varint()?,
                2 => int.merge_value(value)?,
                3 => string.merge_value(value)?,
                _ => {}
            }
        }
        *self = if kind == 0 {
            Self::Int(int)
        } else {
            Self::String(string)
        };
        Ok(())
    }
}

fn put_timestamp(time: Timestamp, nanoseconds: i32, number: u32, w: &mut Writer) {
    let before = w.len();
    nanoseconds.put(2, w);
    time_seconds(time).put(1, w);
    w.close(number, before);
}

/// Seconds rounded down, as protobuf has them (jiff rounds towards zero).
fn time_seconds(time: Timestamp) -> i64 {
    time.as_second() - i64::from(time.subsec_nanosecond() < 0)
}

fn merge_timestamp(value: Value<'_>) -> Result<(i64, i32), DecodeError> {
    let (mut seconds, mut nanoseconds) = (0i64, 0i32);
    let mut reader = value.message()?;
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => seconds.merge_value(value)?,
            2 => nanoseconds.merge_value(value)?,
            _ => {}
        }
    }
    Ok((seconds, nanoseconds))
}

/// Seconds only: fractions are dropped in both directions, as JSON does.
impl FieldValue for Time {
    fn put(&self, number: u32, w: &mut Writer) {
        put_timestamp(self.timestamp(), 0, number, w);
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let (seconds, _) = merge_timestamp(value)?;
        *self = Timestamp::from_second(seconds)
            .map_err(|_| DecodeError::Time)?
            .into();
        Ok(())
    }
}

/// Microseconds, rounded down.
impl FieldValue for MicroTime {
    fn put(&self, number: u32, w: &mut Writer) {
        let nanoseconds = self.timestamp().subsec_nanosecond().rem_euclid(1_000_000_000);
        put_timestamp(self.timestamp(), nanoseconds / 1000 * 1000, number, w);
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let (seconds, nanoseconds) = merge_timestamp(value)?;
        let time = Timestamp::new(seconds, nanoseconds / 1000 * 1000).map_err(|_| DecodeError::Time)?;
        *self = time.into();
        Ok(())
    }
}

impl FieldValue for Duration {
    fn put(&self, number: u32, w: &mut Writer) {
        let before = w.len();
        self.as_nanos().put(1, w);
        w.close(number, before);
    }

    fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
        let mut nanoseconds = 0i64;
        let mut reader = value.message()?;
        while let Some((number, value)) = reader.field()? {
            if number == 1 {
                nanoseconds.merge_value(value)?;
            }
        }
        *self = Self::from_nanos(nanoseconds);
        Ok(())
    }
}
