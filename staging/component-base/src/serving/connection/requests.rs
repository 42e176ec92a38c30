//! The requests of a connection: how many run, and when the connection idles.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

use super::super::{Body, BoxError, UntilSent};
use super::streams::Pending;

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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

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
}
