//! The turns of a connection: what trickles has its say, the protocol makes frames of it, and they go out at once.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::io::AsyncWrite;

use super::super::BoxError;
use super::super::coalesce::Flusher;
use super::streams::Trickling;

/// Runs a connection to its end.
pub(super) async fn take_turns<S, C>(
    flusher: &Flusher<S>,
    trickling: &mut Trickling,
    mut connection: Pin<&mut C>,
) -> Result<(), BoxError>
where
    S: AsyncWrite + Unpin,
    C: Future<Output = Result<(), BoxError>>,
{
    let protocol = Arc::new(Protocol::default());
    let waker = Waker::from(protocol.clone());
    let turns = poll_fn(|cx| {
        protocol.task.register(cx.waker());
        protocol.is_next.swap(true, Ordering::AcqRel);
        trickling.poll(cx);
        protocol.is_next.swap(false, Ordering::AcqRel);
        connection.as_mut().poll(&mut Context::from_waker(&waker))
    });
    flusher.drive(pin!(turns)).await
}

/// Wakes the connection for the protocol, unless the protocol is next in the turn that runs: a stream that writes in
/// the connection's turn would else cause another one, of nothing.
#[derive(Default)]
struct Protocol {
    is_next: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Protocol {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Writes, as the swaps above do: whoever finds the flag set comes before the swap that clears it, and what he
        // has to tell is seen by the poll behind that.
        if !self.is_next.fetch_or(false, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;

    use tokio::sync::{mpsc, watch};

    use super::super::super::Trickle;
    use super::super::super::coalesce::{Mode, coalesce};
    use super::super::streams::{Answerer, streams};
    use super::*;

    #[tokio::test]
    async fn what_streams_write_goes_out_in_the_same_turn() {
        let (executor, mut trickling) = streams();
        let (input, mut inputs) = mpsc::channel::<u8>(8);
        let (output, mut outputs) = mpsc::channel::<u8>(8);
        let stream = async move {
            let trickle = Trickle::default();
            trickle.begin();
            Answerer::trickle(trickle);
            while let Some(next) = inputs.recv().await {
                output.send(next).await.unwrap();
            }
        };
        hyper::rt::Executor::execute(&executor, stream);
        let (written, turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (writing, counting) = (written.clone(), turns.clone());
        let connection = poll_fn(move |cx| {
            counting.fetch_add(1, Ordering::Relaxed);
            while let Poll::Ready(Some(_)) = outputs.poll_recv(cx) {
                writing.fetch_add(1, Ordering::Relaxed);
            }
            Poll::Pending
        });
        let served = tokio::spawn(async move {
            let (_, flusher) = coalesce(tokio::io::duplex(1).0, Mode::AtOnce);
            take_turns(&flusher, &mut trickling, pin!(connection)).await
        });
        // The stream is with its connection, which has nothing to do.
        let settle = async || {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        };
        settle().await;
        let before = turns.load(Ordering::Relaxed);
        input.send(1).await.unwrap();
        settle().await;
        assert_eq!(written.load(Ordering::Relaxed), 1);
        assert_eq!(turns.load(Ordering::Relaxed), before + 1);
        served.abort();
    }

    #[tokio::test]
    async fn all_streams_have_their_say_in_one_turn() {
        const STREAMS: usize = 50;
        let (executor, mut trickling) = streams();
        let (tick, ticks) = watch::channel(());
        let said = Arc::new(AtomicUsize::new(0));
        for _ in 0..STREAMS {
            let (mut ticks, saying) = (ticks.clone(), said.clone());
            let stream = async move {
                let trickle = Trickle::default();
                trickle.begin();
                Answerer::trickle(trickle);
                while ticks.changed().await.is_ok() {
                    saying.fetch_add(1, Ordering::Relaxed);
                    // As HTTP/2 does to a stream that is given room to write.
                    poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        Poll::Ready(())
                    })
                    .await;
                }
            };
            hyper::rt::Executor::execute(&executor, stream);
        }
        let (heard, mut hearing) = mpsc::unbounded_channel();
        let connection = poll_fn(move |_| {
            heard.send(said.load(Ordering::Relaxed)).ok();
            Poll::Pending
        });
        let served = tokio::spawn(async move {
            let (_, flusher) = coalesce(tokio::io::duplex(1).0, Mode::AtOnce);
            take_turns(&flusher, &mut trickling, pin!(connection)).await
        });
        for _ in 0..10 * STREAMS {
            tokio::task::yield_now().await;
        }
        tick.send_replace(());
        let first = async {
            loop {
                if let count @ 1.. = hearing.recv().await.unwrap() {
                    return count;
                }
            }
        };
        assert_eq!(first.await, STREAMS);
        served.abort();
    }
}
