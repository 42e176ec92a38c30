//! JSON, YAML and protobuf of any type, by its descriptor.
//!
//! Protobuf becomes JSON in one pass over each message, without a tree; JSON becomes protobuf in one pass as well,
//! and reports unknown and repeated fields with their paths. What a document looks like is upstream's: member
//! order, escapes, number forms, zero values.
//!
//! Reading order: [`text`] (JSON strings, numbers, raw documents), [`scalar`] (quantities, times, base64),
//! [`to_json`], [`parts`], [`lexer`], [`to_proto`], [`check`], [`envelope`], [`list`], [`yaml`],
//! [`document`] (JSON without a type).
//!
//! Upstream: `apimachinery/pkg/runtime/serializer/{json,protobuf}`, `sigs.k8s.io/json`.

mod check;
pub mod document;
pub mod envelope;
mod lexer;
pub mod list;
pub mod parts;
mod scalar;
pub mod text;
mod to_json;
mod to_proto;
pub mod yaml;

pub use check::check_documents;
pub use to_json::proto_to_json;
pub use to_proto::{Parsed, json_to_proto};

use crate::message::Message;
use crate::types::{Form, Type};
use crate::wire::DecodeError;

/// What names a document's kind in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeMeta<'a> {
    /// `v1`, `apps/v1`
    pub api_version: &'a str,
    pub kind: &'a str,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not JSON, or not what the type holds. Upstream's message.
    #[error("{0}")]
    Json(String),
    #[error(transparent)]
    Protobuf(#[from] DecodeError),
    #[error("{0}")]
    Yaml(String),
}

/// A typed message's JSON; a top-level kind states itself first.
pub(crate) fn message_to_json(ty: &'static Type, proto: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(proto.len() * 2);
    let stated = match ty.form {
        Form::Open => crate::custom::stated(proto).ok(),
        _ => None,
    };
    let meta = match (&stated, ty.kind) {
        (Some((api_version, kind)), _) => Some(TypeMeta { api_version, kind }),
        (None, Some(kind)) => Some(TypeMeta {
            api_version: kind.api_version,
            kind: kind.kind,
        }),
        (None, None) => None,
    };
    proto_to_json(meta, ty, proto, &mut out).expect("invariant: our own encoding can be read back");
    out
}

pub(crate) fn message_from_json<T: Message + Default>(json: &[u8]) -> Result<T, Error> {
    let parsed = json_to_proto(T::default().descriptor(), json)?;
    Ok(T::decode(&parsed.proto)?)
}

#[cfg(test)]
mod tests;
