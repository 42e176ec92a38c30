//! Two servers on one etcd; one is killed under load. Clients that try again, on either server, notice nothing but a
//! delay: no write fails, none is lost, and a watch that is resumed at the other server misses and repeats no event.

#![allow(clippy::panic)]

#[path = "two_servers/servers.rs"]
mod servers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api::core::v1::ConfigMap;
use client::{Client, Error, ListParams, WatchEvent, WatchParams};
use futures_util::StreamExt;
use servers::{Cluster, PATIENCE};

const WRITERS: usize = 8;
/// Writes before and after the kill.
const WRITES: usize = 200;
const RETRY: Duration = Duration::from_millis(20);

/// The clients of both servers; each attempt of a request goes to the next one.
struct Clients {
    all: Vec<Client>,
    next: AtomicUsize,
}

impl Clients {
    fn any(&self) -> &Client {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.all[turn % self.all.len()]
    }
}

/// Whether the request may be tried again: it did not arrive, its answer did not, or a server asks for it.
fn may_retry(error: &Error) -> bool {
    matches!(error, Error::Transport(_) | Error::Timeout)
        || error
            .status()
            .is_some_and(|status| matches!(status.code, 429 | 500 | 503 | 504))
}

/// Creates objects until told to stop. A write whose answer was lost may have happened: it exists then.
async fn write(
    clients: Arc<Clients>,
    writer: usize,
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Vec<String> {
    let mut written = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut map = ConfigMap::default();
        map.metadata.name = format!("w-{writer}-{}", written.len());
        let started = Instant::now();
        let mut unsure = false;
        loop {
            let maps = clients.any().api::<ConfigMap>().namespace("default");
            match maps.create(&map).await {
                Ok(_) => break,
                Err(error) if unsure && error.is_already_exists() => break,
                Err(error) if may_retry(&error) => unsure = true,
                Err(error) => panic!("{}: {error:?}", map.metadata.name),
            }
            assert!(started.elapsed() < PATIENCE, "no server answers");
            tokio::time::sleep(RETRY).await;
        }
        written.push(map.metadata.name);
        done.fetch_add(1, Ordering::Relaxed);
    }
    written
}

/// Counts the additions of each object, resuming the watch at whichever server answers, until told to stop.
async fn watch(clients: Arc<Clients>, wanted: Arc<AtomicUsize>) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    let mut version = "1".to_owned();
    let started = Instant::now();
    while wanted.load(Ordering::Relaxed) == 0 || seen.len() < wanted.load(Ordering::Relaxed) {
        assert!(
            started.elapsed() < 2 * PATIENCE,
            "{} events were seen",
            seen.len()
        );
        let maps = clients.any().api::<ConfigMap>().namespace("default");
        let Ok(events) = maps.watch(&WatchParams::from_version(version.clone())).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let mut events = Box::pin(events);
        // A stream that ends or breaks is resumed after the last event.
        while let Ok(Some(Ok(event))) = tokio::time::timeout(Duration::from_secs(1), events.next()).await {
            if let WatchEvent::Added(map) = event {
                version = map.metadata.resource_version;
                if map.metadata.name.starts_with("w-") {
                    *seen.entry(map.metadata.name).or_insert(0) += 1;
                }
            }
        }
    }
    seen
}

async fn wait_for(done: &AtomicUsize, count: usize) {
    let started = Instant::now();
    while done.load(Ordering::Relaxed) < count {
        assert!(started.elapsed() < PATIENCE, "the writers do not get on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_costs_clients_nothing_but_a_retry() {
    let Some(mut cluster) = Cluster::start(2).await else {
        return;
    };
    let clients = Arc::new(Clients {
        all: cluster.clients(),
        next: AtomicUsize::new(0),
    });
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let total = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(clients.clone(), writer, done.clone(), stop.clone())))
        .collect();
    let watcher = tokio::spawn(watch(clients.clone(), total.clone()));

    wait_for(&done, WRITES).await;
    cluster.kill(0);
    wait_for(&done, 2 * WRITES).await;
    stop.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.expect("no write failed"));
    }
    total.store(written.len(), Ordering::Relaxed);
    let seen = watcher.await.expect("the watch went on");
    assert_eq!(seen.len(), written.len());
    assert!(seen.values().all(|&count| count == 1), "an event was repeated");

    let survivor = cluster.client(1);
    let maps = survivor.api::<ConfigMap>().namespace("default");
    let there = maps.list(&ListParams::default()).await.expect("listed").items;
    let there: Vec<&String> = there.iter().map(|map| &map.metadata.name).collect();
    for name in &written {
        assert!(there.contains(&name), "{name} is lost");
    }
    cluster.wait_for_endpoints(1, &["192.0.2.2"]).await;
}
