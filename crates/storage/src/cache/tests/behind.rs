//! A cache over a store that does not tell its progress, and whose changes are on their way for a while.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::*;
use crate::{Event, Follower, KeyValue, RangeResponse, WatchStream};

/// Holds changes back until told otherwise.
struct Gate {
    follower: Arc<dyn Follower>,
    held: Mutex<Vec<Arc<Event>>>,
    position: AtomicU64,
}

impl Gate {
    /// Lets the next change through.
    fn release_one(&self) {
        let event = self.held.lock().remove(0);
        self.follower.apply(std::slice::from_ref(&event));
        self.position.store(event.revision.0, Ordering::SeqCst);
    }
}

impl Follower for Gate {
    fn reset(&self, revision: Revision, items: Vec<Arc<KeyValue>>) {
        self.follower.reset(revision, items);
        self.position.store(revision.0, Ordering::SeqCst);
    }
    fn apply(&self, events: &[Arc<Event>]) {
        self.held.lock().extend_from_slice(events);
    }
    fn interrupted(&self, error: &Error) {
        self.follower.interrupted(error);
    }
}

struct Place {
    gate: Arc<Gate>,
    _following: Box<dyn Following>,
}

impl Following for Place {
    fn position(&self) -> Revision {
        Revision(self.gate.position.load(Ordering::SeqCst))
    }
    fn reached(&self, _: Revision) -> BoxFuture<'_, Result<(), Error>> {
        std::future::pending().boxed()
    }
    fn tells_progress(&self) -> bool {
        false
    }
}

/// A memory store behind a gate.
struct Tardy {
    inner: Arc<dyn Store>,
    gate: Mutex<Option<Arc<Gate>>>,
}

impl Store for Tardy {
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>> {
        self.inner.get(key, revision)
    }
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>> {
        self.inner.range(request)
    }
    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>> {
        self.inner.count(prefix)
    }
    fn commit<'a>(
        &'a self,
        key: &'a [u8],
        expect: Expect,
        write: Write,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        self.inner.commit(key, expect, write)
    }
    fn watch(&self, prefix: Key, after: Option<Revision>) -> BoxFuture<'_, Result<WatchStream, Error>> {
        self.inner.watch(prefix, after)
    }
    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>> {
        async move {
            let gate = Arc::new(Gate {
                follower,
                held: Mutex::default(),
                position: AtomicU64::default(),
            });
            *self.gate.lock() = Some(gate.clone());
            let following = self.inner.follow(prefix, gate.clone()).await?;
            Ok(Box::new(Place {
                gate,
                _following: following,
            }) as Box<dyn Following>)
        }
        .boxed()
    }
    fn compacted(&self) -> Revision {
        self.inner.compacted()
    }
    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.inner.current_revision()
    }
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.compact(revision)
    }
    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.inner.size_on_disk()
    }
}

/// A bed whose cache has seen nothing of what is written, and the gate that keeps it from it.
async fn bed() -> (Bed, Arc<Gate>) {
    let inner: Arc<dyn Store> = Arc::new(memory::open(memory::Options::default()).unwrap());
    let store = Arc::new(Tardy {
        inner,
        gate: Mutex::default(),
    });
    let cache = Cache::start(store.clone(), PREFIX.into(), Arc::new(Lines), options());
    cache.ready().await.unwrap();
    let gate = store.gate.lock().clone().unwrap();
    (Bed { store, cache }, gate)
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let entries = snapshot.range(b"", None);
    entries.map(|entry| entry.key().to_string()).collect()
}

/// What came and went where the cache has yet to come must be in the state of the time in between: the cache's own
/// content is that of the end, by accident, and must not be taken for the state at any other revision.
#[tokio::test]
async fn what_came_and_went_was_there_in_between() {
    let (bed, gate) = bed().await;
    let created = bed.create("default/a", "|").await;
    let deleted = bed.delete("default/a", created).await;
    for released in 0..=2 {
        let between = bed.cache.snapshot_at(created).await.unwrap();
        assert_eq!(
            names(&between),
            ["/pods/default/a"],
            "{released} changes have come"
        );
        let latest = bed.cache.snapshot(Freshness::Latest).await.unwrap();
        assert_eq!((latest.revision(), names(&latest)), (deleted, Vec::new()));
        let (revision, found) = bed
            .cache
            .get(b"/pods/default/a", Freshness::Latest)
            .await
            .unwrap();
        assert!(revision == deleted && found.is_none());
        if released < 2 {
            gate.release_one();
        }
    }
}

/// A watch that begins with the state begins with that of its revision, and goes on from there.
#[tokio::test]
async fn watches_of_a_state_go_on_from_it() {
    let (bed, gate) = bed().await;
    let a = bed.create("default/a", "|").await;
    let b = bed.create("default/b", "|").await;
    gate.release_one();
    let mut reader = bed.watch(all(), Start::State(Freshness::Latest), None).await;
    let initial = [
        format!("ADDED default/a | {a}"),
        format!("ADDED default/b | {b}"),
        format!("BOOKMARK end {b}"),
    ];
    assert_eq!(reader.take(3).await, initial);
    let deleted = bed.delete("default/a", a).await;
    gate.release_one();
    gate.release_one();
    assert_eq!(reader.take(1).await, [format!("DELETED default/a | {deleted}")]);
}

#[tokio::test(start_paused = true)]
async fn revisions_of_the_future_are_refused() {
    let (bed, _gate) = bed().await;
    let created = bed.create("default/a", "|").await;
    let mut resumed = bed.watch(all(), Start::After(created), None).await;
    let future = bed.cache.snapshot(Freshness::AtLeast(created.next())).await;
    assert!(matches!(future, Err(Error::Future { .. })));
    let next = resumed.0.next().now_or_never();
    assert!(next.is_none(), "nothing came after it");
}
