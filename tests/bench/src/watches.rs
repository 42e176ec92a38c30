//! Runs that watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::params::Query;
use client::request::JSON;
use client::transport::Body;
use client::watch::{EncodedWatch, EventType};
use client::{Client, Request};
use futures_util::StreamExt;
use http::Method;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Error;
use crate::measure::{Outcome, Until, drive};
use crate::objects;
use crate::settings::Settings;
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

async fn open(client: Client, request: Request) -> Result<EncodedWatch, Error> {
    Ok(EncodedWatch::new(client.stream(request).await?))
}

/// Many watchers of one object, which is updated; the latency is from before the write to the reading.
pub async fn fan_out(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let collection = target.core("configmaps");
    target
        .ensure(&collection, &objects::config_map(WATCHED, ""))
        .await?;
    let version = list_version(&target.client(0), &collection).await?;
    let begin = Instant::now();
    let expected = Arc::new(AtomicUsize::new(usize::MAX));
    let mut watchers = Vec::new();
    for n in 0..settings.watchers {
        let request = watch_request(
            settings,
            collection.clone(),
            Some(&format!("metadata.name={WATCHED}")),
            &version,
        );
        let watch = open(target.client(n), request).await?;
        watchers.push(tokio::spawn(receive(watch, begin, expected.clone())));
    }
    let stuck = open_stuck(settings, &collection, &version).await?;
    let writing = Instant::now();
    let writes = update_for(target, settings, begin).await?;
    expected.store(writes, Ordering::SeqCst);
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

/// Watches of the whole collection on a connection of their own, of which nothing is ever read.
async fn open_stuck(
    settings: &Settings,
    collection: &str,
    version: &str,
) -> Result<Vec<http::Response<Body>>, Error> {
    let mut stuck = Vec::new();
    let client = Target::own_client(settings)?;
    for _ in 0..settings.stuck {
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
    let end = Instant::now() + settings.duration;
    let mut writes = 0;
    while Instant::now() < end {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let payload = format!("sent={:0DIGITS$}", begin.elapsed().as_nanos());
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
async fn receive(mut watch: EncodedWatch, begin: Instant, expected: Arc<AtomicUsize>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut last = Instant::now();
    while outcome.latencies.len() < expected.load(Ordering::SeqCst) && last.elapsed() < SETTLE {
        // Looks up from time to time: the number of writes becomes known only at the end.
        let Ok(next) = timeout(Duration::from_millis(200), watch.next()).await else {
            continue;
        };
        last = Instant::now();
        match next {
            Some(Ok(event)) if event.type_ == EventType::Modified => {
                outcome.bytes += event.object.len() as u64;
                match sent_at(&event.object) {
                    Some(sent) => outcome.latencies.push(begin.elapsed().saturating_sub(sent)),
                    None => outcome.fail("an event without its time".into()),
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                outcome.fail(error.to_string());
                return outcome;
            }
            None => {
                outcome.fail("the watch ended".into());
                return outcome;
            }
        }
    }
    outcome
}

fn sent_at(object: &[u8]) -> Option<Duration> {
    let at = object.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = std::str::from_utf8(object.get(at..at + DIGITS)?).ok()?;
    digits.parse().ok().map(Duration::from_nanos)
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
    fn the_time_of_a_write_is_found_in_its_event() {
        assert_eq!(
            sent_at(b"..sent=0000000000001500\".."),
            Some(Duration::from_nanos(1500))
        );
        assert_eq!(sent_at(b"..sent=00"), None);
        assert_eq!(sent_at(b"nothing"), None);
    }
}
