//! Millions of watch events while history is compacted, servers are killed and some readers are slow: none may be
//! lost, repeated or out of order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::core::v1::{ConfigMap, Namespace};
use api::meta::v1::{DeleteOptions, Preconditions};
use client::{Api, Client, ListParams, WatchEvent, WatchParams};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::process::memory_kib;
use crate::random::Random;
use crate::record::{Answer, Change, Refusal, Revision};
use crate::site::{Settings, Site};
use crate::{Error, objects};

const NAMESPACE: &str = "flood";
const COUNT: &str = "count";
const OBJECTS_PER_OWNER: usize = 4;
/// Streams that share a connection.
const WATCHES_PER_CLIENT: usize = 25;
/// Every so many-th watcher is slow: it takes a break after so many events, long enough to fall behind mostly.
const SLOW_EVERY: usize = 10;
const SLOW_AFTER: u64 = 3000;
const BREAK: Duration = Duration::from_secs(4);
const RETRY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);

/// How much.
#[derive(Clone, Debug)]
pub struct Flood {
    pub events: u64,
    pub watchers: usize,
    pub owners: usize,
    /// Between kills of a server (or, with etcd, in turn of a server and of etcd).
    pub kill_every: Duration,
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Figures {
    pub events: u64,
    pub writes: u64,
    pub watches: u64,
    /// Watches that were told 410, and began anew from a list.
    pub expired: u64,
    pub kills: u64,
    pub millis: u64,
    pub peak_kib: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} events of {} writes, none lost, repeated or out of order; {} watches, {} of them told 410; {} kills; \
             {:.1} s; {} MiB at the server's peak",
            self.events,
            self.writes,
            self.watches,
            self.expired,
            self.kills,
            self.millis as f64 / 1000.0,
            self.peak_kib / 1024
        )
    }
}

/// Counters that all tasks share.
#[derive(Default)]
struct Shared {
    events: AtomicU64,
    writes: AtomicU64,
    watches: AtomicU64,
    expired: AtomicU64,
    stop: AtomicBool,
}

/// `None` if the store is not installed.
pub async fn run(settings: &Settings, flood: &Flood) -> Result<Option<Figures>, Error> {
    let Some(site) = Site::start(settings).await? else {
        return Ok(None);
    };
    let began = Instant::now();
    let mut namespace = Namespace::default();
    namespace.metadata.name = NAMESPACE.to_owned();
    let first = site.client(0)?;
    let created = first.api::<Namespace>().all().create(&namespace).await;
    created.map_err(|error| Error::Unexpected(format!("namespace: {error}")))?;

    let shared = Arc::new(Shared::default());
    let (set_end, end) = watch::channel(None);
    let mut owners = JoinSet::new();
    for number in 0..flood.owners {
        let maps = maps(&site.client(number)?);
        let random = Random::new(flood.seed).fork(number as u64);
        owners.spawn(Owner::new(maps, number, random, shared.clone()).run());
    }
    let mut watchers = JoinSet::new();
    let clients = (0..flood.watchers.div_ceil(WATCHES_PER_CLIENT))
        .map(|number| site.client(number))
        .collect::<Result<Vec<_>, _>>()?;
    for number in 0..flood.watchers {
        let reader = Reader {
            maps: maps(&clients[number / WATCHES_PER_CLIENT]),
            ledger: Ledger::default(),
            is_slow: number % SLOW_EVERY == SLOW_EVERY - 1,
            shared: shared.clone(),
            end: end.clone(),
        };
        watchers.spawn(reader.run());
    }
    let kills = kill_until_enough(&site, flood, &shared).await?;
    shared.stop.store(true, Ordering::Relaxed);
    let mut last = 0;
    while let Some(ended) = owners.join_next().await {
        last = last.max(ended.map_err(|error| Error::Unexpected(error.to_string()))??);
    }
    set_end.send_replace(Some(last));
    let (_, expected) = list(&maps(&first)).await?;
    let joined = tokio::time::timeout(PATIENCE, all_agree(watchers, &expected)).await;
    joined.map_err(|_| Error::Found("a watcher never saw the last events".to_owned()))??;
    let peak = memory_kib(site.nodes[0].process.lock().await.id());
    Ok(Some(Figures {
        events: shared.events.load(Ordering::Relaxed),
        writes: shared.writes.load(Ordering::Relaxed),
        watches: shared.watches.load(Ordering::Relaxed),
        expired: shared.expired.load(Ordering::Relaxed),
        kills,
        millis: began.elapsed().as_millis() as u64,
        peak_kib: peak.map_or(0, |(_, peak)| peak),
    }))
}

fn maps(client: &Client) -> Api<ConfigMap> {
    client.api::<ConfigMap>().namespace(NAMESPACE)
}

/// Kills something every now and then until enough events were delivered.
async fn kill_until_enough(site: &Site, flood: &Flood, shared: &Shared) -> Result<u64, Error> {
    let mut kills = 0;
    let mut last = Instant::now();
    let mut reported = Instant::now();
    while shared.events.load(Ordering::Relaxed) < flood.events {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if reported.elapsed() > Duration::from_secs(30) {
            reported = Instant::now();
            eprintln!("{} events so far", shared.events.load(Ordering::Relaxed));
        }
        if last.elapsed() < flood.kill_every {
            continue;
        }
        match &site.etcd {
            Some(etcd) if kills % 3 == 2 => {
                let mut etcd = etcd.lock().await;
                etcd.kill()?;
                etcd.restart()?;
            }
            _ => site.kill_server(kills as usize % site.nodes.len()).await?,
        }
        kills += 1;
        last = Instant::now();
    }
    Ok(kills)
}

/// Every watcher ends with what is there.
async fn all_agree(
    mut watchers: JoinSet<Result<HashMap<String, u64>, Error>>,
    expected: &HashMap<String, u64>,
) -> Result<(), Error> {
    while let Some(ended) = watchers.join_next().await {
        let found = ended.map_err(|error| Error::Unexpected(error.to_string()))??;
        if found != *expected {
            return Err(Error::Found(format!(
                "a watcher ended with {found:?}, and there is {expected:?}"
            )));
        }
    }
    Ok(())
}

/// The only one that writes to its objects.
struct Owner {
    maps: Api<ConfigMap>,
    names: Vec<String>,
    /// The count of each, and its revision if it exists.
    states: Vec<(u64, Option<String>)>,
    random: Random,
    shared: Arc<Shared>,
    last: Revision,
}

impl Owner {
    fn new(maps: Api<ConfigMap>, number: usize, random: Random, shared: Arc<Shared>) -> Self {
        Self {
            maps,
            names: (0..OBJECTS_PER_OWNER)
                .map(|object| format!("o{number}-{object}"))
                .collect(),
            states: vec![(0, None); OBJECTS_PER_OWNER],
            random,
            shared,
            last: 0,
        }
    }

    /// Writes until told to stop; every object exists then. Returns the revision of the last write.
    async fn run(mut self) -> Result<Revision, Error> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let object = self.random.below(OBJECTS_PER_OWNER as u64) as usize;
            if self.states[object].1.is_some() && self.random.one_in(40) {
                self.delete(object).await?;
            } else {
                self.put(object).await?;
            }
            self.shared.writes.fetch_add(1, Ordering::Relaxed);
        }
        for object in 0..OBJECTS_PER_OWNER {
            self.put(object).await?;
        }
        Ok(self.last)
    }

    /// Raises the count, whatever it takes.
    async fn put(&mut self, object: usize) -> Result<(), Error> {
        let count = self.states[object].0 + 1;
        loop {
            let mut map = ConfigMap::default();
            map.metadata.name = self.names[object].clone();
            map.data.insert(COUNT.to_owned(), count.to_string());
            let answer = match &self.states[object].1 {
                Some(version) => {
                    map.metadata.resource_version = version.clone();
                    self.maps.update(&map).await
                }
                None => self.maps.create(&map).await,
            };
            let written = match answer {
                Ok(written) => Some(written),
                // Whether it was made shows: nobody else writes here.
                Err(error) => {
                    objects::failure(&error)?;
                    self.look(object)
                        .await?
                        .filter(|found| count_of(found).ok() == Some(count))
                }
            };
            if let Some(written) = written {
                self.last = self
                    .last
                    .max(objects::revision(&written.metadata.resource_version)?);
                self.states[object] = (count, Some(written.metadata.resource_version));
                return Ok(());
            }
        }
    }

    async fn delete(&mut self, object: usize) -> Result<(), Error> {
        loop {
            let options = DeleteOptions {
                preconditions: Some(Box::new(Preconditions {
                    resource_version: self.states[object].1.clone(),
                    ..Preconditions::default()
                })),
                ..DeleteOptions::default()
            };
            match self.maps.delete(&self.names[object], &options).await {
                Ok(()) => break,
                Err(error) => {
                    objects::failure(&error)?;
                    if self.look(object).await?.is_none() {
                        break;
                    }
                }
            }
        }
        self.states[object].1 = None;
        Ok(())
    }

    /// What is there, once the server answers.
    async fn look(&self, object: usize) -> Result<Option<ConfigMap>, Error> {
        loop {
            match self.maps.get(&self.names[object]).await {
                Ok(found) => return Ok(Some(found)),
                Err(error) if objects::failure(&error)? == Answer::Refused(Refusal::NotFound) => {
                    return Ok(None);
                }
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

fn count_of(map: &ConfigMap) -> Result<u64, Error> {
    let text = map.data.get(COUNT);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Unexpected(format!("{map:?}")))
}

async fn list(maps: &Api<ConfigMap>) -> Result<(Revision, HashMap<String, u64>), Error> {
    loop {
        let list = match maps.list(&ListParams::default()).await {
            Ok(list) => list,
            Err(error) => {
                objects::failure(&error)?;
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let items = list.items.iter();
        let items: Result<_, Error> = items
            .map(|map| Ok((map.metadata.name.clone(), count_of(map)?)))
            .collect();
        return Ok((objects::revision(&list.metadata.resource_version)?, items?));
    }
}

/// How a watch ended.
enum Ended {
    Finished,
    Closed,
    Expired,
}

/// One watcher.
struct Reader {
    maps: Api<ConfigMap>,
    ledger: Ledger,
    is_slow: bool,
    shared: Arc<Shared>,
    end: watch::Receiver<Option<Revision>>,
}

impl Reader {
    /// Reads until the last write has been seen; returns what is there then.
    async fn run(mut self) -> Result<HashMap<String, u64>, Error> {
        let mut is_listed = false;
        loop {
            if !is_listed {
                let (revision, items) = list(&self.maps).await?;
                self.ledger
                    .list(revision, items)
                    .map_err(|wrong| Error::Found(wrong.to_string()))?;
                is_listed = true;
            }
            match self.watch().await? {
                Ended::Finished => return Ok(self.ledger.objects()),
                Ended::Closed => tokio::time::sleep(RETRY).await,
                Ended::Expired => {
                    self.shared.expired.fetch_add(1, Ordering::Relaxed);
                    is_listed = false;
                }
            }
        }
    }

    fn is_finished(&self) -> bool {
        (*self.end.borrow()).is_some_and(|last| self.ledger.position >= last)
    }

    async fn watch(&mut self) -> Result<Ended, Error> {
        self.shared.watches.fetch_add(1, Ordering::Relaxed);
        let params = WatchParams::from_version(self.ledger.position.to_string());
        let stream = match self.maps.watch(&params).await {
            Ok(stream) => stream,
            Err(error) => {
                return Ok(match objects::failure(&error)? {
                    Answer::Refused(Refusal::Expired) => Ended::Expired,
                    _ => Ended::Closed,
                });
            }
        };
        let mut stream = std::pin::pin!(stream);
        let mut end = self.end.clone();
        loop {
            if self.is_finished() {
                return Ok(Ended::Finished);
            }
            let next = tokio::select! {
                next = stream.next() => next,
                Ok(()) = end.changed() => continue,
            };
            let (change, map) = match next {
                Some(Ok(WatchEvent::Added(map))) => (Change::Added, map),
                Some(Ok(WatchEvent::Modified(map))) => (Change::Modified, map),
                Some(Ok(WatchEvent::Deleted(map))) => (Change::Deleted, map),
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    let revision = objects::revision(&bookmark.resource_version)?;
                    self.ledger
                        .bookmark(revision)
                        .map_err(|wrong| Error::Found(wrong.to_string()))?;
                    continue;
                }
                Some(Ok(WatchEvent::Error(status))) if status.code == 410 => return Ok(Ended::Expired),
                _ => return Ok(Ended::Closed),
            };
            self.event(change, &map).await?;
        }
    }

    async fn event(&mut self, change: Change, map: &ConfigMap) -> Result<(), Error> {
        let revision = objects::revision(&map.metadata.resource_version)?;
        self.ledger
            .event(change, &map.metadata.name, count_of(map)?, revision)
            .map_err(|wrong| Error::Found(wrong.to_string()))?;
        self.shared.events.fetch_add(1, Ordering::Relaxed);
        if self.is_slow && self.ledger.events.is_multiple_of(SLOW_AFTER) {
            tokio::time::sleep(BREAK).await;
        }
        Ok(())
    }
}
