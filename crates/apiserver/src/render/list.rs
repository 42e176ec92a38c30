//! Lists and watch events.

use std::sync::Arc;

use api::codec::TypeMeta;
use apimachinery::status::Status;
use bytes::Bytes;
use storage::cache::Entry;

use super::table::end_table;
use super::{META, PROTOBUF_ITEM, Renderer, Source, internal, push_with_type, table_api_version};
use crate::kind;
use crate::proto::{self, Versioned};
use crate::request::negotiate::{Encoding, View};

/// What a list says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListMeta {
    pub resource_version: u64,
    /// Token for the next page; empty on the last one.
    pub continue_: String,
    pub remaining: Option<u64>,
}

impl ListMeta {
    fn json(&self) -> String {
        let mut json = format!("{{\"resourceVersion\":\"{}\"", self.resource_version);
        if !self.continue_.is_empty() {
            json.push_str(&format!(",\"continue\":\"{}\"", self.continue_));
        }
        if let Some(remaining) = self.remaining {
            json.push_str(&format!(",\"remainingItemCount\":{remaining}"));
        }
        json.push('}');
        json
    }

    fn protobuf(&self) -> Vec<u8> {
        use api::Message;
        api::meta::v1::ListMeta {
            resource_version: self.resource_version.to_string(),
            continue_: self.continue_.clone(),
            remaining_item_count: self
                .remaining
                .map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            ..api::meta::v1::ListMeta::default()
        }
        .encode_to_vec()
    }
}

/// What happened, in a watch event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventType {
    fn name(self) -> &'static str {
        match self {
            EventType::Added => "ADDED",
            EventType::Modified => "MODIFIED",
            EventType::Deleted => "DELETED",
            EventType::Bookmark => "BOOKMARK",
            EventType::Error => "ERROR",
        }
    }
}

impl Renderer<'_> {
    /// A document of many objects.
    pub fn list<'s>(
        &self,
        metadata: &ListMeta,
        items: impl Iterator<Item = Source<'s>>,
    ) -> Result<Vec<u8>, Status> {
        match (self.output.view, self.output.encoding) {
            (View::Table(version), _) => {
                let mut out = self.begin_table(version, &metadata.json(), true);
                for (index, item) in items.enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend(self.row(&item)?);
                }
                end_table(&mut out);
                self.finish(out)
            }
            _ => {
                let mut body = Vec::new();
                for (index, item) in items.enumerate() {
                    if index > 0 {
                        self.separate(&mut body);
                    }
                    self.push_item(&mut body, &item)?;
                }
                let (mut out, tail) = self.around(metadata, body.len());
                out.extend_from_slice(&body);
                out.extend_from_slice(tail);
                self.finish(out)
            }
        }
    }

    /// What stands before and after the items of a list, which are that long together.
    pub(super) fn around(&self, metadata: &ListMeta, items_len: usize) -> (Vec<u8>, &'static [u8]) {
        let row = self.served.row;
        let (group, version, kind) = match self.output.view {
            View::Metadata => (META.0, META.1, "PartialObjectMetadataList".to_owned()),
            _ => (row.group, row.version, row.list_kind.to_owned()),
        };
        if self.output.encoding == Encoding::Protobuf {
            let mut list = Vec::new();
            proto::begin_list(&mut list, &metadata.protobuf());
            let (mut head, tail) = kind::wrapping(group, version, &kind, list.len() + items_len);
            head.extend(list);
            return (head, tail);
        }
        let api_version = kind::api_version_of(group, version);
        let head = format!(
            "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{},\"items\":[",
            metadata.json()
        );
        (head.into_bytes(), b"]}\n")
    }

    /// Adds what stands between two items of a list.
    pub(super) fn separate(&self, out: &mut Vec<u8>) {
        if self.output.encoding != Encoding::Protobuf {
            out.push(b',');
        }
    }

    /// Adds an item to the items of a list.
    pub(super) fn push_item(&self, out: &mut Vec<u8>, item: &Source<'_>) -> Result<(), Status> {
        if self.output.encoding == Encoding::Protobuf {
            match self.keeper(item).filter(|_| self.output.view == View::Full) {
                Some(entry) => out.extend_from_slice(&self.protobuf_item(entry, item)?),
                None => self.push_protobuf_item(out, item)?,
            }
            return Ok(());
        }
        let json = self.json(item)?;
        let row = self.served.row;
        match self.output.view {
            View::Metadata => push_with_type(out, "PartialObjectMetadata", "meta.k8s.io/v1", &json),
            // Who reads a custom object knows no type that says what an item is.
            _ if self.served.is_custom() => push_with_type(out, row.kind, row.api_version, &json),
            _ => out.extend_from_slice(&json),
        }
        Ok(())
    }

    fn push_protobuf_item(&self, out: &mut Vec<u8>, item: &Source<'_>) -> Result<(), Status> {
        let raw = self.raw(item)?;
        match self.versioned(&raw, item)? {
            Some(object) => object.write_item(out),
            None => proto::push_item(out, &self.protobuf(item)?),
        }
        Ok(())
    }

    /// An item as it stands in lists, kept for others: it had to be unpacked.
    fn protobuf_item(&self, entry: &Arc<Entry>, item: &Source<'_>) -> Result<Bytes, Status> {
        self.kept.encoding(entry, PROTOBUF_ITEM, |_| {
            let mut out = Vec::new();
            self.push_protobuf_item(&mut out, item)?;
            Ok(Bytes::from(out))
        })
    }

    /// As [`Renderer::push_item`], without keeping the encoding for others and without a copy of it. `scratch` may be
    /// used for the next item again.
    pub(super) fn push_item_once(
        &self,
        out: &mut Vec<u8>,
        item: &Source<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Status> {
        if self.output.encoding == Encoding::Protobuf {
            return self.push_protobuf_item(out, item);
        }
        let is_plain_json = self.output.view == View::Full;
        let raw = self.raw(item)?;
        let Some(object) = self.versioned(&raw, item)?.filter(|_| is_plain_json) else {
            return self.push_item(out, item);
        };
        scratch.clear();
        object.write(scratch);
        let row = self.served.row;
        let meta = self.served.is_custom().then_some(TypeMeta {
            api_version: row.api_version,
            kind: row.kind,
        });
        kind::push_json(meta, row.ty, scratch, out).map_err(internal)
    }

    /// How long [`Renderer::push_item`] makes a list in protobuf.
    pub(super) fn protobuf_item_len(&self, item: &Source<'_>) -> Result<usize, Status> {
        match self.keeper(item).filter(|_| self.output.view == View::Full) {
            Some(entry) => Ok(self.protobuf_item(entry, item)?.len()),
            None => self.protobuf_item_len_once(item),
        }
    }

    /// The same, without keeping the item for others.
    pub(super) fn protobuf_item_len_once(&self, item: &Source<'_>) -> Result<usize, Status> {
        let raw = self.raw(item)?;
        if let Some(object) = self.versioned(&raw, item)? {
            return Ok(object.item_len());
        }
        let mut out = Vec::new();
        self.push_protobuf_item(&mut out, item)?;
        Ok(out.len())
    }

    /// The view of an object with the version to show; `None` if it shows none.
    fn versioned<'r>(&self, raw: &'r [u8], item: &Source<'_>) -> Result<Option<Versioned<'r>>, Status> {
        let Some(revision) = item.revision() else {
            return Ok(None);
        };
        let object = Versioned::new(raw, revision).map_err(internal)?;
        Ok(Some(match self.output.view {
            View::Metadata => object.metadata_only(),
            _ => object,
        }))
    }

    /// A watch event of an object, framed for the stream.
    pub fn event(&self, event: EventType, source: &Source<'_>, with_columns: bool) -> Result<Bytes, Status> {
        let document = match (self.output.view, self.output.encoding) {
            (View::Table(version), _) => {
                let metadata = source.revision().map_or_else(
                    || "{}".to_owned(),
                    |revision| format!("{{\"resourceVersion\":\"{revision}\"}}"),
                );
                let mut out = self.begin_table(version, &metadata, with_columns);
                out.extend(self.row(source)?);
                out.extend_from_slice(b"]}");
                out
            }
            (_, Encoding::Protobuf) => self.enveloped(source)?,
            _ => {
                let plain = Renderer {
                    output: crate::request::negotiate::Output {
                        pretty: false,
                        ..self.output
                    },
                    ..*self
                };
                plain.object(source)?
            }
        };
        Ok(frame(self.output.encoding, event, &document))
    }

    /// A bookmark: an empty object of the kind with a resourceVersion, marked when it ends the initial events.
    pub fn bookmark(&self, revision: u64, initial_events_end: bool) -> Result<Bytes, Status> {
        let mut metadata = api::meta::v1::ObjectMeta {
            resource_version: revision.to_string(),
            ..Default::default()
        };
        if initial_events_end {
            metadata
                .annotations
                .insert("k8s.io/initial-events-end".to_owned(), "true".to_owned());
        }
        let row = self.served.row;
        let document = match (self.output.view, self.output.encoding) {
            (View::Table(version), _) => {
                let mut out =
                    self.begin_table(version, &format!("{{\"resourceVersion\":\"{revision}\"}}"), false);
                // The row carries the object, where clients look for the annotation.
                out.extend_from_slice(b"{\"cells\":null,\"object\":");
                let object = kind::metadata_document(&metadata).map_err(internal)?;
                push_with_type(
                    &mut out,
                    "PartialObjectMetadata",
                    table_api_version(version),
                    &object,
                );
                out.extend_from_slice(b"}]}");
                out
            }
            (View::Metadata, Encoding::Protobuf) => kind::wrap(
                META.0,
                META.1,
                "PartialObjectMetadata",
                &kind::metadata_message(&metadata),
            ),
            (View::Full, Encoding::Protobuf) => kind::wrap(
                row.group,
                row.version,
                row.kind,
                &kind::metadata_message(&metadata),
            ),
            (View::Metadata, _) => super::with_type(
                "PartialObjectMetadata",
                "meta.k8s.io/v1",
                &kind::metadata_document(&metadata).map_err(internal)?,
            ),
            (View::Full, _) => {
                let json = kind::json(row.ty, &kind::metadata_message(&metadata)).map_err(internal)?;
                super::with_type(row.kind, &kind::api_version(row), &json)
            }
        };
        Ok(frame(self.output.encoding, EventType::Bookmark, &document))
    }

    /// The error that ends a watch.
    pub fn error(&self, status: &Status) -> Result<Bytes, Status> {
        let document = match self.output.encoding {
            Encoding::Protobuf => kind::status_envelope(status).map_err(internal)?,
            _ => status.to_json(),
        };
        Ok(frame(self.output.encoding, EventType::Error, &document))
    }
}

/// One frame of the stream: a line of JSON, or a length-prefixed WatchEvent.
fn frame(encoding: Encoding, event: EventType, document: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(document.len() + 32);
    match encoding {
        Encoding::Protobuf => {
            // WatchEvent { type = 1, object = 2 { raw = 1 } }
            let mut object = Vec::with_capacity(document.len() + 6);
            proto::push_field(&mut object, 1, document);
            let mut message = Vec::with_capacity(object.len() + 16);
            proto::push_field(&mut message, 1, event.name().as_bytes());
            proto::push_field(&mut message, 2, &object);
            out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&message);
        }
        _ => {
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(event.name().as_bytes());
            out.extend_from_slice(b"\",\"object\":");
            out.extend_from_slice(document.trim_ascii_end());
            out.extend_from_slice(b"}\n");
        }
    }
    Bytes::from(out)
}
