//! The store on real etcd servers, of each version at hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etcd_fixture::{Program, Server, programs};
use storage::cache::{Cache, Extract, Extracted, Freshness};
use storage::contents::TransferError;
use storage::{Error, Expect, Key, RangeRequest, Store, Write, embedded, etcd};

use crate::run;
use crate::subject::{Driver, Subject};

/// Longer than a busy machine takes.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Etcd(Server);

impl Etcd {
    /// A fresh server of each version.
    pub fn each() -> impl Iterator<Item = Self> {
        programs().into_iter().map(|program| Self::start(&program))
    }

    fn start(program: &Program) -> Self {
        println!("etcd {}", program.version);
        Self(Server::start(program, None).unwrap())
    }

    fn options(&self) -> etcd::Options {
        etcd::Options {
            call_timeout: Duration::from_secs(10),
            ..etcd::Options::new([self.0.url()])
        }
    }
}

impl Subject for Etcd {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(etcd::open(self.options()).unwrap())
    }

    fn short_ttl(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// etcd has a clock of its own, and the case waits for what it does.
    fn advance_clock(&self, _: Duration) {}
}

struct Nothing;

impl Extract for Nothing {
    fn extract(&self, _: &[u8], _: &[u8]) -> Result<Extracted, String> {
        Ok(Extracted::default())
    }
}

fn cache(store: &Arc<dyn Store>, prefix: &str) -> Arc<Cache> {
    Cache::start(
        store.clone(),
        Key::from(prefix),
        Arc::new(Nothing),
        Default::default(),
    )
}

/// Retries until it succeeds: etcd is away for a while.
async fn until<T, F: Future<Output = Option<T>>>(attempt: impl Fn() -> F) -> T {
    let retried = async {
        loop {
            if let Some(result) = attempt().await {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, retried).await.unwrap()
}

async fn count(cache: &Cache) -> Option<usize> {
    cache
        .snapshot(Freshness::Latest)
        .await
        .ok()
        .map(|snapshot| snapshot.len())
}

#[test]
fn a_cache_outlives_its_etcd() {
    for etcd in Etcd::each() {
        run(etcd, |mut etcd: Etcd| async move {
            let store = etcd.open();
            let cache = cache(&store, "/pods/");
            let driver = Driver(store);
            driver.create("/pods/before", "1").await.unwrap();
            assert_eq!(count(&cache).await, Some(1));
            etcd.0.restart().unwrap();
            // The store's own connection comes back by itself.
            until(|| async { driver.create("/pods/after", "2").await.ok() }).await;
            // The cache has to reconnect, which may take longer than one read waits.
            until(|| async { count(&cache).await.filter(|count| *count == 2) }).await;
        });
    }
}

#[test]
fn a_cache_that_missed_a_compaction_lists_anew() {
    for etcd in Etcd::each() {
        run(etcd, |mut etcd: Etcd| async move {
            let store = etcd.open();
            let cache = cache(&store, "/pods/");
            let driver = Driver(store);
            let gone = driver.create("/pods/gone", "1").await.unwrap();
            assert_eq!(count(&cache).await, Some(1));
            // The cache is cut off: its connection breaks, and it can't be back before this is done.
            etcd.0.restart().unwrap();
            let writer = Driver(etcd.open());
            writer.delete("/pods/gone", gone).await.unwrap();
            let newest = writer.create("/pods/new", "2").await.unwrap();
            writer.0.compact(newest).await.unwrap();
            let keys = until(|| async {
                let snapshot = cache.snapshot(Freshness::AtLeast(newest)).await.ok()?;
                Some(
                    snapshot
                        .range(b"/", None)
                        .map(|entry| entry.key().to_string())
                        .collect::<Vec<_>>(),
                )
            })
            .await;
            assert_eq!(keys, ["/pods/new"]);
        });
    }
}

#[test]
fn a_server_that_hangs_is_told_of_in_time() {
    for etcd in Etcd::each() {
        run(etcd, |etcd: Etcd| async move {
            let store = etcd::open(etcd::Options {
                call_timeout: Duration::from_millis(300),
                ..etcd.options()
            })
            .unwrap();
            store.probe().await.unwrap();
            etcd.0.pause().unwrap();
            assert!(matches!(store.probe().await, Err(Error::Unavailable(_))));
            let write = Write::Put {
                value: Bytes::new(),
                ttl: None,
            };
            let outcome = store.commit(b"/a", Expect::Absent, write).await;
            assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
            etcd.0.resume().unwrap();
            until(|| async { store.probe().await.ok() }).await;
        });
    }
}

/// Consistent reads of a quiet resource while another one changes: progress has to be asked for.
#[test]
fn quiet_prefixes_keep_up_with_the_others() {
    for etcd in Etcd::each() {
        run(etcd, |etcd: Etcd| async move {
            let store = etcd.open();
            let quiet = cache(&store, "/quiet/");
            let driver = Driver(store);
            for n in 0..5 {
                let written = driver.create(&format!("/busy/{n}"), "x").await.unwrap();
                let snapshot = quiet.snapshot(Freshness::Latest).await.unwrap();
                assert!(snapshot.revision() >= written);
            }
        });
    }
}

/// Answers far beyond gRPC's usual bound of 4 MB, in one piece and in pages.
#[test]
fn large_ranges_are_read_whole() {
    for etcd in Etcd::each() {
        run(etcd, |etcd: Etcd| async move {
            const COUNT: usize = 40;
            let store = etcd.open();
            for n in 0..COUNT {
                let write = Write::Put {
                    value: Bytes::from(vec![n as u8; 1_000_000]),
                    ttl: None,
                };
                store
                    .commit(format!("/large/{n:03}").as_bytes(), Expect::Absent, write)
                    .await
                    .unwrap();
            }
            let range = |limit, after| RangeRequest {
                prefix: "/large/".into(),
                limit,
                after,
                revision: None,
            };
            let whole = store.range(range(0, None)).await.unwrap();
            assert_eq!((whole.items.len(), whole.remaining), (COUNT, 0));
            assert!(whole.items.iter().all(|item| item.value.len() == 1_000_000));
            let page = store.range(range(7, Some("/large/002".into()))).await.unwrap();
            assert_eq!((page.items.len(), page.remaining), (7, COUNT as u64 - 10));
        });
    }
}

/// More keys than one of the store's own pages holds.
#[test]
fn many_keys_are_read_in_pages_of_one_revision() {
    for etcd in Etcd::each() {
        run(etcd, |etcd: Etcd| async move {
            const COUNT: usize = 5_200;
            let store = etcd.open();
            let writes = (0..COUNT).map(|n| {
                let store = store.clone();
                async move {
                    let write = Write::Put {
                        value: Bytes::new(),
                        ttl: None,
                    };
                    store
                        .commit(format!("/many/{n:05}").as_bytes(), Expect::Absent, write)
                        .await
                }
            });
            use futures_util::StreamExt;
            let outcomes: Vec<_> = futures_util::stream::iter(writes)
                .buffer_unordered(128)
                .collect()
                .await;
            assert!(outcomes.iter().all(Result::is_ok));
            let request = RangeRequest {
                prefix: "/many/".into(),
                ..Default::default()
            };
            let found = store.range(request).await.unwrap();
            assert_eq!((found.items.len(), found.remaining), (COUNT, 0));
            assert!(found.items.is_sorted_by(|a, b| a.key < b.key));
            assert_eq!(
                cache(&store, "/many/")
                    .snapshot(Freshness::Latest)
                    .await
                    .unwrap()
                    .len(),
                COUNT
            );
        });
    }
}

/// Out of the embedded store into etcd and back, with times to live, and checked by digest.
#[test]
fn contents_go_from_store_to_store() {
    for etcd in Etcd::each() {
        run(etcd, |etcd: Etcd| async move {
            let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let first = embedded::open(old.path(), embedded::Options::default()).unwrap();
            for n in 0..50 {
                let write = Write::Put {
                    value: Bytes::from(vec![n; 100]),
                    ttl: (n % 2 == 0).then_some(Duration::from_secs(3600)),
                };
                let key = format!("/registry/x/{n:02}");
                first.commit(key.as_bytes(), Expect::Absent, write).await.unwrap();
            }
            drop(first);
            let contents = embedded::read(old.path()).unwrap();
            let (store, prefix) = (etcd::open(etcd.options()).unwrap(), Key::from("/registry/"));
            store.fill(&prefix, &contents).await.unwrap();
            let again = store.fill(&prefix, &contents).await;
            assert!(matches!(again, Err(TransferError::NotEmpty(50))), "{again:?}");
            let back = store.contents(&prefix).await.unwrap();
            embedded::fill(new.path(), &back).unwrap();
            let back = embedded::read(new.path()).unwrap();
            assert_eq!(back.report().digest, contents.report().digest);
            for item in back.items() {
                let (original, copied) = (contents.expires(&item.key), back.expires(&item.key));
                let apart = match (original, copied) {
                    (Some(original), Some(copied)) => {
                        let (earlier, later) = (original.min(copied), original.max(copied));
                        later.duration_since(earlier).unwrap()
                    }
                    (None, None) => Duration::ZERO,
                    other => panic!("{}: {other:?}", item.key),
                };
                // Keys of about the same time share a lease, which may end a minute late.
                assert!(apart < Duration::from_secs(65), "{}: {apart:?}", item.key);
            }
        });
    }
}
