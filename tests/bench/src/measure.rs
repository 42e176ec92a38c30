//! Latencies, counts, and the line that is printed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::Error;
use crate::process::Usage;
use crate::settings::{Encoding, Settings};

/// What a run did.
#[derive(Debug, Default)]
pub struct Outcome {
    pub latencies: Vec<Duration>,
    pub elapsed: Duration,
    pub received: Received,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Figures that only some runs have.
    pub extra: Vec<(&'static str, Value)>,
}

/// Bytes of answers' bodies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Without compression.
    pub bytes: u64,
    pub on_the_wire: u64,
}

impl From<u64> for Received {
    /// Of answers that were not compressed.
    fn from(bytes: u64) -> Self {
        Self {
            bytes,
            on_the_wire: bytes,
        }
    }
}

impl std::ops::AddAssign for Received {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.on_the_wire += other.on_the_wire;
    }
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Count(usize),
    Elapsed(Duration),
}

/// Keeps `clients` operations in flight; each gets its number, and tells what it received.
pub async fn drive<F, R>(clients: usize, until: Until, operation: F) -> Outcome
where
    F: Fn(usize, usize) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Received, Error>> + Send,
{
    let (operation, next) = (Arc::new(operation), Arc::new(AtomicUsize::new(0)));
    let begin = Instant::now();
    let tasks = (0..clients).map(|client| {
        let (operation, next) = (operation.clone(), next.clone());
        tokio::spawn(async move {
            let mut outcome = Outcome::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let is_over = match until {
                    Until::Count(count) => number >= count,
                    Until::Elapsed(duration) => begin.elapsed() >= duration,
                };
                if is_over {
                    return outcome;
                }
                let started = Instant::now();
                let result = operation(client, number).await;
                outcome.note(started.elapsed(), result);
            }
        })
    });
    let mut total = Outcome::default();
    for task in tasks.collect::<Vec<_>>() {
        match task.await {
            Ok(part) => total.add(part),
            Err(error) => total.fail(error.to_string()),
        }
    }
    total.elapsed = begin.elapsed();
    total
}

impl Outcome {
    fn note(&mut self, latency: Duration, result: Result<Received, Error>) {
        match result {
            Ok(received) => {
                self.latencies.push(latency);
                self.received += received;
            }
            Err(error) => self.fail(chain(&error)),
        }
    }

    pub fn fail(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    pub fn add(&mut self, part: Outcome) {
        self.latencies.extend(part.latencies);
        self.received += part.received;
        self.errors += part.errors;
        self.first_error = self.first_error.take().or(part.first_error);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

/// One run as a line of JSON.
pub fn line(run: &str, settings: &Settings, outcome: &Outcome, before: &[Usage], after: &[Usage]) -> Value {
    let seconds = outcome.elapsed.as_secs_f64().max(1e-9);
    let mut sorted = outcome.latencies.clone();
    sorted.sort_unstable();
    let round = |number: f64| (number * 1000.0).round() / 1000.0;
    let at = |part: f64| {
        let index = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
        round(sorted.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0)
    };
    let encoding = if settings.encoding == Encoding::Json {
        "json"
    } else {
        "protobuf"
    };
    let mut line = json!({
        "label": if settings.label.is_empty() { run } else { &settings.label },
        "run": run, "kind": settings.kind.plural(), "encoding": encoding, "clients": settings.clients,
        "operations": sorted.len(), "errors": outcome.errors, "seconds": round(seconds),
        "per_second": round(sorted.len() as f64 / seconds),
        "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0),
        "bytes": outcome.received.bytes, "bytes_on_the_wire": outcome.received.on_the_wire,
        "mib_per_second": round(outcome.received.bytes as f64 / seconds / f64::from(1 << 20)),
    });
    let Some(fields) = line.as_object_mut() else {
        return line;
    };
    fields.extend(
        outcome
            .extra
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone())),
    );
    if let Some(error) = &outcome.first_error {
        fields.insert("first_error".into(), Value::from(error.as_str()));
    }
    let processes: Map<_, _> = before
        .iter()
        .zip(after)
        .map(|(before, after)| (after.name.clone(), after.since(before)))
        .collect();
    if !processes.is_empty() {
        fields.insert("processes".into(), Value::Object(processes));
    }
    line
}
