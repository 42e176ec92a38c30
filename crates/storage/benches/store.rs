//! What the store and the cache cost: one JSON line a measurement.
//!
//! `cargo bench -p storage --bench store [-- NAME…]` with names out of commit, redb, memory, start, read, fanout.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use storage::cache::{Cache, Extract, Extracted, Freshness, Options, Scope, Start, WatchEvent, WatchRequest};
use storage::{Error, Expect, Key, Store, Write, embedded, memory};

const VALUE_BYTES: usize = 3000;
const RUN: Duration = Duration::from_secs(3);

fn main() {
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if runs("commit") {
        runtime.block_on(commits());
    }
    if runs("redb") {
        redb_commits();
    }
    if runs("memory") {
        runtime.block_on(memory_per_entry());
    }
    if runs("start") {
        runtime.block_on(start_up());
    }
    if runs("read") {
        runtime.block_on(reads());
    }
    if runs("fanout") {
        runtime.block_on(fan_out());
    }
}

fn put(n: usize) -> Write {
    // Not compressible to nothing, and different each time, as objects are.
    let mut value = vec![0u8; VALUE_BYTES];
    for (at, byte) in value.iter_mut().enumerate() {
        *byte = (at.wrapping_mul(31) ^ n) as u8;
    }
    Write::Put {
        value: Bytes::from(value),
        ttl: None,
    }
}

/// Durable writes a second, by the number of clients that wait for theirs.
async fn commits() {
    for writers in [1, 64, 128] {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(embedded::open(directory.path(), Default::default()).unwrap());
        let end = Instant::now() + RUN;
        let tasks = (0..writers).map(|writer| tokio::spawn(write_until(store.clone(), writer, end)));
        let mut latencies: Vec<Duration> = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            latencies.extend(task.await.unwrap());
        }
        report_latencies("commit", "embedded", writers, latencies);
    }
}

async fn write_until(store: Arc<dyn Store>, writer: usize, end: Instant) -> Vec<Duration> {
    let key = format!("/registry/pods/default/writer-{writer}");
    let mut latencies = Vec::new();
    let mut expect = Expect::Absent;
    while Instant::now() < end {
        let begin = Instant::now();
        let revision = store
            .commit(key.as_bytes(), expect, put(latencies.len()))
            .await
            .unwrap();
        expect = Expect::Unchanged(revision);
        latencies.push(begin.elapsed());
    }
    latencies
}

/// The same load on redb: one transaction with an immediate-durability commit for each batch of waiting writers.
fn redb_commits() {
    const TABLE: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("kv");
    for writers in [1, 64, 128] {
        let directory = tempfile::tempdir().unwrap();
        let database = redb::Database::create(directory.path().join("db")).unwrap();
        let end = Instant::now() + RUN;
        let mut latencies = Vec::new();
        while Instant::now() < end {
            let begin = Instant::now();
            let transaction = database.begin_write().unwrap();
            {
                let mut table = transaction.open_table(TABLE).unwrap();
                for writer in 0..writers {
                    let Write::Put { value, .. } = put(latencies.len()) else {
                        continue;
                    };
                    let key = format!("/registry/pods/default/writer-{writer}");
                    table.insert(key.as_bytes(), &value[..]).unwrap();
                }
            }
            transaction.commit().unwrap();
            latencies.extend(std::iter::repeat_n(begin.elapsed(), writers));
        }
        report_latencies("commit", "redb", writers, latencies);
    }
}

fn report_latencies(bench: &str, store: &str, writers: usize, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_micros();
    let per_second = latencies.len() as f64 / RUN.as_secs_f64();
    println!(
        r#"{{"bench":"{bench}","store":"{store}","writers":{writers},"value_bytes":{VALUE_BYTES},"per_second":{per_second:.0},"p50_us":{},"p99_us":{}}}"#,
        at(0.5),
        at(0.99)
    );
}

/// Labels and fields of a usual pod.
struct PodLike;

impl Extract for PodLike {
    fn extract(&self, key: &[u8], _: &[u8]) -> Result<Extracted, String> {
        let node = format!("node-{}", key.last().unwrap_or(&0));
        let labels = [
            ("app", "web"),
            ("pod-template-hash", "5d9c7b8f6d"),
            ("app.kubernetes.io/name", "web"),
        ];
        let fields = [
            ("spec.nodeName", &node[..]),
            ("status.phase", "Running"),
            ("spec.restartPolicy", "Always"),
        ];
        Ok(Extracted {
            labels: labels.into_iter().collect(),
            fields: fields.into_iter().collect(),
        })
    }
}

fn cache_options() -> Options {
    Options {
        indexed_fields: &["spec.nodeName"],
        ..Options::default()
    }
}

fn pod(n: usize) -> String {
    format!("/registry/pods/namespace-{}/web-5d9c7b8f6d-{n:05}", n % 50)
}

async fn fill(store: &Arc<dyn Store>, entries: usize) {
    for chunk in 0..entries / 500 {
        let writes = (chunk * 500..(chunk + 1) * 500).map(|n| {
            let store = store.clone();
            async move {
                store
                    .commit(pod(n).as_bytes(), Expect::Absent, put(n))
                    .await
                    .unwrap()
            }
        });
        join_all(writes).await;
    }
}

async fn filled(entries: usize) -> (Arc<dyn Store>, Arc<Cache>) {
    let store: Arc<dyn Store> = Arc::new(memory::open(Default::default()).unwrap());
    let cache = Cache::start(
        store.clone(),
        "/registry/pods/".into(),
        Arc::new(PodLike),
        cache_options(),
    );
    fill(&store, entries).await;
    cache.ready().await.unwrap();
    (store, cache)
}

/// Resident bytes of this process, in kB.
fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Bytes that an object costs at rest above its own, in the store and in store and cache.
async fn memory_per_entry() {
    const ENTRIES: usize = 50_000;
    let before = resident_kb();
    let store: Arc<dyn Store> = Arc::new(memory::open(Default::default()).unwrap());
    fill(&store, ENTRIES).await;
    let newest = store.current_revision().await.unwrap();
    store.compact(newest).await.unwrap();
    let with_store = resident_kb();
    let cache = Cache::start(
        store.clone(),
        "/registry/pods/".into(),
        Arc::new(PodLike),
        cache_options(),
    );
    cache.ready().await.unwrap();
    let with_cache = resident_kb();
    let per_entry = |from: usize, to: usize| to.saturating_sub(from) * 1024 / ENTRIES;
    println!(
        r#"{{"bench":"memory","entries":{ENTRIES},"value_bytes":{VALUE_BYTES},"store_bytes_per_entry":{},"cache_bytes_per_entry":{}}}"#,
        per_entry(before, with_store),
        per_entry(with_store, with_cache)
    );
    idle_watchers(&cache).await;
}

async fn idle_watchers(cache: &Arc<Cache>) {
    const WATCHERS: usize = 10_000;
    let before = resident_kb();
    let mut tasks = Vec::new();
    for n in 0..WATCHERS {
        let field = Scope::Field {
            prefix: cache.prefix().clone(),
            field: "spec.nodeName",
            value: format!("node-{n}"),
        };
        let mut watch = cache.watch(request(field, cache)).await.unwrap();
        tasks.push(tokio::spawn(async move { watch.next().await.is_some() }));
    }
    while cache.watcher_count() < WATCHERS {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let bytes = (resident_kb() - before) * 1024 / WATCHERS;
    println!(r#"{{"bench":"idle_watchers","watchers":{WATCHERS},"bytes_per_watcher":{bytes}}}"#);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

fn request(scope: Scope, cache: &Cache) -> WatchRequest {
    let start = Start::After(cache.revision());
    WatchRequest {
        scope,
        start,
        predicate: None,
        bookmarks: false,
        initial_events_end: false,
    }
}

/// Time to open a store, from the log and from a snapshot.
async fn start_up() {
    for (kind, snapshot_after_bytes) in [("log", u64::MAX), ("snapshot", 64 << 20)] {
        let directory = tempfile::tempdir().unwrap();
        let options = embedded::Options {
            snapshot_after_bytes,
            ..Default::default()
        };
        let store: Arc<dyn Store> = Arc::new(embedded::open(directory.path(), options.clone()).unwrap());
        fill(&store, 100_000).await;
        let bytes = store.size_on_disk().await.unwrap();
        drop(store);
        let elapsed = open_again(directory.path(), options);
        let per_gb = elapsed.as_secs_f64() * 1e9 / bytes as f64;
        println!(
            r#"{{"bench":"start","from":"{kind}","bytes":{bytes},"ms":{},"seconds_per_gb":{per_gb:.2}}}"#,
            elapsed.as_millis()
        );
    }
}

fn open_again(directory: &Path, options: embedded::Options) -> Duration {
    let begin = Instant::now();
    let store = embedded::open(directory, options).unwrap();
    let elapsed = begin.elapsed();
    drop(store);
    elapsed
}

async fn reads() {
    let (_store, cache) = filled(50_000).await;
    let rounds = 200_000;
    let begin = Instant::now();
    for n in 0..rounds {
        let found = cache
            .get(pod(n * 7919 % 50_000).as_bytes(), Freshness::Latest)
            .await
            .unwrap();
        assert!(found.1.is_some());
    }
    let get_ns = begin.elapsed().as_nanos() / rounds as u128;
    let begin = Instant::now();
    let snapshot = cache.snapshot(Freshness::Latest).await.unwrap();
    let bytes: usize = snapshot
        .range(b"/registry/pods/", None)
        .map(|entry| entry.value_len())
        .sum();
    let list_us = begin.elapsed().as_micros();
    println!(
        r#"{{"bench":"read","entries":50000,"consistent_get_ns":{get_ns},"walk_all_us":{list_us},"bytes":{bytes}}}"#
    );
}

/// Events delivered a second to watchers that all see every event, with a frame each.
async fn fan_out() {
    for watchers in [500, 5000] {
        let (store, cache) = filled(500).await;
        let mut readers = Vec::new();
        for _ in 0..watchers {
            let watch = cache
                .watch(request(Scope::Prefix(cache.prefix().clone()), &cache))
                .await
                .unwrap();
            readers.push(tokio::spawn(read_events(watch, EVENTS)));
        }
        let key = Key::from(pod(0));
        let mut expect = Expect::Unchanged(store.get(&key, None).await.unwrap().1.unwrap().mod_revision);
        let begin = Instant::now();
        for n in 0..EVENTS {
            expect = Expect::Unchanged(store.commit(&key, expect, put(n)).await.unwrap());
        }
        for reader in readers {
            reader.await.unwrap();
        }
        let per_second = (EVENTS * watchers) as f64 / begin.elapsed().as_secs_f64();
        println!(r#"{{"bench":"fanout","watchers":{watchers},"events_per_second":{per_second:.0}}}"#);
    }
}

const EVENTS: usize = 500;

async fn read_events(mut watch: storage::cache::Watch, count: usize) {
    for _ in 0..count {
        let WatchEvent::Object(event) = watch.next().await.unwrap().unwrap() else {
            continue;
        };
        let frame = event.frame(1, |event| Ok::<_, Error>(event.entry.value()));
        assert_eq!(frame.unwrap().len(), VALUE_BYTES);
    }
}
