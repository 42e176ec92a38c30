//! Objects, lists and events in the form that a client asked for, from the bytes that are stored.
//!
//! Nothing is decoded that needs not be: the full view splices stored protobuf, or JSON that was made once; the
//! metadata view cuts field 1 out; only tables look into objects.

pub mod list;
pub mod list_gzip;
pub mod list_stream;
pub mod runs;
pub mod table;

use std::sync::Arc;

use api::catalogue::Resource;
use apimachinery::status::Status;
use bytes::Bytes;
use jiff::Timestamp;
use storage::cache::{EncodingBudget, Entry};

use crate::kind;
use crate::proto;
use crate::request::negotiate::{Encoding, Output, TableVersion, View};
use crate::resource::Served;
use crate::response::{self, indent::indent};

pub use table::IncludeObject;

/// Version and kind of the metadata view.
const META: (&str, &str) = ("meta.k8s.io", "v1");

/// Tags of the encodings of entries that are kept.
const FULL_JSON: u16 = 1;
const METADATA_JSON: u16 = 2;
const PROTOBUF_ITEM: u16 = 3;

/// How the objects of one request are shown.
pub struct Renderer<'a> {
    pub served: &'a Served,
    pub output: Output,
    pub include: IncludeObject,
    pub now: Timestamp,
    pub kept: &'a EncodingBudget,
}

/// One object: its stored form, and the resourceVersion to show.
#[derive(Clone)]
pub enum Source<'a> {
    /// From the cache, whose other encodings are kept.
    Cached(&'a Arc<Entry>, u64),
    /// As just written, or read past the cache.
    Plain(&'a [u8], Option<u64>),
}

/// Bytes of an object, as little copied as may be.
pub(crate) enum Raw<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl std::ops::Deref for Raw<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Raw::Borrowed(bytes) => bytes,
            Raw::Shared(bytes) => bytes,
        }
    }
}

impl Raw<'_> {
    fn into_bytes(self) -> Bytes {
        match self {
            Raw::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Raw::Shared(bytes) => bytes,
        }
    }
}

impl Source<'_> {
    /// The stored bytes.
    pub(crate) fn value(&self) -> Raw<'_> {
        match self {
            Source::Cached(entry, _) => Raw::Shared(entry.value()),
            Source::Plain(value, _) => Raw::Borrowed(value),
        }
    }

    fn revision(&self) -> Option<u64> {
        match self {
            Source::Cached(_, revision) => Some(*revision),
            Source::Plain(_, revision) => *revision,
        }
    }
}

impl Renderer<'_> {
    /// A document of one object.
    pub fn object(&self, source: &Source<'_>) -> Result<Vec<u8>, Status> {
        let document = match (self.output.view, self.output.encoding) {
            (View::Table(version), _) => self.table_of_one(version, source)?,
            (_, Encoding::Protobuf) => return self.enveloped(source),
            (View::Full, _) => with_type(
                self.served.row.kind,
                &kind::api_version(self.served.row),
                &self.json(source)?,
            ),
            (View::Metadata, _) => with_type("PartialObjectMetadata", "meta.k8s.io/v1", &self.json(source)?),
        };
        self.finish(document)
    }

    /// Protobuf of one object, with the envelope that names its kind.
    fn enveloped(&self, source: &Source<'_>) -> Result<Vec<u8>, Status> {
        let raw = self.protobuf(source)?;
        Ok(match self.output.view {
            View::Metadata => kind::wrap(META.0, META.1, "PartialObjectMetadata", &raw),
            _ => kind::wrap(
                self.served.row.group,
                self.served.row.version,
                self.served.row.kind,
                &raw,
            ),
        })
    }

    /// Bare protobuf of the view of one object.
    fn protobuf(&self, source: &Source<'_>) -> Result<Bytes, Status> {
        let raw = self.raw(source)?;
        let object = match source.revision() {
            Some(revision) => proto::with_resource_version(&raw, revision).map_err(internal)?,
            None => raw.into_bytes(),
        };
        match self.output.view {
            View::Metadata => proto::partial_metadata(&object).map_err(internal),
            _ => Ok(object),
        }
    }

    /// The JSON of the view of one object, without kind and apiVersion (as the items of a list are).
    fn json(&self, source: &Source<'_>) -> Result<Bytes, Status> {
        let tag = if self.output.view == View::Metadata {
            METADATA_JSON
        } else {
            FULL_JSON
        };
        match self.keeper(source) {
            Some(entry) => self.kept.encoding(entry, tag, |_| self.make_json(source)),
            None => self.make_json(source),
        }
    }

    /// The entry that may keep encodings of the object. What is kept shows the entry's own revision, while a DELETED
    /// event shows another one.
    fn keeper<'s>(&self, source: &'s Source<'_>) -> Option<&'s Arc<Entry>> {
        match source {
            Source::Cached(entry, revision)
                if *revision == entry.mod_revision().0 && self.served.is_storage_version() =>
            {
                Some(entry)
            }
            _ => None,
        }
    }

    fn make_json(&self, source: &Source<'_>) -> Result<Bytes, Status> {
        let object = self.protobuf(source)?;
        let ty = match self.output.view {
            View::Metadata => kind::partial_metadata_type(),
            _ => self.served.row.ty,
        };
        kind::json(ty, &object).map(Bytes::from).map_err(internal)
    }

    /// The bare protobuf of the served version, without a resourceVersion.
    fn raw<'s>(&self, source: &'s Source<'_>) -> Result<Raw<'s>, Status> {
        let (row, value) = (self.served.objects.row, source.value());
        if self.served.is_storage_version()
            && let Some(raw) = raw_of(row, &value).map_err(internal)?
        {
            return Ok(raw);
        }
        let object = self.served.objects.read(&value).map_err(internal)?;
        let object = self.served.from_storage(object)?;
        let mut raw = Vec::with_capacity(1024);
        object.encode(&mut raw);
        Ok(Raw::Shared(Bytes::from(raw)))
    }

    /// A document as negotiated: JSON is put into lines, or becomes YAML; protobuf stays as it is.
    pub(crate) fn finish(&self, document: Vec<u8>) -> Result<Vec<u8>, Status> {
        match self.output.encoding {
            Encoding::Protobuf => Ok(document),
            Encoding::Yaml => kind::yaml(&document).map_err(internal),
            Encoding::Json if self.output.pretty => Ok(indent(&document)),
            Encoding::Json => Ok(response::line(document)),
        }
    }

    /// The content type of the answer.
    pub fn content_type(&self) -> &'static str {
        self.output.encoding.media_type()
    }
}

/// The bare protobuf within a stored value, if it stands there as the row's version has it.
fn raw_of<'a>(row: &Resource, value: &Raw<'a>) -> Result<Option<Raw<'a>>, kind::Error> {
    Ok(match value {
        Raw::Borrowed(value) => kind::stored::raw(row, value)?.map(Raw::Borrowed),
        Raw::Shared(value) => kind::stored::raw(row, value)?.map(|raw| Raw::Shared(value.slice_ref(raw))),
    })
}

/// Puts kind and apiVersion in front of an object's JSON.
pub(crate) fn with_type(kind: &str, api_version: &str, json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + kind.len() + api_version.len() + 32);
    push_with_type(&mut out, kind, api_version, json);
    out
}

pub(crate) fn push_with_type(out: &mut Vec<u8>, kind: &str, api_version: &str, json: &[u8]) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(api_version.as_bytes());
    out.push(b'"');
    if json.len() > 2 {
        out.push(b',');
    }
    out.extend_from_slice(&json[1..]);
}

/// `meta.k8s.io/v1` or `meta.k8s.io/v1beta1`.
pub(crate) fn table_api_version(version: TableVersion) -> &'static str {
    match version {
        TableVersion::V1 => "meta.k8s.io/v1",
        TableVersion::V1Beta1 => "meta.k8s.io/v1beta1",
    }
}

/// A stored object that can't be shown: the store or the server is at fault.
pub(crate) fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}
