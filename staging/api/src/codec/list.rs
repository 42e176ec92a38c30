//! Lists put together from items that are already encoded.

use super::to_proto::fields::{put_bytes, put_varint};
use super::{TypeMeta, text};
use crate::message::Message;
use crate::meta::v1::ListMeta;

/// The bare protobuf of a list, from its items' bare protobuf.
pub fn proto<'a>(metadata: &ListMeta, items: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let metadata = metadata.encode_to_vec();
    let size: usize = items.clone().map(|item| item.len() + 6).sum();
    let mut out = Vec::with_capacity(metadata.len() + size + 8);
    put_bytes(&mut out, 1, &metadata);
    for item in items {
        put_bytes(&mut out, 2, item);
    }
    out
}

/// The length that [`proto`]'s result would have, for an envelope written ahead of its content.
pub fn proto_len(metadata: usize, items: impl Iterator<Item = usize>) -> usize {
    let field = |length: usize| {
        let mut prefix = Vec::with_capacity(10);
        put_varint(&mut prefix, length as u64);
        1 + prefix.len() + length
    };
    field(metadata) + items.map(field).sum::<usize>()
}

/// The JSON of a list, from its items' JSON. Items that state their kind lose it, as upstream's do.
pub fn json<'a>(
    meta: TypeMeta<'_>,
    metadata: &ListMeta,
    items: impl Iterator<Item = &'a [u8]> + Clone,
) -> Vec<u8> {
    let size: usize = items.clone().map(|item| item.len() + 1).sum();
    let mut out = Vec::with_capacity(size + 128);
    out.extend_from_slice(b"{\"kind\":");
    text::string(meta.kind.as_bytes(), &mut out);
    out.extend_from_slice(b",\"apiVersion\":");
    text::string(meta.api_version.as_bytes(), &mut out);
    out.extend_from_slice(b",\"metadata\":");
    out.extend_from_slice(&metadata.to_json());
    out.extend_from_slice(b",\"items\":[");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        out.extend_from_slice(without_type_meta(item));
    }
    out.extend_from_slice(b"]}");
    out
}

/// An object's JSON after its brace and after the `kind` and `apiVersion` that our printer writes first.
fn without_type_meta(item: &[u8]) -> &[u8] {
    let rest = item.strip_prefix(b"{").unwrap_or(item);
    let skip = |rest: &'_ [u8], name: &[u8]| -> Option<usize> {
        let value = rest.strip_prefix(name)?;
        // Kinds and versions hold no quotes or escapes.
        let end = memchr::memchr(b'"', value)?;
        let after = name.len() + end + 1;
        Some(after + usize::from(rest.get(after) == Some(&b',')))
    };
    let Some(kind) = skip(rest, b"\"kind\":\"") else {
        return rest;
    };
    let after_kind = &rest[kind..];
    match skip(after_kind, b"\"apiVersion\":\"") {
        Some(version) => &after_kind[version..],
        None => rest,
    }
}
