//! Workers that take keys out of a queue and reconcile them until shutdown.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use component_base::shutdown::Shutdown;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

use crate::causes::Causes;
use crate::work_queue::{Item, WorkQueue};

/// How often the gauges of unfinished work are brought up to date.
const REPORT_PERIOD: Duration = Duration::from_millis(500);

/// What is to become of a key that was reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Look again after a while; this is no failure.
    RequeueAfter(Duration),
    /// Look again soon, with the delays of a failure but without logging one.
    Retry,
}

/// Why a key couldn't be reconciled. It is tried again after a growing delay.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Brings the world in line for one key. Must take nothing from its trigger but the key.
pub trait Reconcile<T>: Send + Sync + 'static {
    fn reconcile<'a>(&'a self, key: &'a T) -> BoxFuture<'a, Result<Outcome, Error>>;
}

/// A conflict means that our cache is behind: common, harmless, repeated without noise.
fn is_conflict(error: &Error) -> bool {
    error
        .downcast_ref::<client::Error>()
        .is_some_and(client::Error::is_conflict)
}

/// Runs `workers` workers until shutdown, then lets them finish the key that they have.
pub async fn run<T: Item>(
    name: &'static str,
    queue: WorkQueue<T>,
    workers: usize,
    reconciler: Arc<dyn Reconcile<T>>,
    shutdown: Shutdown,
) {
    let mut tasks = JoinSet::new();
    for _ in 0..workers.max(1) {
        tasks.spawn(work(name, queue.clone(), reconciler.clone(), shutdown.clone()));
    }
    while shutdown.guard(tokio::time::sleep(REPORT_PERIOD)).await.is_some() {
        queue.report_unfinished();
    }
    queue.shut_down();
    while tasks.join_next().await.is_some() {}
}

async fn work<T: Item>(
    name: &'static str,
    queue: WorkQueue<T>,
    reconciler: Arc<dyn Reconcile<T>>,
    shutdown: Shutdown,
) {
    while let Some(Some(key)) = shutdown.guard(queue.get()).await {
        let outcome = AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind().await;
        settle(
            name,
            &queue,
            &key,
            outcome.unwrap_or_else(|panic| Err(Panicked::new(&*panic).into())),
        );
        queue.done(&key);
    }
}

fn settle<T: Item>(name: &str, queue: &WorkQueue<T>, key: &T, outcome: Result<Outcome, Error>) {
    match outcome {
        Ok(Outcome::Done) => queue.forget(key),
        Ok(Outcome::RequeueAfter(delay)) => {
            queue.forget(key);
            queue.add_after(key.clone(), delay);
        }
        Ok(Outcome::Retry) => queue.add_rate_limited(key.clone()),
        Err(failure) => {
            if is_conflict(&failure) {
                debug!(controller = name, %key, error = %failure, "conflict, trying again");
            } else if failure.is::<Panicked>() {
                error!(controller = name, %key, error = %failure, "reconciler panicked");
            } else {
                warn!(controller = name, %key, error = %Causes(&*failure), "cannot reconcile");
            }
            queue.add_rate_limited(key.clone());
        }
    }
}

/// A reconciler's panic: a bug, but one key's bug.
#[derive(Debug, thiserror::Error)]
#[error("panic: {0}")]
struct Panicked(String);

impl Panicked {
    fn new(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Panicked(
            text.or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown".into()),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers the first visit of each key by its name and later ones by success.
    struct Script(Mutex<Vec<String>>);

    impl Reconcile<&'static str> for Script {
        fn reconcile<'a>(&'a self, key: &'a &'static str) -> BoxFuture<'a, Result<Outcome, Error>> {
            Box::pin(async move {
                let first = {
                    let mut visits = self.0.lock().expect("lock");
                    visits.push((*key).to_owned());
                    visits.iter().filter(|visit| visit == key).count() == 1
                };
                match *key {
                    "panics" if first => panic!("on purpose"),
                    "fails" if first => Err("on purpose".into()),
                    "later" if first => Ok(Outcome::RequeueAfter(Duration::from_secs(60))),
                    _ => Ok(Outcome::Done),
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_and_panics_are_retried_and_shutdown_ends_the_workers() {
        let queue = WorkQueue::new();
        ["panics", "fails", "later", "fine"]
            .into_iter()
            .for_each(|key| queue.add(key));
        let script = Arc::new(Script(Mutex::default()));
        let shutdown = Shutdown::new();
        let running = tokio::spawn(run("test", queue.clone(), 2, script.clone(), shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(61)).await;
        shutdown.trigger();
        running.await.expect("driver ends");
        let mut visits = script.0.lock().expect("lock").clone();
        visits.sort();
        assert_eq!(
            visits,
            ["fails", "fails", "fine", "later", "later", "panics", "panics"]
        );
    }
}
