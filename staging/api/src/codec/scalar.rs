//! Scalars whose JSON form is a text of their own: quantities, times, durations, base64.

use super::text;
use crate::wire::{DecodeError, Reader};
use apimachinery::duration::Duration;
use apimachinery::quantity::Quantity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

/// The message around one scalar: its field 1 as bytes.
pub fn inner_bytes(message: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(message);
    let mut found: &[u8] = &[];
    while let Some((number, value)) = reader.field()? {
        if number == 1 {
            found = value.bytes()?;
        }
    }
    Ok(found)
}

/// The varint fields 1 and 2 of a message (a time, a duration).
pub fn inner_varints(message: &[u8]) -> Result<(i64, i64), DecodeError> {
    let mut reader = Reader::new(message);
    let mut found = (0, 0);
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => found.0 = value.varint()? as i64,
            2 => found.1 = value.varint()? as i64,
            _ => {}
        }
    }
    Ok(found)
}

/// Writes a stored quantity's canonical form, without quotes.
pub fn quantity(stored: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    if is_canonical(stored) {
        out.extend_from_slice(stored);
        return Ok(());
    }
    let parsed = std::str::from_utf8(stored)
        .ok()
        .and_then(|text| Quantity::parse(text).ok());
    out.extend_from_slice(parsed.ok_or(DecodeError::Quantity)?.to_string().as_bytes());
    Ok(())
}

/// Recognizes the usual canonical forms (`0`, `250m`, `64Mi`) without arithmetic on decimals.
fn is_canonical(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 15 || (text[0] == b'0' && text.len() > 1) {
        return false;
    }
    let value = text[..digits]
        .iter()
        .fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    match &text[digits..] {
        b"" | b"m" | b"k" | b"M" | b"G" | b"T" | b"P" => value % 1000 != 0 || text == b"0",
        // Below 1024 Ei all binary units are exact.
        b"Ki" | b"Mi" | b"Gi" | b"Ti" => value % 1024 != 0 && value < 1 << 20,
        _ => false,
    }
}

/// Parses a quantity as JSON writes it and gives its canonical form; the error is upstream's.
pub fn parse_quantity(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    if is_canonical(trimmed.as_bytes()) {
        return Ok(trimmed.to_owned());
    }
    match Quantity::parse(trimmed) {
        Ok(quantity) => Ok(quantity.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes `2006-01-02T15:04:05Z`, with microseconds if `micro` gives them.
pub fn time(seconds: i64, micro: Option<i64>, out: &mut Vec<u8>) {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    if year < 0 {
        out.push(b'-');
    }
    digits(year.unsigned_abs(), 4, out);
    for (mark, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', rest / 3600),
        (b':', rest / 60 % 60),
        (b':', rest % 60),
    ] {
        out.push(mark);
        digits(value.unsigned_abs(), 2, out);
    }
    if let Some(micro) = micro {
        out.push(b'.');
        digits(micro.unsigned_abs(), 6, out);
    }
    out.push(b'Z');
}

/// Year, month and day of a day counted from 1970-01-01 (proleptic Gregorian, by 400-year eras from March).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn digits(value: u64, width: u32, out: &mut Vec<u8>) {
    if width == 4 && value > 9999 {
        text::integer(value as i64, out);
        return;
    }
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10u64.pow(place) % 10) as u8);
    }
}

/// Parses RFC 3339 into seconds and nanoseconds since the epoch.
pub fn parse_time(text: &str, micro: bool) -> Result<(i64, i32), String> {
    let layout = if micro {
        "2006-01-02T15:04:05.000000Z07:00"
    } else {
        "2006-01-02T15:04:05Z07:00"
    };
    let refuse = || time_error(text, layout, micro);
    if !is_rfc3339(text.as_bytes(), micro) {
        return Err(refuse());
    }
    let time: Timestamp = text.parse().map_err(|_| refuse())?;
    let nanoseconds = time.subsec_nanosecond();
    Ok((
        time.as_second() - i64::from(nanoseconds < 0),
        nanoseconds.rem_euclid(1_000_000_000),
    ))
}

/// Why a text is no time of a layout, in the words of upstream's parser: it takes the layout part by part.
fn time_error(text: &str, layout: &str, micro: bool) -> String {
    const PARTS: [(&str, u32, &str); 11] = [
        ("2006", 9999, "year"),
        ("-", 0, ""),
        ("01", 12, "month"),
        ("-", 0, ""),
        ("02", 31, "day"),
        ("T", 0, ""),
        ("15", 23, "hour"),
        (":", 0, ""),
        ("04", 59, "minute"),
        (":", 0, ""),
        ("05", 59, "second"),
    ];
    let unfit = |rest: &str, part: &str| {
        format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}")
    };
    let out_of_range = |what: &str| format!("parsing time {text:?}: {what} out of range");
    let mut rest = text;
    for (part, most, what) in PARTS {
        let Some((own, after)) = rest.split_at_checked(part.len()) else {
            return unfit(rest, part);
        };
        if most == 0 && own != part {
            return unfit(rest, part);
        }
        if most > 0 {
            let value = Some(own).filter(|own| own.bytes().all(|byte| byte.is_ascii_digit()));
            let Some(value) = value.and_then(|own| own.parse::<u32>().ok()) else {
                return unfit(rest, part);
            };
            if value > most || (value == 0 && what == "month") {
                return out_of_range(what);
            }
        }
        rest = after;
    }
    let fraction = match rest.strip_prefix('.') {
        Some(digits) => 1 + digits.bytes().take_while(u8::is_ascii_digit).count(),
        None => 0,
    };
    if micro && fraction < 7 {
        return unfit(rest, ".000000");
    }
    rest = &rest[if micro {
        7
    } else if fraction > 1 {
        fraction
    } else {
        0
    }..];
    let zone = match rest.as_bytes() {
        [b'Z', ..] => 1,
        [
            b'+' | b'-',
            b'0'..=b'9',
            b'0'..=b'9',
            b':',
            b'0'..=b'9',
            b'0'..=b'9',
            ..,
        ] => 6,
        _ => return unfit(rest, "Z07:00"),
    };
    match &rest[zone..] {
        "" => out_of_range("day"),
        extra => format!("parsing time {text:?}: extra text: {extra:?}"),
    }
}

/// Whether the text has the one shape that upstream's layout accepts; jiff's parser takes more.
fn is_rfc3339(text: &[u8], micro: bool) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let matches = |text: &[u8], shape: &[u8]| {
        let same = |(t, s): (&u8, &u8)| if *s == b'0' { t.is_ascii_digit() } else { t == s };
        text.len() == shape.len() && text.iter().zip(shape).all(same)
    };
    let Some((date, rest)) = text.split_at_checked(SHAPE.len()) else {
        return false;
    };
    let fraction = match rest.first() {
        Some(b'.') => 1 + rest[1..].iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    let (fraction, zone) = rest.split_at(fraction);
    let fraction_fits = if micro {
        fraction.len() == 7
    } else {
        fraction.len() != 1
    };
    let zone_fits = zone == b"Z" || matches(zone, b"+00:00") || matches(zone, b"-00:00");
    matches(date, SHAPE) && fraction_fits && zone_fits
}

pub fn duration(nanoseconds: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(Duration::from_nanos(nanoseconds).to_string().as_bytes());
}

pub fn parse_duration(text: &str) -> Result<i64, String> {
    Duration::parse(text)
        .map(|d| d.as_nanos())
        .map_err(|error| error.to_string())
}

/// Appends base64 with padding.
pub fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .unwrap_or_default();
    out.truncate(start + written);
}

/// Reads base64; line breaks inside are ignored, as upstream does.
pub fn parse_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    let decoded = if text.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        STANDARD.decode(
            text.iter()
                .copied()
                .filter(|b| !matches!(b, b'\r' | b'\n'))
                .collect::<Vec<u8>>(),
        )
    } else {
        STANDARD.decode(text)
    };
    decoded.map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            // Upstream tells where the group of four begins that is not complete.
            _ if !text.contains(&b'=') => text.len() - text.len() % 4,
            _ => text.len(),
        };
        format!("illegal base64 data at input byte {at}")
    })
}
