//! The requests of a connection: how many run, when the connection idles, and which of them are overdue.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::super::{Body, BoxError, UntilSent};

/// The requests of one connection, from their first byte to the last one of the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    running: AtomicUsize,
    /// The connection began or ceased to idle.
    turned: Notify,
}

impl Requests {
    /// Counts a request until the result is dropped.
    pub(super) fn begin(&self) -> Running {
        if self.0.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.0.turned.notify_one();
        }
        Running(self.0.clone())
    }

    /// Resolves once no request has run for so long.
    pub(super) async fn idle(&self, timeout: Duration) {
        loop {
            let turned = self.0.turned.notified();
            if self.0.running.load(Ordering::Acquire) > 0 {
                turned.await;
            } else if tokio::time::timeout(timeout, turned).await.is_err() {
                return;
            }
        }
    }
}

/// A request that runs.
#[derive(Debug)]
pub(super) struct Running(Arc<Counts>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.turned.notify_one();
        }
    }
}

/// The body of an answer, which ends its request and the request's deadline when it is dropped.
pub(super) struct Answering {
    pub(super) body: Body,
    pub(super) _kept: Option<UntilSent>,
    pub(super) _running: Running,
    pub(super) _deadline: Option<Pending>,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

tokio::task_local! {
    /// Of what ends when the running task overruns: an HTTP/2 stream, else the connection.
    static DEADLINE: Deadline;
}

/// A point in time by which an answer has to be with its client. hyper does not ask a body for more while the client
/// takes nothing, so a body cannot watch its own deadline.
#[derive(Clone, Debug)]
pub(super) struct Deadline(watch::Sender<Option<Instant>>);

impl Default for Deadline {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

/// A deadline that counts; dropped, it does no longer.
pub(super) struct Pending(Deadline);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.0.send_replace(None);
    }
}

impl Deadline {
    /// Sets the deadline of the stream or connection that the running task serves.
    pub(super) fn set_current(at: Instant) -> Option<Pending> {
        DEADLINE
            .try_with(|deadline| {
                deadline.0.send_replace(Some(at));
                Pending(deadline.clone())
            })
            .ok()
    }

    /// Runs `work`, to which the deadline belongs, until it ends or overruns: then `None`.
    pub(super) async fn bound<F: Future>(self, work: F) -> Option<F::Output> {
        let mut work = pin!(DEADLINE.scope(self.clone(), work));
        let mut changes = self.0.subscribe();
        loop {
            let at = *changes.borrow_and_update();
            let overrun = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                output = &mut work => return Some(output),
                // Fails never: `self` holds the other end.
                _ = changes.changed() => {}
                () = overrun => return None,
            }
        }
    }
}

/// Runs HTTP/2 streams as tasks, each with a deadline: one that overruns is reset, the others go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams;

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(async move {
            if Deadline::default().bound(stream).await.is_none() {
                tracing::debug!("a client did not take its answer in time: stream reset");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_idles_from_the_end_of_its_last_request() {
        let requests = Requests::default();
        let started = Instant::now();
        let (first, second) = (requests.begin(), requests.begin());
        let idle = tokio::spawn({
            let requests = requests.clone();
            async move { requests.idle(Duration::from_secs(90)).await }
        });
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(first);
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(second);
        tokio::time::sleep(Duration::from_secs(80)).await;
        drop(requests.begin());
        idle.await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(100 + 100 + 80 + 90));
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_with_its_deadline_unless_that_was_lifted() {
        let overrun = Deadline::default().bound(async {
            let _pending = Deadline::set_current(Instant::now() + Duration::from_secs(5));
            std::future::pending::<()>().await;
        });
        assert_eq!(overrun.await, None);
        let lifted = Deadline::default().bound(async {
            drop(Deadline::set_current(Instant::now() + Duration::from_secs(5)));
            tokio::time::sleep(Duration::from_secs(50)).await;
        });
        assert_eq!(lifted.await, Some(()));
    }
}
