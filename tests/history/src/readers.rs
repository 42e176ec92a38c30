//! Watchers that do not read: the server's memory stays bounded, and the other watchers notice nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::core::v1::{ConfigMap, Namespace};
use client::{Api, Client, WatchEvent, WatchParams, WatchStream};
use futures_util::StreamExt;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::Error;
use crate::process::memory_kib;
use crate::relay::Relay;
use crate::site::{Settings, Site};

const NAMESPACE: &str = "readers";
const SHARED: &str = "shared";
const NOISE: &str = "noise";
const SENT: &str = "sent";
/// Streams that share a connection.
const WATCHES_PER_CLIENT: usize = 90;
const NOISE_BYTES: usize = 8 << 10;
/// Far more than a watcher's buffer, the streams' windows and the kernel's buffers take together.
const NOISE_WRITES: usize = 4000;
const PATIENCE: Duration = Duration::from_secs(180);

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Readers {
    pub watchers: usize,
    /// Changes of the object that all of them watch, in each of the two phases.
    pub changes: usize,
}

/// Delivery in one phase, and the memory at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phase {
    pub p50: Duration,
    pub p99: Duration,
    pub memory_kib: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub readers: Readers,
    /// Everyone reads.
    pub before: Phase,
    /// Two watchers of everything do not: one leaves its stream alone, one its connection.
    pub stuck: Phase,
    /// How the server ended the stuck ones: with 410, or by closing.
    pub told_expired: usize,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} watchers, {} changes: delivered in {:?} (p99 {:?}), {} MiB; with two more that do not read, while \
             {NOISE_WRITES} events of {} KiB wait for them: {:?} (p99 {:?}), {} MiB; {} of the two were told 410",
            self.readers.watchers,
            self.readers.changes,
            self.before.p50,
            self.before.p99,
            self.before.memory_kib / 1024,
            NOISE_BYTES / 1024,
            self.stuck.p50,
            self.stuck.p99,
            self.stuck.memory_kib / 1024,
            self.told_expired
        )
    }
}

/// Runs both phases; an error tells what a watcher missed.
pub async fn run(settings: &Settings, readers: Readers) -> Result<Option<Figures>, Error> {
    let Some(site) = Site::start(settings).await? else {
        return Ok(None);
    };
    let writer = site.client(0)?;
    let mut namespace = Namespace::default();
    namespace.metadata.name = NAMESPACE.to_owned();
    let created = writer.api::<Namespace>().all().create(&namespace).await;
    created.map_err(unexpected("namespace"))?;
    let maps = maps(&writer);
    let start = put(&maps, SHARED, 0).await?;
    put(&maps, NOISE, NOISE_BYTES).await?;

    let clock = Instant::now();
    let (send, mut delivered) = mpsc::channel(1024);
    let mut tasks = JoinSet::new();
    let mut client = site.client(0)?;
    for number in 0..readers.watchers {
        if number % WATCHES_PER_CLIENT == WATCHES_PER_CLIENT - 1 {
            client = site.client(0)?;
        }
        let stream = open(&client, Some(SHARED), &start).await?;
        tasks.spawn(follow(stream, clock, 2 * readers.changes, send.clone()));
    }
    let before = phase(&site, &maps, readers, clock, &mut delivered).await?;

    let idle_client = site.client(0)?;
    let idle = open(&idle_client, None, &start).await?;
    let relay = Relay::start(site.nodes[0].clients.address).await?;
    let held_client = site.client_through(&relay)?;
    let held = open(&held_client, None, &start).await?;
    relay.hold();
    let stuck = phase(&site, &maps, readers, clock, &mut delivered).await?;
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Error::Unexpected(error.to_string()))??;
    }
    relay.hold_for(Duration::ZERO).await;
    let told_expired = usize::from(drain(idle).await?) + usize::from(drain(held).await?);
    Ok(Some(Figures {
        readers,
        before,
        stuck,
        told_expired,
    }))
}

fn unexpected(what: &'static str) -> impl FnOnce(client::Error) -> Error {
    move |error| Error::Unexpected(format!("{what}: {error:?}"))
}

fn maps(client: &Client) -> Api<ConfigMap> {
    client.api::<ConfigMap>().namespace(NAMESPACE)
}

async fn put(maps: &Api<ConfigMap>, name: &str, bytes: usize) -> Result<String, Error> {
    let mut map = ConfigMap::default();
    map.metadata.name = name.to_owned();
    map.data.insert("text".to_owned(), "x".repeat(bytes));
    let created = maps.create(&map).await.map_err(unexpected("create"))?;
    Ok(created.metadata.resource_version)
}

async fn open(client: &Client, name: Option<&str>, start: &str) -> Result<WatchStream<ConfigMap>, Error> {
    let params = WatchParams {
        field_selector: name.map(|name| format!("metadata.name={name}")),
        no_bookmarks: true,
        ..WatchParams::from_version(start)
    };
    maps(client).watch(&params).await.map_err(unexpected("watch"))
}

/// Changes the shared object, and another one far more often meanwhile; waits until everyone has seen it.
async fn phase(
    site: &Site,
    maps: &Api<ConfigMap>,
    readers: Readers,
    clock: Instant,
    delivered: &mut mpsc::Receiver<Duration>,
) -> Result<Phase, Error> {
    let noise = tokio::spawn(make_noise(maps.clone()));
    let changed = change(maps.clone(), readers.changes, clock);
    let wanted = readers.watchers * readers.changes;
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(wanted)));
    let collect = async {
        let mut latencies = latencies.lock().await;
        while latencies.len() < wanted {
            match delivered.recv().await {
                Some(latency) => latencies.push(latency),
                None => break,
            }
        }
    };
    let both = async { tokio::join!(changed, collect).0 };
    let in_time = tokio::time::timeout(PATIENCE, both).await;
    in_time.map_err(|_| Error::Found("not every watcher was told of every change".to_owned()))??;
    noise
        .await
        .map_err(|error| Error::Unexpected(error.to_string()))??;
    let mut latencies = std::mem::take(&mut *latencies.lock().await);
    latencies.sort_unstable();
    let at = |share: usize| {
        latencies
            .get(latencies.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    let memory = memory_kib(site.nodes[0].process.lock().await.id());
    Ok(Phase {
        p50: at(50),
        p99: at(99),
        memory_kib: memory.map_or(0, |(now, _)| now),
    })
}

async fn change(maps: Api<ConfigMap>, changes: usize, clock: Instant) -> Result<(), Error> {
    for _ in 0..changes {
        let mut map = maps.get(SHARED).await.map_err(unexpected("get"))?;
        let sent = clock.elapsed().as_nanos().to_string();
        map.data.insert(SENT.to_owned(), sent);
        maps.update(&map).await.map_err(unexpected("update"))?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn make_noise(maps: Api<ConfigMap>) -> Result<(), Error> {
    let mut map = maps.get(NOISE).await.map_err(unexpected("get"))?;
    for number in 0..NOISE_WRITES {
        map.data.insert("number".to_owned(), number.to_string());
        map = maps.update(&map).await.map_err(unexpected("update"))?;
    }
    Ok(())
}

/// Tells how long each change took to arrive; they must come in order, and none may be missing.
async fn follow(
    stream: WatchStream<ConfigMap>,
    clock: Instant,
    changes: usize,
    delivered: mpsc::Sender<Duration>,
) -> Result<(), Error> {
    let mut stream = std::pin::pin!(stream);
    let mut last = 0;
    for seen in 0..changes {
        let event = stream.next().await;
        let now = clock.elapsed();
        let Some(Ok(WatchEvent::Modified(map))) = event else {
            return Err(Error::Found(format!(
                "after {seen} changes a watcher was told {event:?}"
            )));
        };
        let sent: u64 = map
            .data
            .get(SENT)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::Unexpected(format!("{map:?}")))?;
        if sent <= last {
            return Err(Error::Found("a change was told twice or out of order".to_owned()));
        }
        last = sent;
        let latency = now.saturating_sub(Duration::from_nanos(sent));
        if delivered.send(latency).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads on after the pause: what was on its way, then the end. True if that was 410.
async fn drain(stream: WatchStream<ConfigMap>) -> Result<bool, Error> {
    let mut stream = std::pin::pin!(stream);
    let mut events = 0;
    let read = async {
        loop {
            match stream.next().await {
                Some(Ok(WatchEvent::Error(status))) => return status.code == 410,
                Some(Ok(_)) => events += 1,
                Some(Err(_)) | None => return false,
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, read).await;
    ended.map_err(|_| {
        Error::Found(format!(
            "a watcher that fell behind was never told so, after {events} events"
        ))
    })
}
