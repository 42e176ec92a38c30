//! The comparison of a cache with its store, in the background: what no test has shown must not stay unseen.
//!
//! A cache that differs says so in the log and in `apiserver_storage_consistency_checks_total`, and is filled anew:
//! its watchers are ended, and list again.
//!
//! Upstream: `consistencyChecker` in `apiserver/pkg/storage/cacher/delegator.go`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::{debug, error, warn};

use super::entry::Entry;
use super::{Cache, Freshness};
use crate::{Error, Key, KeyValue, RangeRequest, Revision, Store};

/// Keys that are read from the store at a time.
const PAGE: usize = 1000;

/// The outcome of a comparison at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same { revision: Revision, keys: u64 },
    Different { revision: Revision, first: Difference },
}

/// The first key, in order, at which the two are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub key: Key,
    /// When the store says that the key was last written; `None`: it does not exist.
    pub stored: Option<Revision>,
    pub cached: Option<Revision>,
}

/// Compares from time to time, as long as the cache is there.
pub(super) fn keep_checking(cache: &Arc<Cache>) {
    let interval = cache.options.check_interval;
    if interval.is_zero() {
        return;
    }
    let (weak, pause) = (Arc::downgrade(cache), jittered(interval, &cache.prefix));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            if !check_once(&weak).await {
                return;
            }
        }
    });
}

/// Caches check at different times: up to half an interval apart, told by their prefixes.
fn jittered(interval: Duration, prefix: &Key) -> Duration {
    let mut hasher = DefaultHasher::new();
    prefix.as_bytes().hash(&mut hasher);
    interval + interval.mul_f64((hasher.finish() % 1000) as f64 / 2000.0)
}

/// `false`: the cache is gone.
async fn check_once(cache: &Weak<Cache>) -> bool {
    let Some(cache) = cache.upgrade() else {
        return false;
    };
    let prefix = cache.prefix();
    let status = match cache.check().await {
        Ok(Verdict::Same { revision, keys }) => {
            debug!(%prefix, %revision, keys, "the cache is what the store has");
            "success"
        }
        Ok(Verdict::Different { revision, first }) => {
            error!(%prefix, %revision, key = %first.key, stored = ?first.stored, cached = ?first.cached,
                "the cache is not what the store has: it is filled anew");
            cache.refill.notify_one();
            "failure"
        }
        Err(error) => {
            warn!(%prefix, %error, "the cache can't be compared with the store");
            "error"
        }
    };
    if let Some(metrics) = &cache.options.metrics {
        metrics.checked(status);
    }
    true
}

impl Cache {
    /// Compares the cache with the store, as of the cache's revision: keys, revisions and bytes.
    pub async fn check(&self) -> Result<Verdict, Error> {
        let snapshot = self.snapshot(Freshness::Any).await?;
        let revision = snapshot.revision();
        let mut cached = snapshot.range(&self.prefix, None).peekable();
        let (mut after, mut keys) = (None, 0);
        loop {
            let page = page(&*self.store, &self.prefix, after, revision).await?;
            for stored in &page.items {
                if let Some(first) = compare(stored, cached.next()) {
                    return Ok(Verdict::Different { revision, first });
                }
                keys += 1;
            }
            after = page.items.last().map(|item| item.key.clone());
            if page.remaining == 0 || after.is_none() {
                break;
            }
        }
        Ok(match cached.next() {
            None => Verdict::Same { revision, keys },
            Some(superfluous) => Verdict::Different {
                revision,
                first: Difference {
                    key: superfluous.key().clone(),
                    stored: None,
                    cached: Some(superfluous.mod_revision()),
                },
            },
        })
    }
}

async fn page(
    store: &dyn Store,
    prefix: &Key,
    after: Option<Key>,
    revision: Revision,
) -> Result<crate::RangeResponse, Error> {
    let request = RangeRequest {
        prefix: prefix.clone(),
        after,
        limit: PAGE,
        revision: Some(revision),
    };
    store.range(request).await
}

fn compare(stored: &Arc<KeyValue>, cached: Option<&Arc<Entry>>) -> Option<Difference> {
    let difference = |key: &Key, stored, cached| {
        Some(Difference {
            key: key.clone(),
            stored,
            cached,
        })
    };
    let there = Some(stored.mod_revision);
    match cached {
        None => difference(&stored.key, there, None),
        Some(cached) if cached.key() < &stored.key => {
            difference(cached.key(), None, Some(cached.mod_revision()))
        }
        Some(cached) if cached.key() > &stored.key => difference(&stored.key, there, None),
        Some(cached) if !is_same(stored, cached.stored()) => {
            difference(&stored.key, there, Some(cached.mod_revision()))
        }
        Some(_) => None,
    }
}

/// What is shared is the same.
fn is_same(stored: &Arc<KeyValue>, cached: &Arc<KeyValue>) -> bool {
    Arc::ptr_eq(stored, cached) || stored == cached
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Extract, Extracted, Options};
    use super::*;
    use crate::{Event, Expect, Follower, Write, memory};

    struct Nothing;

    impl Extract for Nothing {
        fn extract(&self, _: &[u8], _: &[u8]) -> Result<Extracted, String> {
            Ok(Extracted::default())
        }
    }

    /// A cache over three keys.
    async fn cache() -> Arc<Cache> {
        let store: Arc<dyn Store> = Arc::new(memory::open(Default::default()).unwrap());
        for name in ["a", "b", "c"] {
            let put = Write::Put {
                value: Bytes::from_static(b"1"),
                ttl: None,
            };
            let key = format!("/pods/{name}");
            store.commit(key.as_bytes(), Expect::Absent, put).await.unwrap();
        }
        let options = Options {
            check_interval: Duration::ZERO,
            ..Options::default()
        };
        let cache = Cache::start(store, "/pods/".into(), Arc::new(Nothing), options);
        cache.ready().await.unwrap();
        cache
    }

    fn item(name: &str, value: &'static str, revision: u64) -> Option<Arc<KeyValue>> {
        Some(Arc::new(KeyValue {
            key: Key::from(format!("/pods/{name}")),
            value: Bytes::from_static(value.as_bytes()).into(),
            create_revision: Revision(if name == "b" { 3 } else { revision }),
            mod_revision: Revision(revision),
        }))
    }

    /// What is told when the cache alone got an event, by its current side and its previous one.
    async fn check(current: Option<Arc<KeyValue>>, previous: Option<Arc<KeyValue>>) -> String {
        let cache = cache().await;
        let event = Event {
            revision: Revision(4),
            current,
            previous,
        };
        cache.mirror.apply(&[Arc::new(event)]);
        let found = match cache.check().await.unwrap() {
            Verdict::Same { keys, .. } => return format!("{keys} keys"),
            Verdict::Different { first, .. } => {
                let show = |revision: Option<Revision>| revision.map_or("-".to_owned(), |at| at.to_string());
                format!("{}: {} {}", first.key, show(first.stored), show(first.cached))
            }
        };
        cache.refill.notify_one();
        let refilled = async {
            while !matches!(cache.check().await, Ok(Verdict::Same { keys: 3, .. })) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), refilled)
            .await
            .unwrap();
        found
    }

    #[tokio::test]
    async fn differences_are_found_and_repaired() {
        assert_eq!(check(item("b", "1", 3), item("b", "1", 3)).await, "3 keys");
        assert_eq!(check(item("b", "2", 3), item("b", "1", 3)).await, "/pods/b: 3 3");
        assert_eq!(check(item("b", "1", 4), item("b", "1", 3)).await, "/pods/b: 3 4");
        assert_eq!(check(None, item("a", "1", 2)).await, "/pods/a: 2 -");
        assert_eq!(check(None, item("c", "1", 4)).await, "/pods/c: 4 -");
        assert_eq!(check(item("aa", "1", 4), None).await, "/pods/aa: - 4");
        assert_eq!(check(item("d", "1", 4), None).await, "/pods/d: - 4");
    }

    #[test]
    fn caches_check_at_different_times() {
        let interval = Duration::from_secs(300);
        let times: Vec<_> = ["/registry/pods/", "/registry/secrets/", "/registry/nodes/"]
            .map(|prefix| jittered(interval, &prefix.into()))
            .to_vec();
        assert!(
            times
                .iter()
                .all(|time| (interval..interval * 3 / 2).contains(time))
        );
        assert!(times[0] != times[1] && times[1] != times[2]);
    }
}
