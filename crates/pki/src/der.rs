//! Writing DER: each function gives one encoded element.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// `[n]` of a primitive type, implicitly tagged.
    pub const CONTEXT: u8 = 0x80;
    /// `[n]` of a constructed type, or explicitly tagged.
    pub const CONTEXT_CONSTRUCTED: u8 = 0xa0;
}

pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(significant);
    }
    out.extend_from_slice(content);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag::SEQUENCE, &parts.concat())
}

pub fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag::SET, &parts.concat())
}

/// `[number]` around already encoded content.
pub fn context(number: u8, content: &[u8]) -> Vec<u8> {
    element(tag::CONTEXT_CONSTRUCTED | number, content)
}

/// A non-negative integer, big endian.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    let mut content = Vec::with_capacity(significant.len() + 1);
    if significant.first().is_none_or(|first| first & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(significant);
    element(tag::INTEGER, &content)
}

pub fn boolean(value: bool) -> Vec<u8> {
    element(tag::BOOLEAN, &[if value { 0xff } else { 0 }])
}

pub fn null() -> Vec<u8> {
    element(tag::NULL, &[])
}

pub fn octet_string(content: &[u8]) -> Vec<u8> {
    element(tag::OCTET_STRING, content)
}

/// A bit string of whole bytes.
pub fn bit_string(content: &[u8]) -> Vec<u8> {
    element(tag::BIT_STRING, &[&[0], content].concat())
}

/// A bit string of flags: bit 0 is the first. Trailing zero bits are cut, as DER wants of named bits.
pub fn flags(bits: u16) -> Vec<u8> {
    let reversed = bits.reverse_bits().to_be_bytes();
    let length = if bits == 0 {
        0
    } else {
        (16 - bits.leading_zeros()).div_ceil(8) as usize
    };
    let unused = if length == 0 {
        0
    } else {
        (length as u32 * 8) - (16 - bits.leading_zeros())
    };
    element(tag::BIT_STRING, &[&[unused as u8], &reversed[..length]].concat())
}

pub fn oid(arcs: &[u64]) -> Vec<u8> {
    element(tag::OID, &oid_content(arcs))
}

/// The content octets of an object identifier.
pub fn oid_content(arcs: &[u64]) -> Vec<u8> {
    let mut content = Vec::new();
    let (first, rest) = match arcs {
        [first, second, rest @ ..] => (first * 40 + second, rest),
        _ => (0, &[][..]),
    };
    for arc in std::iter::once(&first).chain(rest) {
        let groups = (64 - arc.leading_zeros()).div_ceil(7).max(1);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            content.push((arc >> (7 * group)) as u8 & 0x7f | more);
        }
    }
    content
}

pub fn utf8(text: &str) -> Vec<u8> {
    element(tag::UTF8_STRING, text.as_bytes())
}

/// A time as certificates state it: two-digit years until 2049.
pub fn time(at: Timestamp) -> Vec<u8> {
    let at = at.to_zoned(TimeZone::UTC);
    if (1950..2050).contains(&at.year()) {
        element(tag::UTC_TIME, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        element(
            tag::GENERALIZED_TIME,
            at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_integers_and_identifiers() {
        assert_eq!(element(4, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(element(4, &[0; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(
            oid(&[1, 2, 840, 113549]),
            [6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]
        );
        assert_eq!(flags(0b101), [3, 2, 5, 0xa0]);
        assert_eq!(flags(0b1_0000_0000), [3, 3, 7, 0, 0x80]);
        assert_eq!(flags(0), [3, 1, 0]);
    }

    #[test]
    fn times_change_their_form_in_2050() {
        assert_eq!(
            time("2026-11-22T01:02:03Z".parse().unwrap()),
            b"\x17\x0d261122010203Z"
        );
        assert_eq!(
            time("2050-01-01T00:00:00Z".parse().unwrap()),
            b"\x18\x0f20500101000000Z"
        );
    }
}
