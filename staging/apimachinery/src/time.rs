//! Points in time, in the two texts that the API knows.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time to the second on the wire: `2026-01-02T15:04:05Z`. "Unset" is `Option::None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

/// A time to the microsecond on the wire: `2026-01-02T15:04:05.000000Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroTime(pub Timestamp);

/// A text that is no RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parsing time {text:?} as \"{layout}\": cannot parse {text:?}")]
pub struct ParseError {
    text: String,
    layout: &'static str,
}

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
const RFC3339_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// RFC 3339 with an upper-case `T` and an offset, as strict as upstream's parser.
fn parse(text: &str, layout: &'static str) -> Result<Timestamp, ParseError> {
    let bytes = text.as_bytes();
    let shaped =
        bytes.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':';
    let offset =
        bytes.last() == Some(&b'Z') || bytes.len() >= 25 && matches!(bytes[bytes.len() - 6], b'+' | b'-');
    let parsed = if shaped && offset { text.parse().ok() } else { None };
    parsed.ok_or_else(|| ParseError {
        text: text.to_owned(),
        layout,
    })
}

/// Writes date and time in UTC without fraction and zone.
fn write_seconds(f: &mut fmt::Formatter<'_>, at: Timestamp) -> fmt::Result {
    let t = at.to_zoned(TimeZone::UTC).datetime();
    write!(
        f,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        t.year(),
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    )
}

impl Time {
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse(text, RFC3339).map(Self)
    }

    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// The time with its fraction of a second cut off, as it will read after a round trip.
    pub fn truncated(self) -> Self {
        Self(floor(self.0, 1_000_000_000))
    }

    /// From seconds and nanoseconds since 1970, as in protobuf; `None` out of range.
    pub fn from_unix(seconds: i64, nanos: i32) -> Option<Self> {
        Timestamp::new(seconds, nanos).ok().map(Self)
    }

    /// `self` plus `duration`, at most the last representable time.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.checked_add(duration).unwrap_or(Timestamp::MAX))
    }

    /// How long after `earlier`; zero if before it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }
}

impl MicroTime {
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse(text, RFC3339_MICRO).map(Self)
    }

    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// The time with what is below a microsecond cut off.
    pub fn truncated(self) -> Self {
        Self(floor(self.0, 1_000))
    }

    /// From seconds and nanoseconds since 1970, as in protobuf; `None` out of range.
    pub fn from_unix(seconds: i64, nanos: i32) -> Option<Self> {
        Timestamp::new(seconds, nanos).ok().map(Self)
    }
}

fn floor(at: Timestamp, unit_ns: i128) -> Timestamp {
    let ns = at.as_nanosecond();
    Timestamp::from_nanosecond(ns - ns.rem_euclid(unit_ns)).unwrap_or(at)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_seconds(f, floor(self.0, 1_000_000_000))?;
        f.write_str("Z")
    }
}

impl fmt::Display for MicroTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_seconds(f, floor(self.0, 1_000_000_000))?;
        let micros = self.0.as_nanosecond().rem_euclid(1_000_000_000) / 1_000;
        write!(f, ".{micros:06}Z")
    }
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl From<Timestamp> for MicroTime {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_in_utc() {
        let check = |text: &str, seconds: &str, micros: &str| {
            assert_eq!(Time::parse(text).map(|t| t.to_string()), Ok(seconds.to_owned()));
            assert_eq!(
                MicroTime::parse(text).map(|t| t.to_string()),
                Ok(micros.to_owned())
            );
        };
        check(
            "2026-01-02T15:04:05Z",
            "2026-01-02T15:04:05Z",
            "2026-01-02T15:04:05.000000Z",
        );
        check(
            "2026-01-02T15:04:05.1234567Z",
            "2026-01-02T15:04:05Z",
            "2026-01-02T15:04:05.123456Z",
        );
        check(
            "2026-01-02T15:04:05+02:00",
            "2026-01-02T13:04:05Z",
            "2026-01-02T13:04:05.000000Z",
        );
        check(
            "1969-12-31T23:59:59.5Z",
            "1969-12-31T23:59:59Z",
            "1969-12-31T23:59:59.500000Z",
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-01-02",
            "2026-01-02 15:04:05Z",
            "2026-01-02T15:04:05",
            "2026-13-02T15:04:05Z",
        ] {
            assert!(Time::parse(text).is_err(), "{text:?}");
        }
    }
}
