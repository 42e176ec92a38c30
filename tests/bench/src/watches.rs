//! Runs that watch.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::params::Query;
use client::request::JSON;
use client::transport::{self, Body};
use client::{Client, Request};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Error;
use crate::measure::{Outcome, Received, Until, drive};
use crate::objects;
use crate::settings::Settings;
use crate::stuck::Stuck;
use crate::target::{Target, count, request, write};

/// The object that everyone watches.
const WATCHED: &str = "bench-watched";
/// Marks the time of a write in its payload: nanoseconds since the run began, in digits of fixed number.
const MARK: &[u8] = b"sent=";
const DIGITS: usize = 16;
/// How long watchers may take to see the last write.
const SETTLE: Duration = Duration::from_secs(30);

fn watch_request(settings: &Settings, path: String, field_selector: Option<&str>, version: &str) -> Request {
    let mut query = Query::default();
    query.add("watch", Some("true"));
    query.add("resourceVersion", Some(version));
    query.add("fieldSelector", field_selector);
    query.add("allowWatchBookmarks", Some("true"));
    request(settings, Method::GET, path).query(query)
}

async fn open(client: Client, request: Request) -> Result<Body, Error> {
    Ok(client.stream(request).await?.into_body())
}

/// Many watchers of one object, which is updated; the latency is from before the write to the reading.
pub async fn fan_out(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let collection = target.core("configmaps");
    target
        .ensure(&collection, &objects::config_map(WATCHED, ""))
        .await?;
    let version = list_version(&target.client(0), &collection).await?;
    let begin = Instant::now();
    let (tell_written, written) = watch::channel(None);
    let mut watchers = Vec::new();
    for n in 0..settings.watchers {
        let request = watch_request(
            settings,
            collection.clone(),
            Some(&format!("metadata.name={WATCHED}")),
            &version,
        );
        let watch = open(target.client(n), request).await?;
        watchers.push(tokio::spawn(receive(watch, begin, written.clone())));
    }
    let stuck = open_stuck(settings, &collection, &version).await?;
    let writing = Instant::now();
    let writes = update_for(target, settings, begin).await?;
    tell_written.send_replace(Some(writes));
    let mut outcome = collect(watchers).await;
    outcome.elapsed = writing.elapsed();
    drop(stuck);
    outcome.extra = vec![
        ("watchers", Value::from(settings.watchers)),
        ("stuck", Value::from(settings.stuck)),
        ("writes", Value::from(writes)),
        (
            "missed",
            Value::from((writes * settings.watchers).saturating_sub(outcome.latencies.len())),
        ),
    ];
    Ok(outcome)
}

/// Watches of the whole collection, each on a connection of its own, of which nothing is ever read.
async fn open_stuck(
    settings: &Settings,
    collection: &str,
    version: &str,
) -> Result<Vec<http::Response<Body>>, Error> {
    let mut stuck = Vec::new();
    for n in 0..settings.stuck {
        let client = Target::stuck_client(settings, [Stuck::Deaf, Stuck::Unwilling][n % 2])?;
        let request = watch_request(settings, collection.to_owned(), None, version);
        stuck.push(client.stream(request).await?);
    }
    Ok(stuck)
}

/// Updates the watched object until time is up; returns how often.
async fn update_for(target: &Target, settings: &Settings, begin: Instant) -> Result<usize, Error> {
    let path = format!("{}/{WATCHED}", target.core("configmaps"));
    let pause = (settings.rate > 0).then(|| Duration::from_secs(1).div_f64(settings.rate as f64));
    let mut pace = pause.map(tokio::time::interval);
    let padding = "x".repeat(settings.payload);
    let end = Instant::now() + settings.duration;
    let mut writes = 0;
    while Instant::now() < end {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let payload = format!("sent={:0DIGITS$}{padding}", begin.elapsed().as_nanos());
        let document = objects::config_map(WATCHED, &payload);
        let body = objects::encode::<api::core::v1::ConfigMap>(settings.encoding, document.to_string())?;
        target
            .client(0)
            .send(write(settings, Method::PUT, path.clone(), body))
            .await?;
        writes += 1;
    }
    Ok(writes)
}

/// Reads events until as many as were written have come, or none comes for long.
async fn receive(mut body: Body, begin: Instant, mut written: watch::Receiver<Option<usize>>) -> Outcome {
    let (mut outcome, mut events) = (Outcome::default(), Marks::default());
    let mut note = |frame: Option<Result<Frame<Bytes>, transport::Error>>| {
        let data = match frame {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the watch ended".to_owned()),
        };
        outcome.received += Received::from(data.len() as u64);
        let now = begin.elapsed();
        events.find(&data, |sent| outcome.latencies.push(now.saturating_sub(sent)));
        Ok(outcome.latencies.len())
    };
    let received = async {
        let mut count = 0;
        let mut is_written = pin!(written.wait_for(Option::is_some));
        let expected = loop {
            tokio::select! {
                biased;
                frame = body.frame() => count = note(frame)?,
                told = &mut is_written => break told.ok().and_then(|count| *count).unwrap_or_default(),
            }
        };
        while count < expected {
            let Ok(frame) = timeout(SETTLE, body.frame()).await else {
                break;
            };
            count = note(frame)?;
        }
        Ok::<_, String>(())
    };
    if let Err(error) = received.await {
        outcome.fail(error);
    }
    outcome
}

/// Finds the times of writes in the text of events, which comes in pieces.
#[derive(Default)]
struct Marks {
    /// The end of the last piece, where a mark may begin.
    tail: Vec<u8>,
}

impl Marks {
    fn find(&mut self, piece: &[u8], mut found: impl FnMut(Duration)) {
        let last = MARK.len() + DIGITS - 1;
        let across = self.tail.len();
        self.tail.extend_from_slice(&piece[..piece.len().min(last)]);
        // A mark that lies in the piece alone is found there.
        each_mark(&self.tail, |at, sent| {
            if at < across {
                found(sent)
            }
        });
        each_mark(piece, |_, sent| found(sent));
        if piece.len() >= last {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - last..]);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(last));
        }
    }
}

/// Where the whole marks of a text begin, and the times that they tell.
fn each_mark(text: &[u8], mut found: impl FnMut(usize, Duration)) {
    for at in memchr::memmem::find_iter(text, MARK) {
        let digits = text.get(at + MARK.len()..at + MARK.len() + DIGITS);
        let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(nanoseconds) = number {
            found(at, Duration::from_nanos(nanoseconds));
        }
    }
}

async fn collect(watchers: Vec<JoinHandle<Outcome>>) -> Outcome {
    let mut total = Outcome::default();
    for watcher in watchers {
        match watcher.await {
            Ok(part) => total.add(part),
            Err(error) => total.fail(error.to_string()),
        }
    }
    total
}

async fn list_version(client: &Client, collection: &str) -> Result<String, Error> {
    let mut query = Query::default();
    query.add("limit", Some("1"));
    let response = client
        .send(Request::get(collection).accept(JSON).query(query))
        .await?;
    let list: Value =
        serde_json::from_slice(&response.body).map_err(|error| Error::Answer(error.to_string()))?;
    let version = list["metadata"]["resourceVersion"].as_str();
    version
        .map(str::to_owned)
        .ok_or_else(|| Error::Answer("a list without a resourceVersion".into()))
}

/// Watchers that nothing happens to: what they cost is in the memory of the line.
pub async fn idle(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let collection = target.objects(settings);
    let version = list_version(&target.client(0), &collection).await?;
    let before = crate::process::usage(&settings.processes)?;
    let begin = Instant::now();
    let mut outcome = Outcome::default();
    let mut watches = Vec::new();
    for n in 0..settings.watchers {
        let started = Instant::now();
        let selector = format!("metadata.name={}", objects::name(n));
        let request = watch_request(settings, collection.clone(), Some(&selector), &version);
        watches.push(open(target.client(n), request).await?);
        outcome.latencies.push(started.elapsed());
    }
    outcome.elapsed = begin.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = crate::process::usage(&settings.processes)?;
    for (before, after) in before.iter().zip(&after) {
        let grown_kb = after.proportional_kb.saturating_sub(before.proportional_kb);
        outcome.extra.push((
            "bytes_per_watcher",
            Value::from(grown_kb * 1024 / settings.watchers as u64),
        ));
    }
    drop(watches);
    Ok(outcome)
}

/// Informers that start at once: each lists everything and opens its watch.
pub async fn informers(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let collection = Arc::new(target.objects(settings));
    let clients: Arc<Vec<Client>> = Arc::new((0..settings.connections).map(|n| target.client(n)).collect());
    let shared = Arc::new(settings.clone());
    Ok(drive(
        settings.watchers,
        Until::Count(settings.watchers),
        move |client, _| {
            let (collection, clients, settings) = (collection.clone(), clients.clone(), shared.clone());
            async move {
                let client = clients[client % clients.len()].clone();
                let list = request(&settings, Method::GET, (*collection).clone());
                let bytes = count(client.clone(), list).await?;
                let watch = watch_request(&settings, (*collection).clone(), None, "0");
                // The head of the answer says that the watch stands.
                open(client, watch).await.map(drop)?;
                Ok(bytes)
            }
        },
    )
    .await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_writes_are_found_in_any_pieces() {
        let text = b"..sent=0000000000001500\"..sent=0000000000000007..";
        for size in 1..=text.len() {
            let (mut marks, mut found) = (Marks::default(), Vec::new());
            for piece in text.chunks(size) {
                marks.find(piece, |sent| found.push(sent.as_nanos()));
            }
            assert_eq!(found, [1500, 7], "in pieces of {size}");
        }
        Marks::default().find(b"..sent=00", |_| panic!("half a mark"));
    }
}
