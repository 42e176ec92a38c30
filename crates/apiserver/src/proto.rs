//! Surgery on bare protobuf of objects, without decoding them: metadata stands in field 1 of every kind, items of a
//! list in field 2.

use bytes::{BufMut, Bytes, BytesMut};

/// Field 1 of any object (and of any list), length-delimited.
const METADATA_TAG: u8 = 0x0a;
/// ObjectMeta.resourceVersion, field 6, length-delimited.
const OBJECT_VERSION_TAG: u8 = 0x32;

/// Bytes that are no protobuf message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed protobuf")]
pub struct Malformed;

/// Where a field stands in a message.
struct Span {
    /// Of the tag.
    start: usize,
    /// Of the content.
    content: usize,
    end: usize,
}

/// The bytes of the object's metadata; empty when it has none.
pub fn metadata(object: &[u8]) -> Result<&[u8], Malformed> {
    Ok(find(object, METADATA_TAG)?.map_or(&[][..], |span| &object[span.content..span.end]))
}

/// The object with its resourceVersion set. The stored form has none: it is the revision of the write.
pub fn with_resource_version(object: &[u8], revision: u64) -> Result<Bytes, Malformed> {
    let mut digits = itoa(revision);
    let version = digits.as_str();
    let span = find(object, METADATA_TAG)?.unwrap_or(Span {
        start: 0,
        content: 0,
        end: 0,
    });
    let old = &object[span.content..span.end];
    let mut out = BytesMut::with_capacity(object.len() + version.len() + 8);
    out.put_slice(&object[..span.start]);
    out.put_u8(METADATA_TAG);
    put_varint(&mut out, old.len() + 2 + version.len());
    out.put_slice(old);
    out.put_u8(OBJECT_VERSION_TAG);
    put_varint(&mut out, version.len());
    out.put_slice(version.as_bytes());
    out.put_slice(&object[span.end..]);
    Ok(out.freeze())
}

/// A message that has only the metadata: PartialObjectMetadata.
pub fn partial_metadata(object: &[u8]) -> Result<Bytes, Malformed> {
    let metadata = metadata(object)?;
    let mut out = BytesMut::with_capacity(metadata.len() + 6);
    out.put_u8(METADATA_TAG);
    put_varint(&mut out, metadata.len());
    out.put_slice(metadata);
    Ok(out.freeze())
}

/// Starts a list message with its ListMeta.
pub fn begin_list(out: &mut Vec<u8>, list_metadata: &[u8]) {
    out.push(METADATA_TAG);
    put_varint(out, list_metadata.len());
    out.extend_from_slice(list_metadata);
}

/// Adds an item to a list message.
pub fn push_item(out: &mut Vec<u8>, item: &[u8]) {
    push_field(out, 2, item);
}

/// Adds a length-delimited field with a number below 16.
pub fn push_field(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, content.len());
    out.extend_from_slice(content);
}

/// A decimal number without an allocation.
fn itoa(number: u64) -> Digits {
    let mut digits = Digits {
        bytes: [b'0'; 20],
        start: 19,
    };
    let mut left = number;
    let mut at = 20;
    while at > 0 {
        at -= 1;
        digits.bytes[at] = b'0' + (left % 10) as u8;
        digits.start = at;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    digits
}

struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    fn as_str(&mut self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).expect("invariant: decimal digits are ASCII")
    }
}

/// The first field with this one-byte tag.
fn find(message: &[u8], wanted: u8) -> Result<Option<Span>, Malformed> {
    let mut at = 0;
    while at < message.len() {
        let start = at;
        let tag = take_varint(message, &mut at)?;
        let (content, end) = match tag & 7 {
            0 => {
                let content = at;
                take_varint(message, &mut at)?;
                (content, at)
            }
            1 => (at, at + 8),
            2 => {
                let length = usize::try_from(take_varint(message, &mut at)?).map_err(|_| Malformed)?;
                (at, at.checked_add(length).ok_or(Malformed)?)
            }
            5 => (at, at + 4),
            _ => return Err(Malformed),
        };
        if end > message.len() {
            return Err(Malformed);
        }
        if tag == u64::from(wanted) {
            return Ok(Some(Span { start, content, end }));
        }
        at = end;
    }
    Ok(None)
}

fn take_varint(bytes: &[u8], at: &mut usize) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(Malformed)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

pub fn put_varint(out: &mut impl BufMut, value: usize) {
    let mut value = value;
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use api::core::v1::ConfigMap;
    use api::{Message, Object};

    use super::*;

    #[test]
    fn the_resource_version_is_put_in() {
        let mut map = ConfigMap::default();
        map.metadata.name = "n".repeat(200);
        map.data.insert("key".to_owned(), "value".to_owned());
        for revision in [0, 7, 1234567890, u64::MAX] {
            let bytes = with_resource_version(&map.encode_to_vec(), revision).expect("well-formed");
            let read = ConfigMap::decode(&bytes).expect("well-formed");
            assert_eq!(read.metadata.resource_version, revision.to_string());
            assert_eq!((&read.metadata.name, &read.data), (&map.metadata.name, &map.data));
        }
        let bytes = with_resource_version(&[], 3).expect("an empty object");
        assert_eq!(
            ConfigMap::decode(&bytes)
                .expect("well-formed")
                .metadata
                .resource_version,
            "3"
        );
    }

    #[test]
    fn metadata_alone() {
        let mut map = ConfigMap::default();
        map.metadata_mut().name = "a".to_owned();
        map.data.insert("key".to_owned(), "value".to_owned());
        let partial = ConfigMap::decode(&partial_metadata(&map.encode_to_vec()).expect("well-formed"))
            .expect("well-formed");
        assert_eq!((partial.metadata.name.as_str(), partial.data.len()), ("a", 0));
    }

    #[test]
    fn no_input_panics() {
        for bytes in [
            &[0x0a][..],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x0d, 1],
            &[0x0b],
            &[0xff],
        ] {
            assert_eq!(with_resource_version(bytes, 1), Err(Malformed));
        }
    }
}
