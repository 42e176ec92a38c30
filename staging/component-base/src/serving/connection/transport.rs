//! The byte stream below a connection, with bounds on peers that stay silent or do not read.
//!
//! hyper bounds the headers of HTTP/1 requests and probes HTTP/2 peers with pings. It waits for ever for the first
//! bytes, from which it tells the protocols apart, and for a peer to take what is written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Lifts the bounds of a connection that has become a stream of another protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct Unbounded(Arc<AtomicBool>);

impl Unbounded {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See the module.
pub(super) struct Transport<S> {
    inner: S,
    opening: Option<Opening>,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    unbounded: Unbounded,
}

/// Until the protocol is told.
struct Opening {
    deadline: Pin<Box<Sleep>>,
    /// Bytes of [`PREFACE`] that have come.
    matched: usize,
}

impl Opening {
    /// Whether these bytes settle which protocol it is.
    fn told_by(&mut self, bytes: &[u8]) -> bool {
        let expected = &PREFACE[self.matched..];
        let count = bytes.len().min(expected.len());
        if bytes[..count] != expected[..count] {
            return true;
        }
        self.matched += count;
        self.matched == PREFACE.len()
    }
}

impl<S> Transport<S> {
    pub(super) fn new(
        inner: S,
        opening_timeout: Duration,
        write_timeout: Duration,
        unbounded: Unbounded,
    ) -> Self {
        Self {
            inner,
            opening: Some(Opening {
                deadline: Box::pin(sleep(opening_timeout)),
                matched: 0,
            }),
            stalled: None,
            write_timeout,
            unbounded,
        }
    }

    /// Turns "not yet" into an error once the peer has taken nothing for too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() || self.unbounded.0.load(Ordering::Relaxed) {
            self.stalled = None;
            return written;
        }
        let write_timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(timed_out("the peer does not read")))
    }
}

fn timed_out(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        let Some(opening) = &mut this.opening else {
            return read;
        };
        match read {
            Poll::Pending => {
                ready!(opening.deadline.as_mut().poll(cx));
                Poll::Ready(Err(timed_out("the peer says nothing")))
            }
            Poll::Ready(read) => {
                if read.is_err() || opening.told_by(&buffer.filled()[before..]) {
                    this.opening = None;
                }
                Poll::Ready(read)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bounded(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]]) -> Vec<bool> {
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _guard = rt.enter();
        let mut opening = Opening {
            deadline: Box::pin(sleep(Duration::from_secs(1))),
            matched: 0,
        };
        chunks.iter().map(|chunk| opening.told_by(chunk)).collect()
    }

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        assert_eq!(check(&[b"GET / HTTP/1.1\r\n"]), [true]);
        assert_eq!(check(&[b"P", b"OST"]), [false, true]);
        assert_eq!(
            check(&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\nmore"]),
            [false, true]
        );
        assert_eq!(check(&[&PREFACE[..23]]), [false]);
    }
}
