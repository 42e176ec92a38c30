//! The envelope around stored and transmitted protobuf: `k8s\0`, then `runtime.Unknown`.

use super::TypeMeta;
use crate::wire::{DecodeError, Reader, Writer};

pub const MAGIC: &[u8; 4] = b"k8s\0";

/// What an envelope holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub type_meta: TypeMeta<'a>,
    /// The bare message.
    pub raw: &'a [u8],
    pub content_type: &'a str,
    pub content_encoding: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Whether bytes start as an envelope does.
pub fn is_envelope(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Wraps a bare message.
pub fn wrap(type_meta: TypeMeta<'_>, raw: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(raw.len() + 64);
    writer.bytes_field(4, &[]);
    writer.bytes_field(3, &[]);
    writer.bytes_field(2, raw);
    let before = writer.len();
    writer.bytes_field(2, type_meta.kind.as_bytes());
    writer.bytes_field(1, type_meta.api_version.as_bytes());
    writer.close(1, before);
    writer.bytes(MAGIC);
    writer.into_vec()
}

/// Opens an envelope. Text that is not UTF-8 reads as empty.
pub fn unwrap(bytes: &[u8]) -> Result<Envelope<'_>, Error> {
    let unknown = bytes.strip_prefix(MAGIC).ok_or(Error::Magic)?;
    let mut envelope = Envelope {
        type_meta: TypeMeta {
            api_version: "",
            kind: "",
        },
        raw: &[],
        content_type: "",
        content_encoding: "",
    };
    let mut reader = Reader::new(unknown);
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => envelope.type_meta = type_meta(value.message()?)?,
            2 => envelope.raw = value.bytes()?,
            3 => envelope.content_encoding = text(value.bytes()?),
            4 => envelope.content_type = text(value.bytes()?),
            _ => {}
        }
    }
    Ok(envelope)
}

fn type_meta(mut message: Reader<'_>) -> Result<TypeMeta<'_>, DecodeError> {
    let mut meta = TypeMeta {
        api_version: "",
        kind: "",
    };
    while let Some((number, value)) = message.field()? {
        match number {
            1 => meta.api_version = text(value.bytes()?),
            2 => meta.kind = text(value.bytes()?),
            _ => {}
        }
    }
    Ok(meta)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
