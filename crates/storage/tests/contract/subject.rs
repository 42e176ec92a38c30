//! The stores under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use storage::encryption::{Algorithm, Current, Encrypted, Provider, Rules, SecretKey};
use storage::{
    Error, Event, Expect, Key, Revision, Store, WatchItem, WatchStream, Write, embedded, memory, rooted,
};

/// A kind of store, and what the suite needs to make one.
pub trait Subject: Send + Sync + 'static {
    fn open(&self) -> Arc<dyn Store>;
    /// The shortest time to live that the store keeps to.
    fn short_ttl(&self) -> Duration {
        Duration::from_secs(10)
    }
    /// Moves the clock by which keys expire, where it can be moved.
    fn advance_clock(&self, by: Duration);
}

/// A wall clock that tests move.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn options(&self) -> memory::Options {
        let seconds = self.0.clone();
        let base = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = move || base + Duration::from_secs(seconds.load(Ordering::Relaxed));
        memory::Options {
            clock: Arc::new(clock),
            max_write_bytes: 1 << 20,
            ..Default::default()
        }
    }
}

#[derive(Default)]
pub struct Memory {
    clock: Clock,
}

impl Subject for Memory {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(memory::open(self.clock.options()).unwrap())
    }
    fn advance_clock(&self, by: Duration) {
        self.clock.0.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

pub struct Embedded {
    clock: Clock,
    directory: tempfile::TempDir,
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            directory: tempfile::tempdir().unwrap(),
        }
    }
}

impl Subject for Embedded {
    fn open(&self) -> Arc<dyn Store> {
        // Small bounds, so that rotation and snapshots happen under every case.
        let options = embedded::Options {
            local: self.clock.options(),
            segment_bytes: 4 << 10,
            snapshot_after_bytes: 16 << 10,
        };
        Arc::new(embedded::open(self.directory.path(), options).unwrap())
    }
    fn advance_clock(&self, by: Duration) {
        self.clock.0.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

/// A store whose keys stand under another root, and whose values are encrypted.
#[derive(Default)]
pub struct Translated {
    inner: Memory,
}

impl Subject for Translated {
    fn open(&self) -> Arc<dyn Store> {
        let algorithm = Algorithm::AesGcm;
        let key = SecretKey::new(algorithm, "key", &[7; 32]).unwrap();
        let mut rules = Rules::default();
        rules.add(
            vec!["/elsewhere/".into()],
            vec![Provider::Keys {
                algorithm,
                keys: vec![key],
            }],
        );
        rooted::moved(
            Arc::new(Encrypted::new(self.inner.open(), Current::new(rules))),
            "/",
            "/elsewhere",
        )
    }
    fn advance_clock(&self, by: Duration) {
        self.inner.advance_clock(by);
    }
}

/// Short forms for the cases.
pub struct Driver(pub Arc<dyn Store>);

impl Driver {
    pub async fn create(&self, key: &str, value: &str) -> Result<Revision, Error> {
        self.0.commit(key.as_bytes(), Expect::Absent, put(value)).await
    }

    pub async fn update(&self, key: &str, at: Revision, value: &str) -> Result<Revision, Error> {
        self.0
            .commit(key.as_bytes(), Expect::Unchanged(at), put(value))
            .await
    }

    pub async fn delete(&self, key: &str, at: Revision) -> Result<Revision, Error> {
        self.0
            .commit(key.as_bytes(), Expect::Unchanged(at), Write::Delete)
            .await
    }

    pub async fn value(&self, key: &str, at: Option<Revision>) -> Result<Option<String>, Error> {
        let (_, item) = self.0.get(key.as_bytes(), at).await?;
        Ok(item.map(|item| String::from_utf8(item.value.bytes().to_vec()).unwrap()))
    }

    pub async fn watch(&self, prefix: &str, after: Option<Revision>) -> Result<Watcher, Error> {
        Ok(Watcher(self.0.watch(Key::from(prefix), after).await?))
    }
}

pub fn put(value: &str) -> Write {
    Write::Put {
        value: Bytes::copy_from_slice(value.as_bytes()),
        ttl: None,
    }
}

/// A watch, read event by event.
pub struct Watcher(pub WatchStream);

impl Watcher {
    /// The next `count` events as text; fails the test when none comes for a while.
    pub async fn take(&mut self, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
            match next.expect("an event in time").expect("an open stream").unwrap() {
                WatchItem::Events(events) => seen.extend(events.iter().map(|event| show(event))),
                WatchItem::Progress(_) => {}
            }
        }
        seen
    }
}

/// `5 /a=1 (was 0)`.
pub fn show(event: &Event) -> String {
    let side = |item: &storage::KeyValue| String::from_utf8_lossy(&item.value.bytes()).into_owned();
    let (key, revision) = (event.key(), event.revision);
    match (&event.current, &event.previous) {
        (Some(current), None) => format!("{revision} {key}={}", side(current)),
        (Some(current), Some(previous)) => {
            format!("{revision} {key}={} (was {})", side(current), side(previous))
        }
        (None, Some(previous)) => format!("{revision} {key} deleted (was {})", side(previous)),
        (None, None) => format!("{revision} empty"),
    }
}
