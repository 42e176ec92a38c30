//! What a watcher asks for and what it gets.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;

use super::Freshness;
use super::entry::Entry;
use super::snapshot::Snapshot;
use super::watchers::{Registration, Watcher};
use crate::{Error, Key, Revision};

/// Whether an object is of interest, as of its key, labels and fields: nothing else of it may count.
pub type Predicate = Arc<dyn Fn(&Entry) -> bool + Send + Sync>;

/// The part of the cache that a watcher looks at. The narrower, the cheaper every other object's events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Keys under a prefix: the cache's own, or a namespace's (ends in `/`).
    Prefix(Key),
    /// One key.
    Key(Key),
    /// Objects under the prefix whose indexed field has the value.
    Field {
        prefix: Key,
        field: &'static str,
        value: String,
    },
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the changes after this revision; [`Error::Compacted`] when they are gone.
    After(Revision),
    /// With an ADDED event for each object of a state as fresh as asked for, then what follows it.
    State(Freshness),
}

/// A watch of a part of the cache.
#[derive(Clone)]
pub struct WatchRequest {
    pub scope: Scope,
    pub start: Start,
    /// `None`: everything in scope.
    pub predicate: Option<Predicate>,
    /// Send bookmarks from time to time.
    pub bookmarks: bool,
    /// Send a bookmark marked as the end of the initial events after them ([`Start::State`] only).
    pub initial_events_end: bool,
}

/// What happened to an object, as seen through the watcher's selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Created, or began to match.
    Added,
    Modified,
    /// Deleted, or ceased to match: the object is shown as it was before, at the new revision.
    Deleted,
}

/// One item of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    Object(Arc<ObjectEvent>),
    /// Every event up to the revision was delivered.
    Bookmark {
        revision: Revision,
        initial_events_end: bool,
    },
}

/// An object's event, shared by all watchers that get it.
#[derive(Debug)]
pub struct ObjectEvent {
    pub kind: EventKind,
    /// The resource version of the event: for a deletion, that of the deletion and not of the entry.
    pub revision: Revision,
    pub entry: Arc<Entry>,
    frames: Frames,
}

/// An event in each encoding that was asked for, made once for all watchers and freed with the last one's queue slot.
#[derive(Default)]
struct Frames(Mutex<Vec<(u16, Bytes)>>);

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} frames", self.0.lock().len())
    }
}

impl ObjectEvent {
    pub(super) fn new(kind: EventKind, revision: Revision, entry: Arc<Entry>) -> Self {
        Self {
            kind,
            revision,
            entry,
            frames: Frames::default(),
        }
    }

    /// The same event of another form of its object.
    pub fn with_entry(&self, entry: Arc<Entry>) -> Self {
        Self::new(self.kind, self.revision, entry)
    }

    /// The event in the encoding `tag`: made by the first watcher that asks, shared by the others.
    pub fn frame<E>(&self, tag: u16, make: impl FnOnce(&Self) -> Result<Bytes, E>) -> Result<Bytes, E> {
        let mut frames = self.frames.0.lock();
        if let Some((_, bytes)) = frames.iter().find(|(made, _)| *made == tag) {
            return Ok(bytes.clone());
        }
        let bytes = make(self)?;
        frames.push((tag, bytes.clone()));
        Ok(bytes)
    }
}

/// A running watch: a stream that ends after its first error.
pub struct Watch {
    initial: Option<Initial>,
    watcher: Arc<Watcher>,
    _registration: Registration,
}

/// The state that is still to be sent as ADDED events.
pub(super) struct Initial {
    pub snapshot: Snapshot,
    pub scope: Scope,
    pub predicate: Option<Predicate>,
    pub sent: Option<Key>,
    pub end_bookmark: bool,
}

impl Initial {
    /// The next initial event; `None` when all were sent.
    fn next(&mut self) -> Option<WatchEvent> {
        let wanted = |entry: &&Arc<Entry>| self.predicate.as_ref().is_none_or(|predicate| predicate(entry));
        let entry = self
            .snapshot
            .scoped(&self.scope, self.sent.as_deref())
            .find(wanted)
            .cloned();
        if let Some(entry) = entry {
            self.sent = Some(entry.key().clone());
            let revision = entry.mod_revision();
            let added = ObjectEvent::new(EventKind::Added, revision, entry);
            return Some(WatchEvent::Object(Arc::new(added)));
        }
        let bookmark = WatchEvent::Bookmark {
            revision: self.snapshot.revision(),
            initial_events_end: true,
        };
        std::mem::take(&mut self.end_bookmark).then_some(bookmark)
    }
}

impl Watch {
    pub(super) fn new(initial: Option<Initial>, watcher: Arc<Watcher>, registration: Registration) -> Self {
        Self {
            initial,
            watcher,
            _registration: registration,
        }
    }

    /// An event that waits already.
    pub fn next_waiting(&mut self) -> Option<WatchEvent> {
        self.next_initial().or_else(|| self.watcher.next_waiting())
    }

    fn next_initial(&mut self) -> Option<WatchEvent> {
        let event = self.initial.as_mut()?.next();
        if event.is_none() {
            self.initial = None;
        }
        event
    }
}

impl Stream for Watch {
    type Item = Result<WatchEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.next_initial() {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None => self.watcher.poll_next(context),
        }
    }
}
