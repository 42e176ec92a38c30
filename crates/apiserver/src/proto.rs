//! Surgery on bare protobuf of objects, without decoding them: metadata stands in field 1 of every kind, items of a
//! list in field 2.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use api::types::{Base, Field, Type};
use bytes::{BufMut, Bytes, BytesMut};

/// Field 1 of any object (and of any list), length-delimited.
const METADATA_TAG: u8 = 0x0a;
/// ObjectMeta.managedFields, field 17, length-delimited.
const MANAGED_FIELDS_TAG: u64 = 17 << 3 | 2;
/// Field 2 of any list, length-delimited.
const LIST_ITEM_TAG: u8 = 0x12;
/// ObjectMeta.resourceVersion, length-delimited.
const OBJECT_VERSION: u8 = 6;

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

/// An object with its resourceVersion, in pieces that are not yet put together. The stored form has no version: it is
/// the revision of the write.
pub struct Versioned<'a> {
    before: &'a [u8],
    /// What of the metadata goes before the version and what behind it: fields stay in the order of their numbers.
    metadata: [&'a [u8]; 2],
    after: &'a [u8],
    version: Digits,
}

impl<'a> Versioned<'a> {
    pub fn new(object: &'a [u8], revision: u64) -> Result<Self, Malformed> {
        let span = find(object, METADATA_TAG)?.unwrap_or(Span {
            start: 0,
            content: 0,
            end: 0,
        });
        Ok(Self {
            before: &object[..span.start],
            metadata: around_version(&object[span.content..span.end])?,
            after: &object[span.end..],
            version: itoa(revision),
        })
    }

    /// The stored form of an object that has a version.
    pub fn unversioned(object: &'a [u8]) -> Result<Self, Malformed> {
        let version = Digits { start: 20, ..itoa(0) };
        Ok(Self {
            version,
            ..Self::new(object, 0)?
        })
    }

    /// The same without anything but metadata: PartialObjectMetadata.
    pub fn metadata_only(self) -> Self {
        Self {
            before: &[],
            after: &[],
            ..self
        }
    }

    fn metadata_len(&self) -> usize {
        let [lower, higher] = self.metadata;
        lower.len() + 2 + self.version.as_bytes().len() + higher.len()
    }

    fn len(&self) -> usize {
        let metadata = self.metadata_len();
        self.before.len() + 1 + varint_len(metadata) + metadata + self.after.len()
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let version = self.version.as_bytes();
        out.reserve(self.len());
        out.extend_from_slice(self.before);
        out.push(METADATA_TAG);
        put_varint(out, self.metadata_len());
        out.extend_from_slice(self.metadata[0]);
        push_field(out, OBJECT_VERSION, version);
        out.extend_from_slice(self.metadata[1]);
        out.extend_from_slice(self.after);
    }

    /// As an item of a list message.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        let len = self.len();
        out.reserve(len + 11);
        out.push(LIST_ITEM_TAG);
        put_varint(out, len);
        self.write(out);
    }

    /// How long [`Versioned::write_item`] makes a list.
    pub fn item_len(&self) -> usize {
        let len = self.len();
        1 + varint_len(len) + len
    }
}

/// The object with its resourceVersion set.
pub fn with_resource_version(object: &[u8], revision: u64) -> Result<Bytes, Malformed> {
    let mut out = Vec::new();
    Versioned::new(object, revision)?.write(&mut out);
    Ok(Bytes::from(out))
}

/// The object without its record of who owns which field.
pub fn without_managed_fields(object: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    let Some(span) = find(object, METADATA_TAG)? else {
        return Ok(Cow::Borrowed(object));
    };
    let metadata = &object[span.content..span.end];
    let mut kept = Vec::with_capacity(metadata.len());
    let mut rest = metadata;
    while let Some(entry) = find(rest, MANAGED_FIELDS_TAG)? {
        kept.extend_from_slice(&rest[..entry.start]);
        rest = &rest[entry.end..];
    }
    if rest.len() == metadata.len() {
        return Ok(Cow::Borrowed(object));
    }
    kept.extend_from_slice(rest);
    let mut out = Vec::with_capacity(object.len());
    out.extend_from_slice(&object[..span.start]);
    push_field(&mut out, METADATA_TAG >> 3, &kept);
    out.extend_from_slice(&object[span.end..]);
    Ok(Cow::Owned(out))
}

/// Parts of objects of one kind that somebody does not want to read: tags of fields, and what of these; all if nothing
/// is named.
#[derive(Default)]
pub struct Unread(Vec<(u64, Unread)>);

impl Unread {
    /// Members by their paths, through lists as well: `data`, `spec.containers.env`. Names that there are not are left
    /// out.
    pub fn new<'p>(ty: &'static Type, paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut wholes = BTreeSet::new();
        for path in paths {
            match path.split_once('.') {
                Some((name, rest)) => members.entry(name).or_default().push(rest),
                None => _ = wholes.insert(path),
            }
        }
        let whole = |name: &str| Some((tag_of(ty.field(name)?), Self::default()));
        let part = |(name, rest): (&str, Vec<&str>)| {
            let field = ty.field(name).filter(|_| !wholes.contains(name))?;
            let Base::Message(inner) = field.base else {
                return None;
            };
            let below = Self::new(inner, rest);
            (!below.0.is_empty()).then_some((tag_of(field), below))
        };
        let wholes = wholes.iter().filter_map(|name| whole(name));
        Self(wholes.chain(members.into_iter().filter_map(part)).collect())
    }

    /// The object without these parts.
    pub fn cut(&self, object: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::with_capacity(1024);
        self.copy(object, &mut out)?;
        Ok(out)
    }

    fn copy(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut at = 0;
        while let Some((tag, span)) = next_field(message, at)? {
            match self.0.iter().find(|(unread, _)| *unread == tag) {
                None => out.extend_from_slice(&message[at..span.end]),
                Some((_, Unread(below))) if below.is_empty() => {}
                Some((_, below)) => {
                    put_varint(out, tag as usize);
                    let start = out.len();
                    below.copy(&message[span.content..span.end], out)?;
                    let mut len = Vec::with_capacity(5);
                    put_varint(&mut len, out.len() - start);
                    out.splice(start..start, len);
                }
            }
            at = span.end;
        }
        Ok(())
    }
}

/// The tag of a field whose values have lengths.
fn tag_of(field: &Field) -> u64 {
    u64::from(field.number) << 3 | 2
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
    push_field(out, LIST_ITEM_TAG >> 3, item);
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
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// The first field with this tag.
fn find(message: &[u8], wanted: impl Into<u64>) -> Result<Option<Span>, Malformed> {
    let (wanted, mut at) = (wanted.into(), 0);
    while let Some((tag, span)) = next_field(message, at)? {
        if tag == wanted {
            return Ok(Some(span));
        }
        at = span.end;
    }
    Ok(None)
}

/// What of an object's metadata stands before its version and behind it. The version itself, which is stored empty,
/// is left out; where it stands twice, a new one at the end is the one that counts.
fn around_version(metadata: &[u8]) -> Result<[&[u8]; 2], Malformed> {
    let (mut at, mut lower, mut higher) = (0, None, None);
    while let Some((tag, span)) = next_field(metadata, at)? {
        let number = tag >> 3;
        if number == u64::from(OBJECT_VERSION) && higher.is_some() {
            return Ok([metadata, &[]]);
        }
        if number >= u64::from(OBJECT_VERSION) && lower.is_none() {
            lower = Some(at);
            let is_version = number == u64::from(OBJECT_VERSION);
            higher = Some(if is_version { span.end } else { at });
        }
        at = span.end;
    }
    Ok([
        &metadata[..lower.unwrap_or(at)],
        &metadata[higher.unwrap_or(at)..],
    ])
}

/// The field that starts there.
fn next_field(message: &[u8], start: usize) -> Result<Option<(u64, Span)>, Malformed> {
    if start >= message.len() {
        return Ok(None);
    }
    let mut at = start;
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
    Ok(Some((tag, Span { start, content, end })))
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

/// Bytes of a number's varint.
fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
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
        // However often it stands there, and wherever, the new one counts.
        let stored = [&[0x32, 1, b'1'][..], &[0x0a, 1, b'a'], &[0x32, 1, b'2']].concat();
        for metadata in [
            &stored[..],
            &stored[3..],
            &stored[..6],
            &stored[..3],
            &stored[3..6],
        ] {
            let mut object = Vec::new();
            push_field(&mut object, 1, metadata);
            let bytes = with_resource_version(&object, 3).expect("well-formed");
            let read = ConfigMap::decode(&bytes).expect("well-formed");
            assert_eq!(read.metadata.resource_version, "3");
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
    fn lengths_are_known_before_anything_is_written() {
        for name in [0, 1, 100, 126, 127, 200, 16_400] {
            let mut map = ConfigMap::default();
            map.metadata.name = "n".repeat(name);
            let raw = map.encode_to_vec();
            let object = Versioned::new(&raw, 12_345).expect("well-formed");
            let (mut plain, mut item) = (Vec::new(), Vec::new());
            object.write(&mut plain);
            object.write_item(&mut item);
            assert_eq!((object.len(), object.item_len()), (plain.len(), item.len()));
        }
    }

    #[test]
    fn the_stored_form_has_an_empty_version() {
        let mut map = ConfigMap::default();
        map.metadata.name = "a".to_owned();
        map.metadata.uid = "u".to_owned();
        let stored = map.encode_to_vec();
        map.metadata.resource_version = "12".to_owned();
        let mut found = Vec::new();
        Versioned::unversioned(&map.encode_to_vec())
            .expect("well-formed")
            .write(&mut found);
        assert_eq!(found, stored);
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
    fn managed_fields_are_cut_out() {
        let mut map = ConfigMap::default();
        map.metadata.name = "a".to_owned();
        map.data.insert("key".to_owned(), "value".to_owned());
        let bare = map.encode_to_vec();
        assert!(matches!(without_managed_fields(&bare), Ok(Cow::Borrowed(_))));
        for manager in ["first", "second"] {
            map.metadata
                .managed_fields
                .push(api::meta::v1::ManagedFieldsEntry {
                    manager: manager.to_owned(),
                    ..Default::default()
                });
        }
        assert_eq!(
            without_managed_fields(&map.encode_to_vec()).expect("well-formed"),
            bare
        );
    }

    #[test]
    fn unread_parts_are_cut_out() {
        let mut pod = api::core::v1::Pod::default();
        pod.metadata.name = "a".to_owned();
        pod.spec.node_name = "n".to_owned();
        pod.status.phase = "Running".to_owned();
        let bare = pod.encode_to_vec();
        pod.metadata.managed_fields.push(Default::default());
        pod.spec.containers.resize(2, Default::default());
        pod.spec.volumes.push(Default::default());
        let paths = [
            "metadata.managedFields",
            "spec.containers",
            "spec.volumes",
            "spec.none",
            "none",
        ];
        let unread = Unread::new(pod.descriptor(), paths);
        assert_eq!(unread.cut(&pod.encode_to_vec()).expect("well-formed"), bare);
        let unread = Unread::new(pod.descriptor(), ["spec", "status.phase"]);
        let read = api::core::v1::Pod::decode(&unread.cut(&bare).expect("well-formed")).expect("well-formed");
        assert_eq!(
            (read.metadata.name.as_str(), read.spec),
            ("a", Default::default())
        );
        assert_eq!(read.status, Default::default());
        assert!(unread.cut(&[0x0d, 1]).is_err());
        let variable = |name: &str| api::core::v1::EnvVar {
            name: name.to_owned(),
            value_from: (name == "b").then(Default::default),
            ..Default::default()
        };
        pod.spec.containers[0].env = vec![variable("a"), variable("b")];
        let unread = Unread::new(
            pod.descriptor(),
            ["spec.containers.env.name", "spec.containers.name"],
        );
        let read = api::core::v1::Pod::decode(&unread.cut(&pod.encode_to_vec()).expect("well-formed"));
        let env = &read.expect("well-formed").spec.containers[0].env;
        assert_eq!(
            env.iter()
                .map(|one| (one.name.as_str(), one.value_from.is_some()))
                .collect::<Vec<_>>(),
            [("", false), ("", true)]
        );
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
