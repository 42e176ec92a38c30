//! The watch cache: the objects under one prefix as bytes with their labels and fields, a bounded history, and
//! the watchers of both.
//!
//! Modules in reading order: `pairs`, `entry` (an object at rest), `index`, `state` (fed by the store), `packing`
//! (values of some age), `snapshot` (what readers get), `watch` (what watchers ask and get), `watchers` (who gets
//! what), `consistency` (the comparison with the store).
//!
//! Reads are consistent without asking the store for data: the cache waits until it has applied everything up to
//! the store's newest revision, which a store within the process guarantees before it acknowledges a commit. A
//! store that does not tell its progress is read itself when the cache may be behind.
//!
//! Upstream: `apiserver/pkg/storage/cacher`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::sync::{Notify, watch as latest};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

mod consistency;
mod entry;
mod index;
mod packing;
mod pairs;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod watch;
mod watchers;

pub use entry::{EncodingBudget, Entry, Extract, Extracted};
pub use pairs::Pairs;
pub use snapshot::{Entries, Snapshot};
pub use watch::{EventKind, ObjectEvent, Predicate, Scope, Start, Watch, WatchEvent, WatchRequest};

use crate::metrics::ResourceMetrics;
use crate::versioned::View;
use crate::{Error, Following, Found, HistoryLimit, Key, RangeRequest, Revision, Store};
pub use consistency::{Difference, Verdict};
use state::{Mirror, State};
use watch::Initial;
use watchers::{News, Registration, Watcher};

/// Bounds of one cache.
#[derive(Clone)]
pub struct Options {
    /// Changes kept for watches that start in the past and for lists at a past revision, ...
    pub history: HistoryLimit,
    /// ... for about that long: a quiet resource must not hold on to old objects for hours.
    pub history_age: Duration,
    /// Events that a watcher may be behind before it is dropped with [`Error::Slow`].
    pub watcher_buffer: usize,
    /// Fields whose value leads to its objects directly.
    pub indexed_fields: &'static [&'static str],
    /// Watchers that want bookmarks get one that often.
    pub bookmark_interval: Duration,
    /// How long a read waits for a revision that the cache has not seen yet.
    pub wait_limit: Duration,
    /// How often the cache is compared with the store, up to half of it later; zero: never.
    pub check_interval: Duration,
    /// Values are packed that long after they were written.
    pub pack_after: Duration,
    pub metrics: Option<ResourceMetrics>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: HistoryLimit {
                changes: 16 * 1024,
                bytes: 32 << 20,
            },
            history_age: Duration::from_secs(300),
            watcher_buffer: 1024,
            indexed_fields: &[],
            bookmark_interval: Duration::from_secs(60),
            wait_limit: Duration::from_secs(3),
            check_interval: Duration::from_secs(300),
            pack_after: Duration::from_secs(2),
            metrics: None,
        }
    }
}

/// How new the state must be that a read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Whatever is there.
    Any,
    /// At least as new as this revision.
    AtLeast(Revision),
    /// Everything committed before the read began.
    Latest,
}

/// See the module.
pub struct Cache {
    store: Arc<dyn Store>,
    options: Options,
    prefix: Key,
    mirror: Arc<Mirror>,
    following: Arc<Place>,
    ready: latest::Receiver<bool>,
    /// Rung when the cache is to be filled anew.
    refill: Arc<Notify>,
    /// Feeding and packing.
    tasks: [AbortHandle; 2],
}

/// The cache's place in the store's history; none while it is (re)filled.
type Place = RwLock<Option<Arc<dyn Following>>>;

impl Drop for Cache {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.mirror
            .watchers
            .close(&Error::Unavailable("the cache was closed".into()));
    }
}

impl Cache {
    /// A cache of the keys under `prefix` (ends in `/`), filled and fed by a task on the current runtime until
    /// it is dropped.
    pub fn start(
        store: Arc<dyn Store>,
        prefix: Key,
        extract: Arc<dyn Extract>,
        options: Options,
    ) -> Arc<Self> {
        let fields: Arc<[&'static str]> = options.indexed_fields.into();
        let mirror = Arc::new(Mirror::new(
            prefix.clone(),
            extract,
            fields,
            options.history,
            options.metrics.clone(),
        ));
        let following = Arc::new(Place::default());
        let refill = Arc::new(Notify::new());
        let (set_ready, ready) = latest::channel(false);
        let feed = Feed {
            store: store.clone(),
            prefix: prefix.clone(),
            mirror: mirror.clone(),
            following: following.clone(),
            refill: refill.clone(),
            bookmark_interval: options.bookmark_interval,
            marks: Marks::new(options.history_age, options.bookmark_interval),
        };
        let feeding = tokio::spawn(feed.run(set_ready)).abort_handle();
        let packing = packing::keep_packing(mirror.clone(), options.pack_after);
        let packing = tokio::spawn(packing).abort_handle();
        let cache = Arc::new(Self {
            store,
            options,
            prefix,
            mirror,
            following,
            ready,
            refill,
            tasks: [feeding, packing],
        });
        consistency::keep_checking(&cache);
        cache
    }

    /// Resolves once the cache holds the store's content.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut ready = self.ready.clone();
        let ready = ready.wait_for(|ready| *ready).await;
        ready
            .map(drop)
            .map_err(|_| Error::Unavailable("the cache's task ended".into()))
    }

    /// Ends all watches for good: what is under the prefix is served no more, or otherwise. Who reads still may.
    pub fn retire(&self) {
        self.mirror.watchers.close(&Error::Retired);
    }

    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// The newest revision whose changes the cache has applied.
    pub fn revision(&self) -> Revision {
        let following = self.following.read().clone();
        let position = following.map_or(Revision::default(), |following| following.position());
        self.mirror
            .read(|state| state.entries.revision())
            .unwrap_or_default()
            .max(position)
    }

    pub fn watcher_count(&self) -> usize {
        self.mirror.watchers.len()
    }

    /// One entry, with the revision of the state that it was read from.
    pub async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Found<Entry>, Error> {
        let Reached::Cache(reached) = self.wait(freshness).await? else {
            let (revision, stored) = self.store.get(key, None).await?;
            return Ok((revision, stored.map(|stored| self.mirror.entry(&stored))));
        };
        let read = self.read(|state| (state.entries.revision(), state.entries.get(key).cloned()))?;
        Ok((read.0.max(reached), read.1))
    }

    /// Everything under the prefix, as fresh as asked for.
    pub async fn snapshot(&self, freshness: Freshness) -> Result<Snapshot, Error> {
        let Reached::Cache(reached) = self.wait(freshness).await? else {
            return self.stored(None).await;
        };
        let mut snapshot = self.read(State::snapshot)?;
        snapshot.view.revision = snapshot.view.revision.max(reached);
        Ok(snapshot)
    }

    /// Everything under the prefix as of exactly this revision; [`Error::Compacted`] when it is gone.
    pub async fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, Error> {
        if let Reached::Store = self.wait(Freshness::AtLeast(revision)).await? {
            return self.stored(Some(revision)).await;
        }
        let oldest = self.store.compacted();
        if revision < oldest {
            return Err(Error::Compacted {
                requested: revision,
                oldest,
            });
        }
        self.read(|state| {
            if state.entries.revision() <= revision {
                return Ok(Snapshot {
                    view: at_revision(state, revision),
                    ..state.snapshot()
                });
            }
            Ok(Snapshot {
                view: state.entries.view_at(revision)?,
                index: None,
            })
        })?
    }

    /// Starts a watch.
    pub async fn watch(&self, request: WatchRequest) -> Result<Watch, Error> {
        match request.start {
            Start::After(revision) => {
                // A revision of the future is not waited for: what comes up to it is left out.
                self.following().await?;
                self.read(|state| self.resume(state, &request, revision, None))?
            }
            Start::State(freshness) => match self.wait(freshness).await? {
                Reached::Cache(reached) => {
                    self.read(|state| self.start_with_state(state, request, reached))?
                }
                Reached::Store => {
                    let snapshot = self.stored(None).await?;
                    let revision = snapshot.revision();
                    let initial = initial(&request, snapshot);
                    self.read(|state| self.resume(state, &request, revision, Some(initial)))?
                }
            },
        }
    }

    /// Registered under the state's lock: changes come either from the history or from the dispatcher.
    fn resume(
        &self,
        state: &State,
        request: &WatchRequest,
        after: Revision,
        initial: Option<Initial>,
    ) -> Result<Watch, Error> {
        let start = state.entries.revision().max(after);
        let backlog = state.entries.changes_after(after)?;
        let watcher = self.watcher(request, start);
        watcher.preload(backlog.filter_map(|change| watcher.view(&mut News::new(change))));
        let registration = self.mirror.watchers.register(watcher.clone())?;
        Ok(Watch::new(initial, watcher, registration))
    }

    fn start_with_state(
        &self,
        state: &State,
        request: WatchRequest,
        reached: Revision,
    ) -> Result<Watch, Error> {
        let mut snapshot = state.snapshot();
        snapshot.view.revision = snapshot.view.revision.max(reached);
        let watcher = self.watcher(&request, snapshot.revision());
        let registration: Registration = self.mirror.watchers.register(watcher.clone())?;
        let initial = initial(&request, snapshot);
        Ok(Watch::new(Some(initial), watcher, registration))
    }

    /// Everything under the prefix as the store itself has it.
    async fn stored(&self, revision: Option<Revision>) -> Result<Snapshot, Error> {
        let request = RangeRequest {
            prefix: self.prefix.clone(),
            revision,
            ..Default::default()
        };
        let page = self.store.range(request).await?;
        let entries = page.items.iter().map(|item| self.mirror.entry(item));
        let map = entries.map(|entry| (entry.key().clone(), entry)).collect();
        Ok(Snapshot {
            view: View {
                revision: page.revision,
                map,
            },
            index: None,
        })
    }

    fn watcher(&self, request: &WatchRequest, start: Revision) -> Arc<Watcher> {
        let (scope, predicate) = (request.scope.clone(), request.predicate.clone());
        Arc::new(Watcher::new(
            scope,
            predicate,
            request.bookmarks,
            start,
            self.options.watcher_buffer,
        ))
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Error> {
        self.mirror
            .read(look)
            .ok_or_else(|| Error::Unavailable("the cache is not filled yet".into()))
    }

    /// Waits until the cache is as fresh as asked for, or finds that only the store is known to be.
    async fn wait(&self, freshness: Freshness) -> Result<Reached, Error> {
        let following = self.following().await?;
        let wanted = match freshness {
            Freshness::Any => return Ok(Reached::Cache(following.position())),
            Freshness::AtLeast(revision) => revision,
            Freshness::Latest => self.store.current_revision().await?,
        };
        let newest = following.position();
        let reached = if newest >= wanted {
            Ok(Reached::Cache(match freshness {
                // The state may be newer than what was asked for: it must not claim to be older.
                Freshness::AtLeast(_) => newest,
                _ => wanted,
            }))
        } else if !following.tells_progress() && self.is_in_store(freshness, wanted).await? {
            Ok(Reached::Store)
        } else {
            self.wait_for(&*following, wanted).await.map(Reached::Cache)
        };
        if let (Some(metrics), Freshness::Latest) = (&self.options.metrics, freshness) {
            metrics.consistent_read(reached.is_ok());
        }
        reached
    }

    /// A revision that a client names may lie in the future of the store too.
    async fn is_in_store(&self, freshness: Freshness, wanted: Revision) -> Result<bool, Error> {
        Ok(freshness == Freshness::Latest || self.store.current_revision().await? >= wanted)
    }

    async fn wait_for(&self, following: &dyn Following, wanted: Revision) -> Result<Revision, Error> {
        let began = Instant::now();
        let reached = timeout(self.options.wait_limit, following.reached(wanted)).await;
        if let Some(metrics) = &self.options.metrics {
            metrics.waited(began.elapsed());
        }
        match reached {
            Ok(reached) => reached.map(|()| wanted),
            Err(_) => Err(Error::Future {
                requested: wanted,
                newest: following.position(),
            }),
        }
    }

    /// A list was answered from this cache: through an index (`""`: none), from so many objects.
    pub fn record_list(&self, index: &str, fetched: usize, returned: usize) {
        if let Some(metrics) = &self.options.metrics {
            metrics.listed(index, fetched, returned);
        }
    }

    async fn following(&self) -> Result<Arc<dyn Following>, Error> {
        let is_not_filled = || Error::Unavailable("the cache is not filled yet".into());
        if !self.is_ready() {
            timeout(self.options.wait_limit, self.ready())
                .await
                .map_err(|_| is_not_filled())??;
        }
        self.following.read().clone().ok_or_else(is_not_filled)
    }
}

/// Who is as fresh as a reader asks for.
enum Reached {
    /// The cache: it has come to this revision.
    Cache(Revision),
    /// Only the store: it does not tell the cache how far it is.
    Store,
}

fn initial(request: &WatchRequest, snapshot: Snapshot) -> Initial {
    Initial {
        snapshot,
        scope: request.scope.clone(),
        predicate: request.predicate.clone(),
        sent: None,
        end_bookmark: request.initial_events_end,
    }
}

/// The newest state, called by a revision at which it was already (and still) true.
fn at_revision(state: &State, revision: Revision) -> View<Entry> {
    let mut view = state.entries.view();
    view.revision = revision;
    view
}

/// The task of a cache: fills it, then gives changes and bookmarks to watchers.
struct Feed {
    store: Arc<dyn Store>,
    prefix: Key,
    mirror: Arc<Mirror>,
    following: Arc<Place>,
    refill: Arc<Notify>,
    bookmark_interval: Duration,
    marks: Marks,
}

/// Where the cache was at the last bookmarks: history goes when it is older than the oldest mark kept.
struct Marks {
    revisions: VecDeque<Revision>,
    kept: usize,
}

impl Marks {
    fn new(age: Duration, interval: Duration) -> Self {
        let kept = age.as_secs_f64() / interval.as_secs_f64().max(f64::MIN_POSITIVE);
        Self {
            revisions: VecDeque::new(),
            kept: (kept.ceil() as usize).clamp(1, 10_000),
        }
    }

    /// Notes a revision; returns the one before which history is too old by now.
    fn note(&mut self, revision: Revision) -> Option<Revision> {
        self.revisions.push_back(revision);
        if self.revisions.len() > self.kept {
            self.revisions.pop_front()
        } else {
            None
        }
    }
}

impl Feed {
    async fn run(mut self, ready: latest::Sender<bool>) {
        let mut following = self.fill(&ready).await;
        let mut bookmarks = interval(self.bookmark_interval);
        bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        bookmarks.reset();
        loop {
            tokio::select! {
                () = self.mirror.changed.notified() => self.mirror.dispatch(),
                () = self.refill.notified() => {
                    // Two followings at once would feed each change twice.
                    *self.following.write() = None;
                    drop(following);
                    following = self.fill(&ready).await;
                }
                _ = bookmarks.tick() => {
                    // Read before dispatching: everything up to it is in the mirror, and then with the watchers.
                    let position = following.position();
                    self.mirror.dispatch();
                    self.mirror.watchers.bookmark(position);
                    if let Some(old) = self.marks.note(position) {
                        self.mirror.forget_before(old);
                    }
                }
            }
        }
    }

    /// Fills the cache, and lets readers in.
    async fn fill(&self, ready: &latest::Sender<bool>) -> Arc<dyn Following> {
        ready.send_replace(false);
        let following: Arc<dyn Following> = Arc::from(self.follow().await);
        *self.following.write() = Some(following.clone());
        ready.send_replace(true);
        following
    }

    /// Retries until the store can be read: a server starts before its store is reachable.
    async fn follow(&self) -> Box<dyn Following> {
        let mut delays = [1, 2, 4]
            .into_iter()
            .chain(std::iter::repeat(5))
            .map(Duration::from_secs);
        loop {
            match self.store.follow(self.prefix.clone(), self.mirror.clone()).await {
                Ok(following) => return following,
                Err(error) => warn!(prefix = %self.prefix, %error, "cache can't be filled yet"),
            }
            tokio::time::sleep(delays.next().unwrap_or_default()).await;
        }
    }
}
