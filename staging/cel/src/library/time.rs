//! Timestamps and durations.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use super::{overload, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::Value;

macro_rules! part {
    ($name:literal, $duration:expr, $timestamp:expr) => {
        Row {
            name: $name,
            signatures: &[
                "timestamp.() -> int",
                "timestamp.(string) -> int",
                "duration.() -> int",
            ],
            cost: Cost::Fixed(1),
            code: |args| part(args, $duration, $timestamp),
        }
    };
    ($name:literal, $timestamp:expr) => {
        Row {
            name: $name,
            signatures: &["timestamp.() -> int", "timestamp.(string) -> int"],
            cost: Cost::Fixed(1),
            code: |args| part(args, |_| None, $timestamp),
        }
    };
}

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "duration",
        signatures: &[
            "(duration) -> duration",
            "(int) -> duration",
            "(string) -> duration",
        ],
        cost: Cost::Fixed(1),
        code: duration,
    },
    Row {
        name: "timestamp",
        signatures: &[
            "(timestamp) -> timestamp",
            "(int) -> timestamp",
            "(string) -> timestamp",
        ],
        cost: Cost::Fixed(1),
        code: timestamp,
    },
    part!("getFullYear", |at| at.year().into()),
    part!("getMonth", |at| i64::from(at.month()) - 1),
    part!("getDayOfYear", |at| i64::from(at.day_of_year()) - 1),
    part!("getDate", |at| at.day().into()),
    part!("getDayOfMonth", |at| i64::from(at.day()) - 1),
    part!("getDayOfWeek", |at| at.weekday().to_sunday_zero_offset().into()),
    part!("getHours", |nanos| Some(nanos / (3600 * SECOND)), |at| at
        .hour()
        .into()),
    part!("getMinutes", |nanos| Some(nanos / (60 * SECOND)), |at| at
        .minute()
        .into()),
    part!("getSeconds", |nanos| Some(nanos / SECOND), |at| at
        .second()
        .into()),
    part!("getMilliseconds", |nanos| Some(nanos / 1_000_000 % 1000), |at| at
        .millisecond()
        .into()),
];

const SECOND: i64 = 1_000_000_000;

/// Years 1 to 9999.
pub(super) fn in_range(timestamp: Timestamp) -> bool {
    (-62_135_596_800..=253_402_300_799).contains(&timestamp.as_second())
}

/// Like `1h30m`, in nanoseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    apimachinery::duration::Duration::parse(text)
        .ok()
        .map(|duration| duration.as_nanos())
}

/// RFC 3339.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shaped =
        bytes.len() >= 20 && bytes[10] == b'T' && (text.ends_with('Z') || bytes[bytes.len() - 3] == b':');
    let timestamp: Timestamp = shaped.then(|| text.parse().ok()).flatten()?;
    in_range(timestamp).then_some(timestamp)
}

/// A day, as its midnight.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let date: Date = (text.len() == 10).then(|| text.parse().ok()).flatten()?;
    let zoned = date.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

/// Seconds with as many decimals as needed.
pub fn show_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (whole, part) = (nanos / SECOND as u64, nanos % SECOND as u64);
    match part {
        0 => format!("{sign}{whole}s"),
        _ => format!("{sign}{whole}.{}s", format!("{part:09}").trim_end_matches('0')),
    }
}

pub fn show_timestamp(timestamp: Timestamp) -> String {
    timestamp.to_string()
}

fn duration<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Duration(nanos)] | [Value::Int(nanos)] => Ok(Value::Duration(*nanos)),
        [Value::String(text)] => match apimachinery::duration::Duration::parse(text) {
            Ok(duration) => Ok(Value::Duration(duration.as_nanos())),
            Err(error) => wrong(error.to_string()),
        },
        [other] => wrong(format!(
            "type conversion error from '{}' to 'google.protobuf.Duration'",
            other.type_name()
        )),
        _ => overload(),
    }
}

fn timestamp<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let found = match args {
        [Value::Timestamp(timestamp)] => Some(*timestamp),
        [Value::Int(seconds)] => match Timestamp::from_second(*seconds).ok().filter(|at| in_range(*at)) {
            Some(timestamp) => Some(timestamp),
            None => return wrong("timestamp overflow"),
        },
        [Value::String(text)] => match parse_timestamp(text) {
            Some(timestamp) => Some(timestamp),
            None => {
                let text = &**text;
                return wrong(format!(
                    "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
                ));
            }
        },
        [other] => {
            return wrong(format!(
                "type conversion error from '{}' to 'google.protobuf.Timestamp'",
                other.type_name()
            ));
        }
        _ => None,
    };
    found.map_or_else(overload, |timestamp| Ok(Value::Timestamp(timestamp)))
}

fn part<'a>(args: &[Value<'a>], of_duration: fn(i64) -> Option<i64>, of: fn(DateTime) -> i64) -> Outcome<'a> {
    match args {
        [Value::Duration(nanos)] => of_duration(*nanos).map_or_else(overload, |part| Ok(Value::Int(part))),
        [Value::Timestamp(timestamp)] => Ok(Value::Int(of(Offset::UTC.to_datetime(*timestamp)))),
        [Value::Timestamp(timestamp), Value::String(zone)] => match zone_of(zone) {
            Some(zone) => Ok(Value::Int(of(zone.to_datetime(*timestamp)))),
            None => wrong(format!("unknown time zone {}", &**zone)),
        },
        _ => overload(),
    }
}

/// `UTC`, an offset like `-08:00`, or a place that the machine knows.
fn zone_of(text: &str) -> Option<TimeZone> {
    if matches!(text, "" | "UTC") {
        return Some(TimeZone::UTC);
    }
    let Some((hours, minutes)) = text.split_once(':') else {
        return TimeZone::get(text).ok();
    };
    let negative = hours.starts_with('-');
    let hours: i64 = hours.trim_start_matches(['+', '-']).parse().ok()?;
    let minutes: i64 = minutes.parse().ok()?;
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?;
    let seconds = i32::try_from(if negative { -seconds } else { seconds }).ok()?;
    let offset = Offset::from_seconds(seconds).ok()?;
    Some(offset.to_time_zone())
}
