//! The watchers of one cache: who gets an event, and each watcher's bounded queue.
//!
//! A watcher stands in one bucket, that of its scope, and an event visits only the buckets that its key, its
//! namespace and its indexed fields name: a thousand watchers of a thousand nodes cost an event as much as one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::entry::Entry;
use super::index::IndexedFields;
use super::state::EntryChange;
use super::watch::{EventKind, ObjectEvent, Predicate, Scope, WatchEvent};
use crate::versioned::Change;
use crate::{Error, Key, Revision};

/// Items that an empty queue keeps room for.
const IDLE_CAPACITY: usize = 16;

/// One watcher: its filter and its queue.
pub(super) struct Watcher {
    scope: Scope,
    predicate: Option<Predicate>,
    bookmarks: bool,
    /// Events up to this revision were given to the watcher at its start.
    start: Revision,
    buffer: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<WatchEvent>,
    /// Room for what was queued at the start, on top of the buffer.
    preloaded: usize,
    waker: Option<Waker>,
    /// Why nothing more will be queued.
    ended: Option<Error>,
    /// The end was told to the reader.
    finished: bool,
}

impl Queue {
    fn take(&mut self) -> Option<WatchEvent> {
        let item = self.items.pop_front()?;
        if self.items.is_empty() && self.items.capacity() > IDLE_CAPACITY {
            self.items = VecDeque::new();
        }
        Some(item)
    }
}

impl Watcher {
    pub fn new(
        scope: Scope,
        predicate: Option<Predicate>,
        bookmarks: bool,
        start: Revision,
        buffer: usize,
    ) -> Self {
        Self {
            scope,
            predicate,
            bookmarks,
            start,
            buffer,
            queue: Mutex::default(),
        }
    }

    fn matches(&self, entry: &Entry) -> bool {
        let in_scope = match &self.scope {
            Scope::Key(key) => entry.key() == key,
            Scope::Prefix(prefix) => entry.key().starts_with(prefix),
            Scope::Field { prefix, field, value } => {
                entry.fields().get(field) == Some(value) && entry.key().starts_with(prefix)
            }
        };
        in_scope && self.predicate.as_ref().is_none_or(|predicate| predicate(entry))
    }

    /// The change as this watcher sees it.
    pub fn view(&self, news: &mut News<'_>) -> Option<WatchEvent> {
        let change = news.change;
        let current = change.current().is_some_and(|entry| self.matches(entry));
        let previous = match change.previous() {
            Some(_) if news.selects_alike => current,
            Some(entry) => self.matches(entry),
            None => false,
        };
        let kind = match (previous, current) {
            (false, false) => return None,
            (false, true) => EventKind::Added,
            (true, true) => EventKind::Modified,
            (true, false) => EventKind::Deleted,
        };
        news.event(kind).map(WatchEvent::Object)
    }

    /// Queues what the watcher gets at its start, however much it is: it exists already and is shared.
    pub fn preload(&self, events: impl Iterator<Item = WatchEvent>) {
        let mut queue = self.queue.lock();
        queue.items.extend(events);
        queue.preloaded = queue.items.len();
    }

    fn offer(&self, news: &mut News<'_>, waiting: &mut Vec<Waker>) -> Queued {
        if news.change.revision() <= self.start {
            return Queued::Kept;
        }
        match self.view(news) {
            Some(event) => self.push(event, waiting),
            None => Queued::Kept,
        }
    }

    /// Queues an item, or ends the watch when the reader is `buffer` items behind. Who waits for it is to be woken.
    fn push(&self, item: WatchEvent, waiting: &mut Vec<Waker>) -> Queued {
        let mut queue = self.queue.lock();
        if queue.ended.is_some() {
            return Queued::Kept;
        }
        let is_full = queue.items.len() >= self.buffer + queue.preloaded;
        if is_full {
            queue.ended = Some(Error::Slow);
            queue.items = VecDeque::new();
        } else {
            queue.items.push_back(item);
        }
        waiting.extend(queue.waker.take());
        if is_full { Queued::Ended } else { Queued::Kept }
    }

    /// A bookmark is worth nothing to a reader that has events waiting.
    fn bookmark(&self, revision: Revision, waiting: &mut Vec<Waker>) {
        let idle = self.queue.lock().items.is_empty();
        if self.bookmarks && idle && revision >= self.start {
            let bookmark = WatchEvent::Bookmark {
                revision,
                initial_events_end: false,
            };
            self.push(bookmark, waiting);
        }
    }

    fn end(&self, error: Error) {
        let mut queue = self.queue.lock();
        queue.ended.get_or_insert(error);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// An item that waits already.
    pub fn next_waiting(&self) -> Option<WatchEvent> {
        self.queue.lock().take()
    }

    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<WatchEvent, Error>>> {
        let mut queue = self.queue.lock();
        if let Some(item) = queue.take() {
            return Poll::Ready(Some(Ok(item)));
        }
        if queue.finished {
            return Poll::Ready(None);
        }
        if let Some(error) = queue.ended.clone() {
            queue.finished = true;
            return Poll::Ready(Some(Err(error)));
        }
        if !queue
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            queue.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

/// A change on its way to the watchers: an event of it is made once, for all who see it so.
pub(super) struct News<'a> {
    change: &'a EntryChange,
    /// Before and after it, every selector finds the same.
    selects_alike: bool,
    events: [Option<Arc<ObjectEvent>>; 3],
}

impl<'a> News<'a> {
    pub fn new(change: &'a EntryChange) -> Self {
        let selects_alike = match (change.previous(), change.current()) {
            (Some(previous), Some(current)) => {
                previous.labels() == current.labels() && previous.fields() == current.fields()
            }
            _ => false,
        };
        Self {
            change,
            selects_alike,
            events: Default::default(),
        }
    }

    /// `None` if it can't be seen so.
    fn event(&mut self, kind: EventKind) -> Option<Arc<ObjectEvent>> {
        let made = &mut self.events[kind as usize];
        if made.is_none() {
            let entry = match kind {
                EventKind::Added | EventKind::Modified => self.change.current()?,
                EventKind::Deleted => self.change.previous()?,
            };
            let event = ObjectEvent::new(kind, self.change.revision(), entry.clone());
            *made = Some(Arc::new(event));
        }
        made.clone()
    }
}

/// What became of a watcher that was given an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queued {
    Kept,
    /// It was too slow.
    Ended,
}

/// All watchers of a cache.
pub(super) struct Watchers {
    prefix: Key,
    fields: IndexedFields,
    buckets: Mutex<Buckets>,
}

#[derive(Default)]
struct Buckets {
    next_id: u64,
    /// Ordered by id, so that watchers are served in the order in which they came.
    by_scope: HashMap<Bucket, BTreeMap<u64, Arc<Watcher>>>,
    /// Set when the cache has closed: nobody would feed a newcomer.
    closed: Option<Error>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Bucket {
    Prefix(Key),
    Key(Key),
    Field(&'static str, String),
}

impl From<&Scope> for Bucket {
    fn from(scope: &Scope) -> Self {
        match scope {
            Scope::Prefix(prefix) => Self::Prefix(prefix.clone()),
            Scope::Key(key) => Self::Key(key.clone()),
            Scope::Field { field, value, .. } => Self::Field(field, value.clone()),
        }
    }
}

/// Takes the watcher out when dropped.
pub(super) struct Registration {
    watchers: Weak<Watchers>,
    bucket: Bucket,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(watchers) = self.watchers.upgrade() else {
            return;
        };
        let mut buckets = watchers.buckets.lock();
        if let Some(bucket) = buckets.by_scope.get_mut(&self.bucket) {
            let removed = bucket.remove(&self.id);
            if bucket.is_empty() {
                buckets.by_scope.remove(&self.bucket);
            }
            // A predicate's captures are dropped outside of the lock.
            drop(buckets);
            drop(removed);
        }
    }
}

impl Watchers {
    pub fn new(prefix: Key, fields: IndexedFields) -> Self {
        Self {
            prefix,
            fields,
            buckets: Mutex::default(),
        }
    }

    pub fn register(self: &Arc<Self>, watcher: Arc<Watcher>) -> Result<Registration, Error> {
        let mut buckets = self.buckets.lock();
        if let Some(error) = &buckets.closed {
            return Err(error.clone());
        }
        let bucket = Bucket::from(&watcher.scope);
        let id = buckets.next_id;
        buckets.next_id += 1;
        buckets
            .by_scope
            .entry(bucket.clone())
            .or_default()
            .insert(id, watcher);
        Ok(Registration {
            watchers: Arc::downgrade(self),
            bucket,
            id,
        })
    }

    pub fn len(&self) -> usize {
        self.buckets.lock().by_scope.values().map(BTreeMap::len).sum()
    }

    /// Gives a change to every watcher that it concerns; returns how many were too slow for it. Only when all have it
    /// their tasks are woken: one that serves many watchers finds what there is for all of them.
    pub fn dispatch(&self, change: &EntryChange) -> usize {
        let buckets = self.buckets.lock();
        if buckets.by_scope.is_empty() {
            return 0;
        }
        let (mut news, mut waiting, mut ended) = (News::new(change), Vec::new(), 0);
        self.for_each_bucket(change, |bucket| {
            for watcher in buckets
                .by_scope
                .get(bucket)
                .into_iter()
                .flat_map(BTreeMap::values)
            {
                ended += usize::from(watcher.offer(&mut news, &mut waiting) == Queued::Ended);
            }
        });
        drop(buckets);
        waiting.into_iter().for_each(Waker::wake);
        ended
    }

    /// Each bucket that the change may concern, once.
    fn for_each_bucket(&self, change: &EntryChange, mut visit: impl FnMut(&Bucket)) {
        let key = change.key();
        visit(&Bucket::Key(key.clone()));
        visit(&Bucket::Prefix(self.prefix.clone()));
        let below = &key[self.prefix.len()..];
        let slashes = below.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (at, _) in slashes {
            visit(&Bucket::Prefix(Key::from(&key[..self.prefix.len() + at + 1])));
        }
        for field in self.fields.iter().copied() {
            let value = |entry: Option<&Arc<Entry>>| {
                entry.and_then(|entry| entry.fields().get(field).map(str::to_owned))
            };
            let (current, previous) = (value(change.current()), value(change.previous()));
            if previous != current
                && let Some(value) = previous
            {
                visit(&Bucket::Field(field, value));
            }
            if let Some(value) = current {
                visit(&Bucket::Field(field, value));
            }
        }
    }

    pub fn bookmark(&self, revision: Revision) {
        let mut waiting = Vec::new();
        for watcher in self.buckets.lock().by_scope.values().flat_map(BTreeMap::values) {
            watcher.bookmark(revision, &mut waiting);
        }
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ends every watch.
    pub fn end_all(&self, error: &Error) {
        for watcher in self.buckets.lock().by_scope.values().flat_map(BTreeMap::values) {
            watcher.end(error.clone());
        }
    }

    /// Ends every watch and refuses new ones.
    pub fn close(&self, error: &Error) {
        self.buckets.lock().closed = Some(error.clone());
        self.end_all(error);
    }
}
