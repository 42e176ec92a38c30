//! Kinds by name: envelopes, the stored form, conversion between versions.

mod convert;
mod embedded;
pub mod stored;

use api::catalogue::Resource;
use api::codec::envelope;
use api::codec::{self, TypeMeta};
use api::meta::v1::ObjectMeta;
use api::types::Type;
use api::wire::DecodeError;
use apimachinery::status::Status;

pub use convert::convert;

/// Stored or encoded bytes that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Envelope(#[from] envelope::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind { api_version: String, kind: String },
    #[error(transparent)]
    Codec(#[from] codec::Error),
    #[error("not a JSON object")]
    Document(#[source] serde_json::Error),
    #[error("{0}")]
    Conversion(#[from] Status),
    #[error("{0}")]
    Pruning(String),
}

/// `v1` or `apps/v1`.
pub fn api_version_of(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// The row's apiVersion.
pub fn api_version(row: &Resource) -> String {
    api_version_of(row.group, row.version)
}

/// Puts bare protobuf into the envelope that names its kind.
pub fn wrap(group: &str, version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    envelope::wrap(
        TypeMeta {
            api_version: &api_version_of(group, version),
            kind,
        },
        raw,
    )
}

/// What [`wrap`] puts before and after a message of that length.
pub fn wrapping(group: &str, version: &str, kind: &str, raw_len: usize) -> (Vec<u8>, &'static [u8]) {
    // Empty contentEncoding and contentType stand behind the message.
    const TAIL: &[u8] = &[0x1a, 0, 0x22, 0];
    let mut head = wrap(group, version, kind, &[]);
    // The last byte of what is left is the length of the empty message.
    head.truncate(head.len() - TAIL.len() - 1);
    crate::proto::put_varint(&mut head, raw_len);
    (head, TAIL)
}

/// The JSON of bare protobuf, without kind and apiVersion.
pub fn json(ty: &'static Type, raw: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity(raw.len() * 2);
    push_json(None, ty, raw, &mut out)?;
    Ok(out)
}

/// Appends the JSON of bare protobuf, with kind and apiVersion if they are given.
pub fn push_json(
    meta: Option<TypeMeta<'_>>,
    ty: &'static Type,
    raw: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let start = out.len();
    codec::proto_to_json(meta, ty, raw, out)?;
    embedded::name(ty, out, start);
    Ok(())
}

/// A JSON document as YAML.
pub fn yaml(json: &[u8]) -> Result<Vec<u8>, codec::Error> {
    codec::yaml::from_json(json).map(String::into_bytes)
}

/// The type of the metadata view.
pub fn partial_metadata_type() -> &'static Type {
    &api::types::meta_v1::PARTIAL_OBJECT_METADATA
}

/// The bare protobuf of an object that has only metadata.
pub fn metadata_message(metadata: &ObjectMeta) -> Vec<u8> {
    use api::Message;
    let mut raw = Vec::new();
    crate::proto::push_field(&mut raw, 1, &metadata.encode_to_vec());
    raw
}

/// The JSON of an object that has only metadata.
pub fn metadata_document(metadata: &ObjectMeta) -> Result<Vec<u8>, DecodeError> {
    json(partial_metadata_type(), &metadata_message(metadata))
}

/// A Status as protobuf in its envelope.
pub fn status_envelope(status: &Status) -> Result<Vec<u8>, codec::Error> {
    let parsed = codec::json_to_proto(&api::types::meta_v1::STATUS, &status.to_json())?;
    Ok(wrap("", "v1", "Status", &parsed.proto))
}
