//! The store contract: versioned keys, compare-and-swap, ranges at a revision, watch, follow, compaction.
//!
//! Every implementation passes the suite in `tests/contract`.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::{Error, Value};

/// A point in the history of the whole store: grows with each committed write, starts at 1 (an empty store).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A key, such as `/registry/pods/default/web-0`: shared by all versions of its value, in stores and caches.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Key {
    fn default() -> Self {
        Self(Arc::from(&[][..]))
    }
}

impl std::ops::Deref for Key {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Arc::from(text.as_bytes()))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A key with its value as of some revision. Stores and caches share one allocation of it.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Key,
    pub value: Value,
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
    Put {
        value: Bytes,
        ttl: Option<Duration>,
    },
    Delete,
}

/// A page of keys under a prefix, as of one revision.
#[derive(Clone, Debug, Default)]
pub struct RangeRequest {
    pub prefix: Key,
    /// Return keys strictly greater than this one.
    pub after: Option<Key>,
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
    pub items: Vec<Arc<KeyValue>>,
    /// Keys under the prefix after the last item returned.
    pub remaining: u64,
}

/// One committed change of one key: created (no `previous`), written, or deleted (no `current`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub revision: Revision,
    pub current: Option<Arc<KeyValue>>,
    pub previous: Option<Arc<KeyValue>>,
}

impl Event {
    /// The key that changed.
    pub fn key(&self) -> &Key {
        let side = self.current.as_ref().or(self.previous.as_ref());
        &side
            .expect("invariant: an event has a current or a previous side")
            .key
    }
}

/// What a watch yields.
#[derive(Clone, Debug)]
pub enum WatchItem {
    /// Events in revision order, never split inside one revision.
    Events(Vec<Arc<Event>>),
    /// Every event up to this revision was delivered.
    Progress(Revision),
}

/// What stands at a key, if anything, with the revision of the state that was read.
pub type Found<T> = (Revision, Option<Arc<T>>);

/// A stream of changes, as returned by [`Store::watch`].
pub type WatchStream = BoxStream<'static, Result<WatchItem, Error>>;

/// Mirrors the state under a prefix: gets all of it once, then each change in order, without gap or repetition.
///
/// A store within the process calls it from its writer before a commit is acknowledged or visible to any
/// reader, so that the mirror is never behind: implementations must be quick and must not call the store.
pub trait Follower: Send + Sync {
    /// Everything under the prefix as of `revision`: replaces what was mirrored before.
    fn reset(&self, revision: Revision, items: Vec<Arc<KeyValue>>);
    /// The next changes, in revision order.
    fn apply(&self, events: &[Arc<Event>]);
    /// The store says that nothing more was changed up to this revision.
    fn progressed(&self, _revision: Revision) {}
    /// The store closed or lost its connection; `reset` or `apply` may follow when it recovers.
    fn interrupted(&self, error: &Error);
}

/// A [`Follower`]'s place in the history. Dropping it ends the following.
pub trait Following: Send + Sync {
    /// Every change up to this revision was applied to the follower.
    fn position(&self) -> Revision;
    /// Resolves once `position()` is at least `revision`. Wakes the source up where it would idle.
    fn reached(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>>;
    /// Whether the source tells how far it is where nothing changes. Where it does not, the position may stay
    /// behind for long: who needs a newer state had better ask the store.
    fn tells_progress(&self) -> bool {
        true
    }
}

/// A versioned key-value store.
pub trait Store: Send + Sync + 'static {
    /// One key, as of `revision` or now, with the revision of the store that was read.
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>>;

    /// A page of keys. [`Error::Compacted`] when the revision is gone, [`Error::Future`] when it is not yet there.
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>>;

    /// How many keys stand under the prefix.
    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>>;

    /// Writes one key if `expect` holds, and returns the revision of the write once it is durable.
    /// [`Error::Conflict`] carries what stands there instead. After [`Error::Unavailable`] the outcome is unknown.
    fn commit<'a>(
        &'a self,
        key: &'a [u8],
        expect: Expect,
        write: Write,
    ) -> BoxFuture<'a, Result<Revision, Error>>;

    /// All events under the prefix after `after`, in order, without gap; `None`: from now on.
    /// Fails or ends with [`Error::Compacted`] when events were compacted away before they were read, which is
    /// also the fate of a reader that falls too far behind: never skips silently.
    fn watch(&self, prefix: Key, after: Option<Revision>) -> BoxFuture<'_, Result<WatchStream, Error>>;

    /// Feeds the follower with the state under the prefix and all that comes, until the result is dropped.
    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>>;

    /// The newest revision that a read would show, read consistently.
    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>>;

    /// Drops history before `revision`: reads at it still succeed, older ones get [`Error::Compacted`].
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>>;

    /// The revision that [`Store::compact`] last dropped history before, as far as this handle knows: who keeps
    /// copies of the history serves nothing older, or clients would see for how long they happen to be kept.
    fn compacted(&self) -> Revision;

    /// Bytes that the store holds on disk (0 for memory).
    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>>;

    /// Whether the store would take a write now: what health checks ask.
    fn probe(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.current_revision().await.map(drop) })
    }
}
