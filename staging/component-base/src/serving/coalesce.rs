//! Puts together what a connection writes in one turn.
//!
//! HTTP/2 writes and flushes frame by frame: an event for sixty watches of one connection would be sixty TLS records
//! and sixty system calls, and wake the reader as often. A [`Coalescing`] stream keeps what is written, up to a
//! bound, until the connection has had its turn ([`Flusher::drive`]) and everything goes out at once.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are kept back before they are written in the midst of a turn: four TLS records.
const MAX_KEPT_BYTES: usize = 64 << 10;
/// A buffer that has become larger is given back when it is empty: most connections are idle most of the time.
const IDLE_CAPACITY_BYTES: usize = 4 << 10;

/// When bytes go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At the end of the connection's turn.
    ByTurn,
    /// As they are written: HTTP/1 flushes once an answer, and may hand its stream over to another protocol, whose
    /// turns nobody drives.
    AtOnce,
}

/// The stream, as the protocol writes to it. By turns, its `flush` does nothing: the turn's end does it.
pub struct Coalescing<S>(Arc<Mutex<Kept<S>>>);

/// The stream, as the driver of the connection sees it.
pub struct Flusher<S>(Arc<Mutex<Kept<S>>>);

struct Kept<S> {
    stream: S,
    mode: Mode,
    buffer: Vec<u8>,
    /// How much of the buffer is written.
    written: usize,
}

pub fn coalesce<S>(stream: S, mode: Mode) -> (Coalescing<S>, Flusher<S>) {
    let kept = Arc::new(Mutex::new(Kept {
        stream,
        mode,
        buffer: Vec::new(),
        written: 0,
    }));
    (Coalescing(kept.clone()), Flusher(kept))
}

impl<S: AsyncWrite + Unpin> Flusher<S> {
    /// Polls a connection that writes to the stream, and flushes after each turn and at the end.
    pub async fn drive<C, E>(&self, mut connection: Pin<&mut C>) -> C::Output
    where
        C: Future<Output = Result<(), E>>,
        E: From<io::Error>,
    {
        if self.0.lock().mode == Mode::AtOnce {
            return connection.await;
        }
        let ended = poll_fn(|cx| {
            let turn = connection.as_mut().poll(cx);
            match (turn, self.0.lock().poll_flush(cx)) {
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
                (turn, _) => turn,
            }
        });
        let ended = ended.await;
        let flushed = poll_fn(|cx| self.0.lock().poll_flush(cx)).await;
        ended.and(flushed.map_err(E::from))
    }
}

impl<S: AsyncWrite + Unpin> Kept<S> {
    fn unwritten(&self) -> usize {
        self.buffer.len() - self.written
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => self.written += more,
            }
        }
        self.written = 0;
        if self.buffer.capacity() > IDLE_CAPACITY_BYTES {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Makes room, so that what is kept stays bounded whatever the peer reads.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unwritten() >= MAX_KEPT_BYTES {
            ready!(self.poll_write_out(cx))?;
        } else if self.written >= MAX_KEPT_BYTES {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalescing<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalescing<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut kept = self.0.lock();
        if kept.mode == Mode::AtOnce {
            return Pin::new(&mut kept.stream).poll_write(cx, bytes);
        }
        ready!(kept.poll_room(cx))?;
        kept.buffer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut kept = self.0.lock();
        if kept.mode == Mode::AtOnce {
            return Pin::new(&mut kept.stream).poll_write_vectored(cx, parts);
        }
        ready!(kept.poll_room(cx))?;
        let before = kept.buffer.len();
        for part in parts {
            kept.buffer.extend_from_slice(part);
        }
        Poll::Ready(Ok(kept.buffer.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        let kept = self.0.lock();
        kept.mode == Mode::ByTurn || kept.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut kept = self.0.lock();
        match kept.mode {
            Mode::ByTurn => Poll::Ready(Ok(())),
            Mode::AtOnce => kept.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut kept = self.0.lock();
        ready!(kept.poll_flush(cx))?;
        Pin::new(&mut kept.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Counts the writes that reach it.
    struct Counting<S>(S, Arc<Mutex<Vec<usize>>>);

    impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let written = ready!(Pin::new(&mut self.0).poll_write(cx, bytes))?;
            self.1.lock().push(written);
            Poll::Ready(Ok(written))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn the_writes_of_one_turn_go_out_together() {
        let (near, mut far) = duplex(1 << 20);
        let writes = Arc::new(Mutex::new(Vec::new()));
        let (mut stream, flusher) = coalesce(Counting(near, writes.clone()), Mode::ByTurn);
        let connection = async move {
            for _ in 0..60 {
                stream.write_all(b"frame").await?;
                stream.flush().await?;
            }
            tokio::task::yield_now().await;
            stream.write_all(b"last").await
        };
        flusher.drive(pin!(connection)).await.unwrap();
        assert_eq!(*writes.lock(), [300, 4]);
        drop(flusher);
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, ["frame".repeat(60).as_bytes(), b"last"].concat());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_when_nobody_reads() {
        let (near, _far) = duplex(1);
        let (mut stream, flusher) = coalesce(near, Mode::ByTurn);
        let kept = flusher.0.clone();
        let connection = async move {
            loop {
                stream.write_all(&[0; 1000]).await?;
            }
        };
        let mut connection = pin!(connection);
        let driven = flusher.drive::<_, io::Error>(connection.as_mut());
        let timeout = tokio::time::timeout(std::time::Duration::from_millis(1), driven).await;
        assert!(timeout.is_err());
        assert!(kept.lock().unwritten() < MAX_KEPT_BYTES + 1000);
    }
}
