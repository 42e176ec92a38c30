//! Long lists for clients that accept gzip: one stream (RFC 1952), put together of runs of items that most of the time
//! are compressed already ([`super::runs`]).

use std::sync::Arc;

use apimachinery::status::Status;
use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use storage::cache::Entry;

use super::list::ListMeta;
use super::runs::{Run, RunId, first_run};
use super::{IncludeObject, Renderer, Source};
use crate::request::negotiate::{Encoding, Output, View};
use crate::resource::Served;
use crate::response::BoxError;
use crate::state::Api;

/// Deflate, no name, no time, compressed fast, of an unknown system: as Go writes it.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff];

/// A list on its way.
pub struct GzipList {
    api: Arc<Api>,
    served: Arc<Served>,
    output: Output,
    now: Timestamp,
    entries: Vec<Arc<Entry>>,
    /// How many of the entries were sent.
    sent: usize,
    /// `None` when it was sent.
    head: Option<Vec<u8>>,
    tail: &'static [u8],
    is_over: bool,
    plain: Plain,
}

/// What of the plain text stands at the end of the stream.
#[derive(Default)]
struct Plain {
    checksum: crc32fast::Hasher,
    len: u64,
}

impl Plain {
    fn add(&mut self, text: &[u8]) {
        self.checksum.update(text);
        self.len += text.len() as u64;
    }

    fn add_run(&mut self, run: &Run) {
        let run_len = run.plain_len as u64;
        self.checksum
            .combine(&crc32fast::Hasher::new_with_initial_len(run.checksum, run_len));
        self.len += run_len;
    }

    fn trailer(self) -> [u8; 8] {
        let checksum = self.checksum.finalize().to_le_bytes();
        // Modulo 2^32.
        let len = (self.len as u32).to_le_bytes();
        let mut trailer = [0; 8];
        trailer[..4].copy_from_slice(&checksum);
        trailer[4..].copy_from_slice(&len);
        trailer
    }
}

impl GzipList {
    /// Finds what must be known before the first byte: in protobuf, the length of the whole.
    pub fn new(
        api: &Arc<Api>,
        served: &Arc<Served>,
        renderer: &Renderer<'_>,
        metadata: &ListMeta,
        entries: Vec<Arc<Entry>>,
    ) -> Result<GzipList, Status> {
        let mut list = GzipList {
            api: api.clone(),
            served: served.clone(),
            output: renderer.output,
            now: renderer.now,
            entries,
            sent: 0,
            head: None,
            tail: &[],
            is_over: false,
            plain: Plain::default(),
        };
        let items_len = match renderer.output.encoding {
            Encoding::Protobuf => list.items_len(renderer)?,
            _ => 0,
        };
        let (head, tail) = renderer.around(metadata, items_len);
        (list.head, list.tail) = (Some(head), tail);
        Ok(list)
    }

    /// Length of all items in protobuf: from runs that are kept, else from the items themselves.
    fn items_len(&self, renderer: &Renderer<'_>) -> Result<usize, Status> {
        let (mut len, mut at) = (0, 0);
        while at < self.entries.len() {
            let entries = &self.entries[at..at + first_run(&self.entries[at..])];
            match self.api.runs.get(&self.run_id(at), entries) {
                Some(run) => len += run.plain_len,
                None => {
                    for entry in entries {
                        len += renderer
                            .protobuf_item_len_once(&Source::Cached(entry, entry.mod_revision().0))?;
                    }
                }
            }
            at += entries.len();
        }
        Ok(len)
    }

    /// The run that begins at this entry.
    fn run_id(&self, at: usize) -> RunId {
        let encoding = u8::from(self.output.encoding == Encoding::Protobuf);
        let view = u8::from(self.output.view == View::Metadata);
        RunId {
            form: (std::ptr::from_ref(self.served.row) as usize, encoding | view << 1),
            is_first: at == 0,
            first: self.entries[at].key().clone(),
        }
    }

    /// The chunks of the answer's body. An object that can't be shown breaks the answer off.
    pub fn into_chunks(self) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static {
        stream::unfold(self, |mut list| async move {
            let chunk = list.next_chunk().transpose()?;
            if let Err(error) = &chunk {
                tracing::error!(%error, "a list broke off");
                list.is_over = true;
            }
            Some((chunk, list))
        })
    }

    /// `None` after the end.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, BoxError> {
        if self.is_over {
            return Ok(None);
        }
        if let Some(head) = self.head.take() {
            let mut chunk = HEADER.to_vec();
            push_stored(&mut chunk, &head, Last::No);
            self.plain.add(&head);
            return Ok(Some(Bytes::from(chunk)));
        }
        if self.sent < self.entries.len() {
            let run = self.next_run()?;
            self.plain.add_run(&run);
            return Ok(Some(run.deflated.clone()));
        }
        self.is_over = true;
        self.plain.add(self.tail);
        let mut chunk = Vec::new();
        push_stored(&mut chunk, self.tail, Last::Yes);
        chunk.extend_from_slice(&std::mem::take(&mut self.plain).trailer());
        Ok(Some(Bytes::from(chunk)))
    }

    fn next_run(&mut self) -> Result<Arc<Run>, BoxError> {
        let at = self.sent;
        let entries = &self.entries[at..at + first_run(&self.entries[at..])];
        let plain = || self.plain_run(at, entries).map_err(BoxError::from);
        let run = self.api.runs.run(self.run_id(at), entries, plain)?;
        self.sent += entries.len();
        Ok(run)
    }

    fn plain_run(&self, at: usize, entries: &[Arc<Entry>]) -> Result<Vec<u8>, Status> {
        let renderer = Renderer {
            served: &self.served,
            output: self.output,
            include: IncludeObject::default(),
            now: self.now,
            kept: &self.api.kept,
        };
        let stored: usize = entries.iter().map(|entry| entry.value_len()).sum();
        let (mut plain, mut scratch) = (Vec::with_capacity(stored / 2 * 3), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            if at + index > 0 {
                renderer.separate(&mut plain);
            }
            let item = Source::Cached(entry, entry.mod_revision().0);
            renderer.push_item_once(&mut plain, &item, &mut scratch)?;
        }
        Ok(plain)
    }
}

/// Whether a block of deflate is the last of its stream.
#[derive(Clone, Copy)]
enum Last {
    No,
    Yes,
}

/// Adds a short text as it is, in a block of deflate (RFC 1951, section 3.2.4).
fn push_stored(out: &mut Vec<u8>, text: &[u8], last: Last) {
    let blocks = text.len().div_ceil(usize::from(u16::MAX));
    for (index, block) in text.chunks(usize::from(u16::MAX)).enumerate() {
        let is_last = matches!(last, Last::Yes) && index + 1 == blocks;
        let len = block.len() as u16;
        out.push(u8::from(is_last));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
}
