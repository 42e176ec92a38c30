//! Protobuf framing that needs no knowledge of kinds: the `k8s\0` envelope, lists, watch events.
//!
//! Every list kind has its `ListMeta` in field 1 and its items in field 2, and every object its `ObjectMeta` in
//! field 1, so that one scan serves them all.
//!
//! Upstream: apimachinery/pkg/runtime/serializer/protobuf

mod reader;

pub use reader::{Fields, Malformed};

use bytes::Bytes;

/// The prefix of every stored or sent protobuf object.
const MAGIC: &[u8; 4] = b"k8s\0";

/// What the envelope (`runtime.Unknown`) says about the object in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    pub api_version: String,
    pub kind: String,
    pub raw: Bytes,
}

/// Opens an envelope without copying the object.
pub fn unwrap(bytes: &Bytes) -> Result<Envelope, Malformed> {
    let body = match bytes.get(..MAGIC.len()) {
        Some(magic) if magic == MAGIC => bytes.slice(MAGIC.len()..),
        _ => return Err(Malformed("no k8s magic number")),
    };
    let mut envelope = Envelope::default();
    let mut fields = Fields::new(&body);
    while let Some((number, value)) = fields.next_bytes()? {
        match number {
            1 => type_meta(&mut envelope, value)?,
            2 => envelope.raw = body.slice_ref(value),
            _ => {}
        }
    }
    Ok(envelope)
}

fn type_meta(envelope: &mut Envelope, bytes: &[u8]) -> Result<(), Malformed> {
    let mut fields = Fields::new(bytes);
    while let Some((number, value)) = fields.next_bytes()? {
        let text = std::str::from_utf8(value).map_err(|_| Malformed("type name isn't UTF-8"))?;
        match number {
            1 => envelope.api_version = text.to_owned(),
            2 => envelope.kind = text.to_owned(),
            _ => {}
        }
    }
    Ok(())
}

/// Puts an encoded object into an envelope.
pub fn wrap(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = Vec::with_capacity(api_version.len() + kind.len() + 4);
    put_bytes(&mut meta, 1, api_version.as_bytes());
    put_bytes(&mut meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + meta.len() + 16);
    out.extend_from_slice(MAGIC);
    put_bytes(&mut out, 1, &meta);
    put_bytes(&mut out, 2, raw);
    out
}

fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// An encoded list, taken apart.
#[derive(Debug, Default)]
pub struct RawList {
    pub metadata: Bytes,
    pub items: Vec<Bytes>,
}

/// Splits a list's message into its metadata and items.
pub fn split_list(raw: &Bytes) -> Result<RawList, Malformed> {
    let mut list = RawList::default();
    let mut fields = Fields::new(raw);
    while let Some((number, value)) = fields.next_bytes()? {
        match number {
            1 => list.metadata = raw.slice_ref(value),
            2 => list.items.push(raw.slice_ref(value)),
            _ => {}
        }
    }
    Ok(list)
}

/// The encoded `ObjectMeta` of any object.
pub fn object_meta(raw: &Bytes) -> Result<Bytes, Malformed> {
    let mut fields = Fields::new(raw);
    while let Some((number, value)) = fields.next_bytes()? {
        if number == 1 {
            return Ok(raw.slice_ref(value));
        }
    }
    Ok(Bytes::new())
}

/// A watch event as it travels: its type and the enveloped object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawEvent {
    pub type_: String,
    pub object: Bytes,
}

/// Decodes a `meta/v1` WatchEvent, which travels without an envelope around a RawExtension that has one.
pub fn watch_event(frame: &Bytes) -> Result<RawEvent, Malformed> {
    let mut event = RawEvent::default();
    let mut fields = Fields::new(frame);
    while let Some((number, value)) = fields.next_bytes()? {
        match number {
            1 => event.type_ = String::from_utf8_lossy(value).into_owned(),
            2 => event.object = extension(&frame.slice_ref(value))?,
            _ => {}
        }
    }
    Ok(event)
}

fn extension(bytes: &Bytes) -> Result<Bytes, Malformed> {
    let mut fields = Fields::new(bytes);
    let mut raw = Bytes::new();
    while let Some((number, value)) = fields.next_bytes()? {
        if number == 1 {
            raw = bytes.slice_ref(value);
        }
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_round_trips() {
        let bytes = Bytes::from(wrap("apps/v1", "Deployment", &[7; 300]));
        let envelope = unwrap(&bytes).expect("valid");
        assert_eq!(
            (envelope.api_version.as_str(), envelope.kind.as_str()),
            ("apps/v1", "Deployment")
        );
        assert_eq!(envelope.raw, vec![7; 300]);
    }

    #[test]
    fn truncated_and_foreign_bytes_are_refused() {
        let whole = wrap("v1", "Pod", &[1, 2, 3]);
        for end in 0..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..end]);
            // Cutting at a field boundary leaves a shorter but valid message; anywhere else must fail.
            if let Ok(envelope) = unwrap(&cut) {
                assert!(envelope.raw.is_empty(), "cut at {end}");
            }
        }
        assert_eq!(
            unwrap(&Bytes::from_static(b"{}")),
            Err(Malformed("no k8s magic number"))
        );
    }

    #[test]
    fn list_splits_into_shared_slices() {
        let mut raw = Vec::new();
        put_bytes(&mut raw, 1, b"meta");
        put_bytes(&mut raw, 2, b"first");
        put_bytes(&mut raw, 2, b"second");
        let list = split_list(&Bytes::from(raw)).expect("valid");
        assert_eq!(list.metadata, "meta");
        assert_eq!(list.items, ["first", "second"]);
    }
}
