//! The HTTP/2 streams of a connection, and the time by which an answer has to be with its client.
//!
//! A stream is a task of its own while its request is handled and answered: many cores answer the requests of one
//! connection. One whose answer trickles ([`Trickle`]) is handed over to its connection and goes on in the connection's
//! turns. A change that concerns a hundred watches of a connection then wakes one task, and not
//! a hundred that each wake it again.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::Trickle;
use super::super::aside::Aside;

/// Streams on their way from their tasks to the connection; further ones wait in theirs.
const MAX_HANDED_OVER: usize = 8;

tokio::task_local! {
    /// What serves the running task's answer: an HTTP/2 stream, else the connection.
    static CURRENT: Answerer;
}

/// What serves an answer, as the answer sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Answerer(Arc<Wishes>);

/// What the answer asks for.
#[derive(Debug, Default)]
struct Wishes {
    /// By when it has to be with its client. hyper does not ask a body for more while the client takes nothing, so a
    /// body cannot watch its own deadline.
    deadline: Mutex<Option<Instant>>,
    trickle: OnceLock<Trickle>,
}

/// A deadline that counts; dropped, it does no longer.
pub(super) struct Pending(Answerer);

impl Drop for Pending {
    fn drop(&mut self) {
        *self.0.0.deadline.lock() = None;
    }
}

impl Answerer {
    /// Sets the deadline of what serves the running task's answer.
    pub(super) fn finish_by(at: Instant) -> Option<Pending> {
        CURRENT
            .try_with(|current| {
                *current.0.deadline.lock() = Some(at);
                Pending(current.clone())
            })
            .ok()
    }

    /// The running task's answer will trickle.
    pub(super) fn trickle(trickle: Trickle) {
        // Without a stream around it, there is nothing to hand over.
        CURRENT
            .try_with(|current| current.0.trickle.set(trickle).ok())
            .ok();
    }

    fn trickles(&self) -> bool {
        self.0.trickle.get().is_some_and(Trickle::has_begun)
    }

    /// Runs `work`, which answers, until it ends or overruns its deadline: then `None`.
    pub(super) async fn bound<F: Future>(self, work: F) -> Option<F::Output> {
        let mut work = pin!(CURRENT.scope(self.clone(), work));
        let mut armed = None;
        poll_fn(move |cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            // Set and lifted by the work only, in its polls.
            let deadline = *self.0.deadline.lock();
            if armed.as_ref().map(|(at, _)| *at) != deadline {
                armed = deadline.map(|at| (at, Aside::new(tokio::time::sleep_until(at))));
            }
            match &mut armed {
                Some((_, overrun)) => overrun.poll_unpin(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// A stream that runs until its answer is out.
type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs HTTP/2 streams, each with a deadline: one that overruns is reset, the others go on.
#[derive(Clone)]
pub(super) struct Streams {
    trickling: mpsc::Sender<Stream>,
}

/// The streams that go on in the turns of their connection.
pub(super) struct Trickling {
    arriving: mpsc::Receiver<Stream>,
    running: FuturesUnordered<Stream>,
    bell: Arc<Bell>,
}

pub(super) fn streams() -> (Streams, Trickling) {
    let (trickling, arriving) = mpsc::channel(MAX_HANDED_OVER);
    let trickles = Trickling {
        arriving,
        running: FuturesUnordered::new(),
        bell: Arc::default(),
    };
    (Streams { trickling }, trickles)
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let trickling = self.trickling.clone();
        tokio::spawn(async move {
            let answerer = Answerer::default();
            let mut stream: Stream = Box::pin(run(answerer.clone(), stream));
            let ended = poll_fn(|cx| match stream.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending if answerer.trickles() => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            });
            if !ended.await {
                // A connection that is gone has no streams.
                trickling.send(stream).await.ok();
            }
        });
    }
}

async fn run(answerer: Answerer, stream: impl Future<Output = ()> + Send) {
    if answerer.bound(stream).await.is_none() {
        tracing::debug!("a client did not take its answer in time: stream reset");
    }
}

impl Trickling {
    /// Lets each stream that was woken go on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(stream)) = self.arriving.poll_recv(cx) {
            // Alone in its task, a stream that panics would take no other with it.
            let stream = AssertUnwindSafe(stream).catch_unwind().map(drop);
            self.running.push(Box::pin(stream));
        }
        self.bell.task.register(cx.waker());
        self.bell.is_heard.swap(true, Ordering::AcqRel);
        let waker = Waker::from(self.bell.clone());
        // The set returns after two streams that rang for themselves, as those do that were given room to write: it is
        // asked on until all have had their say, and each once more at most.
        for _ in 0..=self.running.len() {
            self.bell.rung.store(false, Ordering::Release);
            let mut within = Context::from_waker(&waker);
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(&mut within) {}
            if !self.bell.rung.load(Ordering::Acquire) {
                break;
            }
        }
        self.bell.is_heard.swap(false, Ordering::AcqRel);
        if self.bell.rung.load(Ordering::Acquire) {
            cx.waker().wake_by_ref();
        }
    }
}

/// Rung by streams that have something to say; wakes the connection unless it listens already.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    is_heard: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        // A write, as the swaps are: whoever finds that he is heard comes before the swap that ends it, and his ring is
        // seen behind that.
        if !self.is_heard.fetch_or(false, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_ends_with_its_deadline_unless_that_was_lifted() {
        let overrun = Answerer::default().bound(async {
            let _pending = Answerer::finish_by(Instant::now() + Duration::from_secs(5));
            std::future::pending::<()>().await;
        });
        assert_eq!(overrun.await, None);
        let lifted = Answerer::default().bound(async {
            drop(Answerer::finish_by(Instant::now() + Duration::from_secs(5)));
            tokio::time::sleep(Duration::from_secs(50)).await;
        });
        assert_eq!(lifted.await, Some(()));
    }
}
