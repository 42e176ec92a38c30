//! Long lists in chunks: what a list costs in memory is a chunk, whatever its length and the reader's pace.

use std::sync::Arc;
use std::vec::IntoIter;

use apimachinery::status::Status;
use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use storage::cache::Entry;

use super::list::ListMeta;
use super::{IncludeObject, Renderer, Source};
use crate::request::negotiate::{Encoding, Output, View};
use crate::resource::Served;
use crate::response::BoxError;
use crate::server::KEPT_ENCODINGS_BYTES;
use crate::state::Api;

/// Lists whose stored objects are larger than this together are streamed.
const THRESHOLD_BYTES: usize = 256 * 1024;
/// A chunk is sent when it is at least that long.
const CHUNK_BYTES: usize = 64 * 1024;
/// The encodings of longer lists are not kept for other requests: they would only push each other out. JSON is about
/// a third longer than what is stored.
const MAX_KEPT_BYTES: usize = KEPT_ENCODINGS_BYTES / 4 * 3;

/// Whether a list is to be streamed. Tables, YAML and indented JSON are for people, who read short ones.
pub fn pays(output: &Output, entries: &[Arc<Entry>]) -> bool {
    let is_plain =
        !matches!(output.view, View::Table(_)) && output.encoding != Encoding::Yaml && !output.pretty;
    is_plain && stored_bytes(entries) >= THRESHOLD_BYTES
}

fn stored_bytes(entries: &[Arc<Entry>]) -> usize {
    entries.iter().map(|entry| entry.value_len()).sum()
}

/// A list on its way.
pub struct ListStream {
    api: Arc<Api>,
    served: Arc<Served>,
    output: Output,
    now: Timestamp,
    entries: IntoIter<Arc<Entry>>,
    /// What goes before the next item.
    pending: Vec<u8>,
    /// `None` when it was sent.
    tail: Option<&'static [u8]>,
    is_first: bool,
    is_long: bool,
}

impl ListStream {
    /// Finds what must be known before the first byte: in protobuf, the length of the whole.
    pub fn new(
        api: &Arc<Api>,
        served: &Arc<Served>,
        renderer: &Renderer<'_>,
        metadata: &ListMeta,
        entries: Vec<Arc<Entry>>,
    ) -> Result<ListStream, Status> {
        let is_long = stored_bytes(&entries) > MAX_KEPT_BYTES;
        let mut items_len = 0;
        if renderer.output.encoding == Encoding::Protobuf {
            for entry in &entries {
                let item = Source::Cached(entry, entry.mod_revision().0);
                items_len += match is_long {
                    true => renderer.protobuf_item_len_once(&item)?,
                    false => renderer.protobuf_item_len(&item)?,
                };
            }
        }
        let (pending, tail) = renderer.around(metadata, items_len);
        Ok(ListStream {
            api: api.clone(),
            served: served.clone(),
            output: renderer.output,
            now: renderer.now,
            pending,
            tail: Some(tail),
            is_first: true,
            is_long,
            entries: entries.into_iter(),
        })
    }

    /// The chunks of the answer's body. An object that can't be shown breaks the answer off.
    pub fn into_chunks(self) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static {
        stream::unfold(self, |mut list| async move {
            let chunk = list.next_chunk().transpose()?;
            if let Err(error) = &chunk {
                tracing::error!(%error, "a list broke off");
                (list.tail, list.entries) = (None, Vec::new().into_iter());
            }
            Some((chunk, list))
        })
    }

    /// `None` after the end.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, BoxError> {
        let Some(tail) = self.tail else { return Ok(None) };
        let mut chunk = std::mem::take(&mut self.pending);
        self.fill(&mut chunk)?;
        if self.entries.len() == 0 {
            chunk.extend_from_slice(tail);
            self.tail = None;
        }
        Ok(Some(Bytes::from(chunk)))
    }

    fn fill(&mut self, chunk: &mut Vec<u8>) -> Result<(), Status> {
        let renderer = Renderer {
            served: &self.served,
            output: self.output,
            include: IncludeObject::default(),
            now: self.now,
            kept: &self.api.kept,
        };
        // Room for the item that passes the bound, as well.
        chunk.reserve(CHUNK_BYTES + CHUNK_BYTES / 4);
        let mut scratch = Vec::new();
        while chunk.len() < CHUNK_BYTES {
            let Some(entry) = self.entries.next() else { break };
            if !std::mem::take(&mut self.is_first) {
                renderer.separate(chunk);
            }
            let item = Source::Cached(&entry, entry.mod_revision().0);
            if self.is_long {
                renderer.push_item_once(chunk, &item, &mut scratch)?;
            } else {
                renderer.push_item(chunk, &item)?;
            }
        }
        Ok(())
    }
}
