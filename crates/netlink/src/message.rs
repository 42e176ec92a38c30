//! Framing: a 16-byte header, a fixed part, then attributes of type, length and value, aligned to four bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const HEADER: usize = 16;

pub const REQUEST: u16 = 0x1;
pub const ACK: u16 = 0x4;
/// Every object of the kind, rather than one.
pub const DUMP: u16 = 0x300;
pub const REPLACE: u16 = 0x100;
pub const EXCLUSIVE: u16 = 0x200;
pub const CREATE: u16 = 0x400;
pub const APPEND: u16 = 0x800;

const NESTED: u16 = 0x8000;
/// The type without the bits that say "nested" and "network byte order".
const TYPE_MASK: u16 = 0x3fff;

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// `fixed` is the structure that follows the header in messages of this kind.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut body = fixed.to_vec();
        pad(&mut body);
        Self {
            kind,
            flags: flags | REQUEST,
            body,
        }
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        push_attribute(&mut self.body, kind, value);
        self
    }

    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    pub fn ip(self, kind: u16, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => self.attribute(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attribute(kind, &ip.octets()),
        }
    }

    /// A zero-terminated string.
    pub fn string(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// An attribute made of attributes.
    pub fn nested(mut self, kind: u16, content: Nested) -> Self {
        push_attribute(&mut self.body, kind | NESTED, &content.body);
        self
    }

    /// The bytes to send.
    pub(crate) fn frame(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.body.len());
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&self.kind.to_ne_bytes());
        bytes.extend_from_slice(&self.flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The content of a nested attribute.
#[derive(Clone, Debug, Default)]
pub struct Nested {
    body: Vec<u8>,
}

impl Nested {
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        push_attribute(&mut self.body, kind, value);
        self
    }

    pub fn nested(mut self, kind: u16, content: Nested) -> Self {
        push_attribute(&mut self.body, kind | NESTED, &content.body);
        self
    }
}

fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Attributes are far shorter than 64 KB: names, addresses, numbers.
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A received message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub body: &'a [u8],
}

/// The messages in a received datagram; ends at the first that isn't whole.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
        let body = datagram.get(HEADER..length)?;
        let message = Message {
            kind: u16_at(datagram, 4)?,
            flags: u16_at(datagram, 6)?,
            sequence: u32_at(datagram, 8)?,
            body,
        };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in `bytes` as type and value; ends at the first that isn't whole.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of a type.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(k, _)| *k == kind)
        .map(|(_, value)| value)
}

pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(
        bytes.get(offset..offset + 2)?.try_into().ok()?,
    ))
}

pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        bytes.get(offset..offset + 4)?.try_into().ok()?,
    ))
}

pub fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(value)
        .ok()
        .map(|octets| Ipv6Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back() {
        let ip4: IpAddr = "10.1.2.3".parse().unwrap();
        let request = Request::new(24, ACK, &[1, 2, 3])
            .ip(5, ip4)
            .string(3, "eth0")
            .nested(18, Nested::default().attribute(1, b"abc").attribute(2, &[9]));
        let frame = request.frame(7);
        let message = messages(&frame).next().unwrap();
        assert_eq!(
            (message.kind, message.flags, message.sequence),
            (24, ACK | REQUEST, 7)
        );
        let body = &message.body[4..];
        assert_eq!(ip(attribute(body, 5).unwrap()), Some(ip4));
        assert_eq!(attribute(body, 3), Some(&b"eth0\0"[..]));
        let nested = attribute(body, 18).unwrap();
        assert_eq!(
            attributes(nested).collect::<Vec<_>>(),
            [(1, &b"abc"[..]), (2, &[9][..])]
        );
    }

    #[test]
    fn torn_input_ends_the_iteration() {
        let frame = Request::new(1, 0, &[0; 4]).u32(2, 42).frame(1);
        for cut in 0..frame.len() {
            assert_eq!(messages(&frame[..cut]).count(), 0, "cut at {cut}");
        }
        // A length of zero must not loop.
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[200, 0, 1, 0, 5]).count(), 0);
    }
}
