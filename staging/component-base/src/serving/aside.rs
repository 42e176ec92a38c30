//! What a busy task awaits besides its work, and hardly ever comes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A future that is polled when it was woken itself, and not each time that the task around it was.
///
/// Timers and shutdowns take a lock, often one that the whole process shares, each time they are asked. A task that
/// looks at them after every piece of its work pays for that many times over.
pub struct Aside<F> {
    awaited: Pin<Box<F>>,
    bell: Arc<Bell>,
}

struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Aside<F> {
    pub fn new(awaited: F) -> Self {
        Self {
            awaited: Box::pin(awaited),
            bell: Arc::new(Bell {
                rung: AtomicBool::new(true),
                task: AtomicWaker::new(),
            }),
        }
    }
}

impl<F: Future> Future for Aside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Before the look, so that a ring in between is not lost.
        self.bell.task.register(cx.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(self.bell.clone());
        self.awaited.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_asked_when_it_was_woken_only() {
        let (end, mut ended) = oneshot::channel::<()>();
        let asked = Arc::new(AtomicUsize::new(0));
        let asking = asked.clone();
        let mut aside = Aside::new(poll_fn(move |cx| {
            asking.fetch_add(1, Ordering::Relaxed);
            ended.poll_unpin(cx)
        }));
        for _ in 0..5 {
            assert!((&mut aside).now_or_never().is_none());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // The waker that counts is that of the last poll, as everywhere.
        let waiting = tokio::spawn(aside);
        tokio::task::yield_now().await;
        end.send(()).unwrap();
        waiting.await.unwrap().unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
