//! The store within the process: state in memory, one writer thread, an optional journal on disk.
//!
//! Reading order: `request` (what the writer is asked), `plan` (pure: expectations against state and batch),
//! `expiry` (pure: keys with a time to live), `journal` (the seam to the disk), `writer` (the thread),
//! `followers` (mirrors fed in commit order), `watch` (streams over the history).
//!
//! A batch of writes is planned, journalled with one sync, and only then applied: to the followers and to the
//! index, under the index's lock, so that no reader of either sees a write before it is durable, nor a mirror
//! older than a read that it made before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch as latest;

pub(crate) mod expiry;
mod followers;
pub(crate) mod journal;
pub(crate) mod plan;
mod request;
mod watch;
mod writer;

use crate::versioned::{Change, HistoryLimit, Versioned};
use crate::{
    Error, Event, Expect, Follower, Following, Found, Key, KeyValue, RangeRequest, RangeResponse, Revision,
    Store, WatchStream, Write,
};
use expiry::Expiries;
use followers::{Followers, LocalFollowing};
use journal::{DiskUsage, Journal, Recovered, State};
use plan::Planned;
use request::{Inbox, Outbox};

/// Wall clock: keys expire by it, across restarts.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Bounds of a store within the process.
#[derive(Clone)]
pub struct Options {
    /// Changes kept for reads and watches in the past, when nobody compacts.
    pub history: HistoryLimit,
    /// Key and value of one write.
    pub max_write_bytes: usize,
    /// Writes that may wait for the writer; further ones wait to be queued.
    pub max_pending: usize,
    pub clock: WallClock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: HistoryLimit {
                changes: 100_000,
                bytes: 64 << 20,
            },
            max_write_bytes: 8 << 20,
            max_pending: 4096,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl Change for Event {
    type Value = KeyValue;
    fn revision(&self) -> Revision {
        self.revision
    }
    fn key(&self) -> &Key {
        Event::key(self)
    }
    fn current(&self) -> Option<&Arc<KeyValue>> {
        self.current.as_ref()
    }
    fn previous(&self) -> Option<&Arc<KeyValue>> {
        self.previous.as_ref()
    }
    fn weight(&self) -> usize {
        self.previous.as_ref().map_or(0, |previous| previous.value.len())
    }
}

pub(crate) type Index = Versioned<Event>;

/// How far the writer has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub newest: Revision,
    /// Why nothing will be written any more.
    pub closed: Option<Error>,
}

/// State that the writer changes and everyone reads.
pub(crate) struct Shared {
    index: RwLock<Index>,
    /// Changes with the index, under its lock.
    expiries: Mutex<Expiries>,
    followers: Mutex<Followers>,
    progress: latest::Sender<Progress>,
    /// What was compacted on demand; the index may have dropped more for want of room.
    compacted: AtomicU64,
}

/// See the module. Dropping the last handle ends the writer after the writes that it has accepted.
pub struct LocalStore {
    shared: Arc<Shared>,
    outbox: Outbox,
    max_write_bytes: usize,
    disk_usage: DiskUsage,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl LocalStore {
    /// Starts the writer over a recovered state.
    pub(crate) fn start(
        recovered: Recovered,
        journal: Option<Box<dyn Journal>>,
        disk_usage: DiskUsage,
        options: Options,
    ) -> Result<Self, Error> {
        let index = recovered.index;
        let progress = Progress {
            newest: index.revision(),
            closed: None,
        };
        let shared = Arc::new(Shared {
            index: RwLock::new(index),
            expiries: Mutex::new(recovered.expiries),
            followers: Mutex::default(),
            progress: latest::Sender::new(progress),
            compacted: AtomicU64::new(0),
        });
        let (outbox, inbox) = request::channel(options.max_pending);
        let writer = start_writer(shared.clone(), journal, inbox, options.clock)?;
        Ok(Self {
            shared,
            outbox,
            max_write_bytes: options.max_write_bytes,
            disk_usage,
            writer: Some(writer),
        })
    }

    fn read(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        let view = {
            let index = self.shared.index.read();
            match request.revision {
                Some(revision) => index.view_at(revision)?,
                None => index.view(),
            }
        };
        let mut rest = view.range(&request.prefix, request.after.as_deref());
        let limit = if request.limit == 0 {
            usize::MAX
        } else {
            request.limit
        };
        let items = rest.by_ref().take(limit).cloned().collect();
        Ok(RangeResponse {
            revision: view.revision,
            items,
            remaining: rest.count() as u64,
        })
    }

    fn read_key(&self, key: &[u8], revision: Option<Revision>) -> Result<Found<KeyValue>, Error> {
        let index = self.shared.index.read();
        let found = match revision {
            Some(revision) => index.get_at(key, revision)?,
            None => index.get(key),
        };
        Ok((index.revision(), found.cloned()))
    }

    async fn write(&self, key: &[u8], expect: Expect, write: Write) -> Result<Revision, Error> {
        let size = key.len()
            + if let Write::Put { value, .. } = &write {
                value.len()
            } else {
                0
            };
        if size > self.max_write_bytes {
            return Err(Error::TooLarge {
                size,
                limit: self.max_write_bytes,
            });
        }
        self.outbox.commit(Key::from(key), expect, write).await
    }
}

fn start_writer(
    shared: Arc<Shared>,
    journal: Option<Box<dyn Journal>>,
    inbox: Inbox,
    clock: WallClock,
) -> Result<std::thread::JoinHandle<()>, Error> {
    let writer = writer::Writer::new(shared, journal, inbox, clock);
    std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || writer.run())
        .map_err(|error| Error::Unavailable(format!("the writer can't be started: {error}")))
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        self.outbox.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer ended by a panic");
        }
    }
}

impl Store for LocalStore {
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>> {
        std::future::ready(self.read_key(key, revision)).boxed()
    }

    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>> {
        std::future::ready(self.read(request)).boxed()
    }

    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>> {
        let view = self.shared.index.read().view();
        let count = view.range(prefix, None).count() as u64;
        std::future::ready(Ok(count)).boxed()
    }

    fn commit<'a>(
        &'a self,
        key: &'a [u8],
        expect: Expect,
        write: Write,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        self.write(key, expect, write).boxed()
    }

    fn watch(&self, prefix: Key, after: Option<Revision>) -> BoxFuture<'_, Result<WatchStream, Error>> {
        std::future::ready(watch::open(self.shared.clone(), prefix, after)).boxed()
    }

    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>> {
        let following: Box<dyn Following> =
            Box::new(LocalFollowing::begin(self.shared.clone(), prefix, follower));
        std::future::ready(Ok(following)).boxed()
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        std::future::ready(Ok(self.shared.newest())).boxed()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        let done = self.shared.index.write().compact(revision);
        if done.is_ok() {
            self.shared.compacted.fetch_max(revision.0, Ordering::Relaxed);
        }
        std::future::ready(done).boxed()
    }

    fn compacted(&self) -> Revision {
        Revision(self.shared.compacted.load(Ordering::Relaxed))
    }

    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>> {
        std::future::ready((self.disk_usage)()).boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Error>> {
        let closed = self.shared.progress.borrow().closed.clone();
        std::future::ready(closed.map_or(Ok(()), Err)).boxed()
    }
}

impl Shared {
    fn newest(&self) -> Revision {
        self.progress.borrow().newest
    }

    /// Makes durable changes visible, to all at once.
    fn publish(&self, changes: &[Planned]) {
        let Some(last) = changes.last() else { return };
        let events: Vec<_> = changes.iter().map(|change| change.event.clone()).collect();
        let mut index = self.index.write();
        events.iter().for_each(|event| index.apply(event.clone()));
        let mut expiries = self.expiries.lock();
        changes.iter().for_each(|change| expiries.follow(change));
        drop(expiries);
        self.followers.lock().apply(&events);
        self.progress
            .send_modify(|progress| progress.newest = last.event.revision);
    }

    /// The whole state as of one revision.
    fn state(&self) -> State {
        let index = self.index.read();
        let expiries = self.expiries.lock().clone();
        State {
            view: index.view(),
            expiries,
        }
    }

    /// Nothing will be written any more.
    fn close(&self, error: Error) {
        self.followers.lock().interrupt(&error);
        self.progress
            .send_modify(|progress| progress.closed = Some(error));
    }
}

/// How long until `at`, as of `now`.
fn until(at: SystemTime, now: SystemTime) -> Duration {
    at.duration_since(now).unwrap_or_default()
}
