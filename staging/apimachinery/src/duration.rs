//! Spans of time in the text of Go: `1h30m0s`, `1.5s`, `-2ms`.

use std::fmt;

/// A signed span in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit { unit: String, text: String },
}

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Duration {
    pub const ZERO: Self = Self(0);

    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub fn as_nanos(self) -> i64 {
        self.0
    }

    pub fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// The span for clocks and timers; a negative one is zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let invalid = || ParseError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let number = rest.len()
                - rest
                    .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                    .len();
            let (amount, tail) = rest.split_at(number);
            let unit_len = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_len);
            let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
            if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
                return Err(invalid());
            }
            if unit.is_empty() {
                return Err(ParseError::MissingUnit(text.to_owned()));
            }
            let scale = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, scale)| *scale);
            let scale = scale.ok_or_else(|| ParseError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            })?;
            total += scaled(whole, fraction, scale).ok_or_else(invalid)?;
            rest = tail;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(Self).map_err(|_| invalid())
    }
}

/// `whole.fraction` times `scale`, cut to whole nanoseconds.
fn scaled(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let parse = |digits: &str| {
        if digits.is_empty() {
            Some(0)
        } else {
            digits.parse::<i128>().ok()
        }
    };
    // Below 10^-18 of an hour nothing is left of a nanosecond.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = parse(fraction)?.checked_mul(scale)? / 10_i128.pow(fraction.len() as u32);
    parse(whole)?
        .checked_mul(scale)?
        .checked_add(part)
        .filter(|ns| *ns <= 1 << 63)
}

impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.unsigned_abs();
        if ns == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match ns {
            0..1_000 => write!(f, "{ns}ns"),
            1_000..1_000_000 => decimal(f, ns, 1_000, "µs"),
            1_000_000..1_000_000_000 => decimal(f, ns, 1_000_000, "ms"),
            _ => {
                let minutes = ns / 60_000_000_000;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                decimal(f, ns % 60_000_000_000, 1_000_000_000, "s")
            }
        }
    }
}

/// `ns / unit` with as many decimals as it takes.
fn decimal(f: &mut fmt::Formatter<'_>, ns: u64, unit: u64, name: &str) -> fmt::Result {
    write!(f, "{}", ns / unit)?;
    if !ns.is_multiple_of(unit) {
        let width = unit.ilog10() as usize;
        let digits = format!("{:0width$}", ns % unit);
        write!(f, ".{}", digits.trim_end_matches('0'))?;
    }
    f.write_str(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_go_prints_them() {
        let check = |text: &str, printed: &str| {
            assert_eq!(
                Duration::parse(text).map(|d| d.to_string()),
                Ok(printed.to_owned()),
                "{text}"
            );
        };
        check("0", "0s");
        check("90s", "1m30s");
        check("1h", "1h0m0s");
        check("1.5h", "1h30m0s");
        check("100ms", "100ms");
        check("1.0005s", "1.0005s");
        check("-1500us", "-1.5ms");
        check("12ns", "12ns");
        check("1h2m3.004s", "1h2m3.004s");
        check(".5s", "500ms");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        assert_eq!(
            Duration::parse("").map_err(|e| e.to_string()),
            Err(r#"time: invalid duration """#.into())
        );
        assert_eq!(
            Duration::parse("3").map_err(|e| e.to_string()),
            Err(r#"time: missing unit in duration "3""#.into())
        );
        assert_eq!(
            Duration::parse("3d").map_err(|e| e.to_string()),
            Err(r#"time: unknown unit "d" in duration "3d""#.into())
        );
        for text in ["s", "1..2s", "-", "+", "99999999999h", "."] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }
}
