//! Formats of strings.
//!
//! Upstream: `kube-openapi/pkg/validation/strfmt`, govalidator.

use std::net::{Ipv4Addr, Ipv6Addr};

use apimachinery::validation::{is_dns1123_label, is_dns1123_subdomain};
use jiff::Timestamp;
use jiff::civil::Date;

/// Formats of strings that are judged, without dashes.
const OF_STRINGS: [&str; 26] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// Whether a format means something for a type. Others are ignored.
pub fn is_known(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => OF_STRINGS.contains(&plain(format).as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

fn plain(format: &str) -> String {
    format.replace('-', "")
}

/// Whether a text has a format. What has no format for strings has any.
pub fn is_valid(format: &str, text: &str) -> bool {
    match plain(format).as_str() {
        "bsonobjectid" => text.len() == 24 && is_hex(text),
        "byte" => is_base64(text),
        "cidr" => is_cidr(text),
        "creditcard" => is_credit_card(text),
        "date" => text.len() == 10 && text.parse::<Date>().is_ok(),
        "datetime" => is_time(text),
        "duration" => is_duration(text),
        "email" => is_email(text),
        "hexcolor" => is_hex_color(text),
        "hostname" => is_hostname(text),
        "ipv4" => is_ipv4(text),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "k8slongname" => is_dns1123_subdomain(text).is_empty(),
        "k8sshortname" => is_dns1123_label(text).is_empty(),
        "mac" => is_mac(text),
        "rgbcolor" => is_rgb_color(text),
        "ssn" => has_shape(text, "ddd-dd-dddd") || has_shape(text, "ddd dd dddd"),
        "uri" => is_uri(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        _ => true,
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        wanted => byte == wanted,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !text.is_empty() && text.len().is_multiple_of(4) && padding <= 2 && body.bytes().all(is_letter)
}

/// Leading zeros are tolerated, as ever.
fn is_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_octet = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|octet| octet < 256)
    };
    let mapped = text.contains('.') && text.contains(':') && text.parse::<Ipv6Addr>().is_ok();
    mapped || text.parse::<Ipv4Addr>().is_ok() || (parts.len() == 4 && parts.iter().all(is_octet))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = if address.contains(':') { 128 } else { 32 };
    let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = is_ipv4(address) || address.parse::<Ipv6Addr>().is_ok();
    is_address && is_number && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
}

fn is_time(text: &str) -> bool {
    let separator = text
        .as_bytes()
        .get(10)
        .is_some_and(|byte| matches!(byte, b'T' | b't' | b' '));
    separator && (text.parse::<Timestamp>().is_ok() || format!("{text}Z").parse::<Timestamp>().is_ok())
}

/// `1h30m`, `-1.5s`; or a number and a word: `2 days`.
fn is_duration(text: &str) -> bool {
    const SHORT: [&str; 7] = ["ns", "us", "µs", "μs", "ms", "s", "m"];
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        if digits == 0 || rest[..digits].parse::<f64>().is_err() {
            return false;
        }
        rest = rest[digits..].trim_start();
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == ' ')
            .unwrap_or(rest.len());
        let unit = rest[..end].to_lowercase();
        let word = unit.trim_end_matches('s');
        let is_unit = SHORT.contains(&unit.as_str())
            || matches!(
                word,
                "h" | "hr"
                    | "hour"
                    | "min"
                    | "minute"
                    | "sec"
                    | "second"
                    | "d"
                    | "day"
                    | "w"
                    | "wk"
                    | "week"
                    | "nano"
                    | "nanosecond"
                    | "micro"
                    | "microsecond"
                    | "milli"
                    | "millisecond"
                    | "milisecond"
            );
        if !is_unit {
            return false;
        }
        rest = rest[end..].trim_start();
    }
    true
}

/// An address of RFC 5322, perhaps with a name before it.
fn is_email(text: &str) -> bool {
    let address = match text.rsplit_once('<') {
        Some((_, rest)) => match rest.strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let is_atom = |atom: &str| {
        let is_letter = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        !atom.is_empty() && atom.chars().all(is_letter)
    };
    let is_quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (is_quoted || local.split('.').all(is_atom)) && (literal || domain.split('.').all(is_atom))
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

fn is_rgb_color(text: &str) -> bool {
    let inner = text
        .trim_end()
        .strip_prefix("rgb(")
        .and_then(|rest| rest.strip_suffix(')'));
    let is_part = |part: &str| part.trim().parse::<u8>().is_ok();
    inner.is_some_and(|inner| inner.split(',').count() == 3 && inner.split(',').all(is_part))
}

fn is_hostname(text: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || (!c.is_ascii() && !c.is_control());
    let is_label = |label: &str| {
        let is_inner = |c: char| is_letter(c) || c == '-';
        !label.is_empty()
            && label.len() <= 63
            && label.starts_with(is_letter)
            && label.ends_with(is_letter)
            && label.chars().all(is_inner)
    };
    let labels: Vec<&str> = text.split('.').collect();
    let top = labels.last().copied().unwrap_or_default();
    let is_top = labels.len() == 1 || (top.chars().count() >= 2 && top.chars().all(char::is_alphabetic));
    text.len() <= 255 && labels.iter().all(|label| is_label(label)) && is_top
}

fn is_mac(text: &str) -> bool {
    let groups = |separator: char, digits: usize, counts: &[usize]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|part| part.len() == digits && is_hex(part))
    };
    groups(':', 2, &[6, 8, 20]) || groups('-', 2, &[6, 8, 20]) || groups('.', 4, &[3, 4, 10])
}

fn is_uri(text: &str) -> bool {
    let is_clean = !text.is_empty() && !text.contains(|c: char| c.is_ascii_control() || c == ' ');
    let has_scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(is_letter)
            && !rest.is_empty()
    });
    let is_absolute = text.starts_with('/');
    let escapes = text.split('%').skip(1);
    let are_escapes = escapes.into_iter().all(|rest| rest.get(..2).is_some_and(is_hex));
    is_clean && are_escapes && (has_scheme || is_absolute)
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let digits = text.replace('-', "");
    // Dashes may be left out, but stand nowhere else.
    let mut rest = text;
    for length in [8, 4, 4, 4, 12] {
        match rest.get(length..) {
            Some(after) => rest = after.strip_prefix('-').unwrap_or(after),
            None => return false,
        }
    }
    let kind = digits.chars().nth(12);
    let variant = digits.chars().nth(16).map(|c| c.to_ascii_lowercase());
    let is_variant =
        version.is_none_or(|version| version == '3' || matches!(variant, Some('8' | '9' | 'a' | 'b')));
    rest.is_empty()
        && digits.len() == 32
        && is_hex(&digits)
        && version.is_none_or(|version| kind == Some(version))
        && is_variant
}

fn digits_of(text: &str) -> Vec<u32> {
    text.chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map_while(|c| c.to_digit(10))
        .collect()
}

fn is_isbn10(text: &str) -> bool {
    let clean: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let value = |(index, c): (usize, char)| match c {
        'X' if index == 9 => Some(10),
        c => c.to_digit(10),
    };
    let digits: Option<Vec<u32>> = clean.chars().enumerate().map(value).collect();
    digits.is_some_and(|digits| {
        let sum: u32 = digits.iter().zip(1..).map(|(digit, place)| digit * place).sum();
        digits.len() == 10 && sum.is_multiple_of(11)
    })
}

fn is_isbn13(text: &str) -> bool {
    let digits = digits_of(text);
    let sum: u32 = digits
        .iter()
        .zip([1, 3].iter().cycle())
        .map(|(digit, factor)| digit * factor)
        .sum();
    digits.len() == 13 && sum.is_multiple_of(10)
}

fn is_credit_card(text: &str) -> bool {
    let digits = digits_of(text);
    let twice = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let value = |(index, digit): (usize, &u32)| if index % 2 == 1 { twice(*digit) } else { *digit };
    let sum: u32 = digits.iter().rev().enumerate().map(value).sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}
