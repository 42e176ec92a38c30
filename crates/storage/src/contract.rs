//! The store contract: versioned keys, compare-and-swap, ranges at a revision, watch, compaction.
//!
//! Every implementation passes the suite in `contract_suite`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::Error;

/// A point in the history of the whole store: grows by one with each committed write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A key with its value as of some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// Full key, such as `/registry/pods/default/web-0`.
    pub key: Bytes,
    pub value: Bytes,
    /// Revision of the write that created the key (since its last deletion).
    pub create_revision: Revision,
    /// Revision of the last write of the key.
    pub mod_revision: Revision,
}

/// What must hold of the key for a write to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key was last written at this revision.
    Unchanged(Revision),
}

/// A write of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the value; the key is deleted by the store once `ttl` has passed.
    Put { value: Bytes, ttl: Option<Duration> },
    Delete,
}

/// A page of keys under a prefix, as of one revision.
#[derive(Clone, Debug)]
pub struct RangeRequest {
    pub prefix: Bytes,
    /// Return keys strictly greater than this one.
    pub after: Option<Bytes>,
    /// At most that many keys; 0: no bound.
    pub limit: usize,
    /// As of this revision; `None`: the newest.
    pub revision: Option<Revision>,
}

/// The answer to a [`RangeRequest`].
#[derive(Clone, Debug)]
pub struct RangeResponse {
    /// The revision that the page shows.
    pub revision: Revision,
    /// In key order.
    pub items: Vec<KeyValue>,
    /// Keys under the prefix after the last item returned.
    pub remaining: u64,
}

/// One committed change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key was written; `previous` is what it replaced.
    Put { current: KeyValue, previous: Option<KeyValue> },
    /// The key was deleted at `revision`.
    Delete { revision: Revision, previous: KeyValue },
}

/// What a watch yields.
#[derive(Clone, Debug)]
pub enum WatchItem {
    /// Events in revision order, never split inside one revision.
    Events(Vec<Event>),
    /// Every event up to this revision was delivered.
    Progress(Revision),
}

/// A versioned key-value store.
pub trait Store: Send + Sync + 'static {
    /// One key, as of `revision` or now, with the revision of the store that was read.
    fn get<'a>(&'a self, key: &'a [u8], revision: Option<Revision>) -> BoxFuture<'a, Result<(Revision, Option<KeyValue>), Error>>;

    /// A page of keys. [`Error::Compacted`] when the revision is gone, [`Error::Future`] when it is not yet there.
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>>;

    /// How many keys stand under the prefix.
    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>>;

    /// Writes one key if `expect` holds, and returns the revision of the write once it is durable.
    /// [`Error::Conflict`] carries what stands there instead.
    fn commit(&self, key: Bytes, expect: Expect, write: Write) -> BoxFuture<'_, Result<Revision, Error>>;

    /// All events under the prefix after `after`, in order, without gap; `None`: from now on.
    /// Ends with [`Error::Compacted`] when events were compacted away, or [`Error::Slow`] when the reader fell
    /// behind its bound: never skips silently.
    fn watch(&self, prefix: Bytes, after: Option<Revision>) -> BoxFuture<'_, Result<BoxStream<'static, Result<WatchItem, Error>>, Error>>;

    /// The newest revision that a read would show, read consistently.
    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>>;

    /// Drops history before `revision`.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>>;

    /// Bytes that the store holds on disk (0 for memory).
    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>>;
}
