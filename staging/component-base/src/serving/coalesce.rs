//! Puts together what a connection writes in one turn.
//!
//! HTTP/2 writes and flushes frame by frame: an event for sixty watches of one connection would be sixty TLS records
//! and sixty system calls, and wake the reader as often. A [`Coalescing`] stream makes whole records of what is
//! written, and keeps them, up to a bound, until the connection has had its turn ([`Flusher::drive`]) and everything
//! goes out at once. Small writes are gathered; large ones are sealed from where they stand, without a copy.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::cork::Cork;

/// Plain bytes of a TLS record.
const RECORD_BYTES: usize = 16 << 10;

/// Bytes in sealed records that are kept back before they go out in the midst of a turn.
const MAX_SEALED_BYTES: usize = 4 * RECORD_BYTES;

/// What TLS must take while it is corked: what is kept back, and what one more write adds.
pub const SEALED_CAPACITY_BYTES: usize = 2 * MAX_SEALED_BYTES;

/// A buffer that has become larger is given back when it is empty: most connections are idle most of the time.
const IDLE_CAPACITY_BYTES: usize = 4 << 10;

/// When bytes go out.
#[derive(Clone, Debug)]
pub enum Mode {
    /// At the end of the connection's turn; the cork is below the TLS that makes the records.
    ByTurn(Cork),
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
    /// The beginning of the next record.
    buffer: Vec<u8>,
    /// How much was sealed since the last flush.
    sealed: usize,
}

pub fn coalesce<S>(stream: S, mode: Mode) -> (Coalescing<S>, Flusher<S>) {
    let kept = Arc::new(Mutex::new(Kept {
        stream,
        mode,
        buffer: Vec::new(),
        sealed: 0,
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
        if matches!(self.0.lock().mode, Mode::AtOnce) {
            return connection.await;
        }
        let ended = poll_fn(|cx| {
            let turn = connection.as_mut().poll(cx);
            match (turn, self.0.lock().poll_out(cx)) {
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
                (turn, _) => turn,
            }
        });
        let ended = ended.await;
        let flushed = poll_fn(|cx| self.0.lock().poll_out(cx)).await;
        ended.and(flushed.map_err(E::from))
    }
}

impl<S: AsyncWrite + Unpin> Kept<S> {
    /// Sends everything.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let sealed = ready!(self.poll_seal(cx, &[], self.buffer.len()))?;
            debug_assert_eq!(sealed, 0, "nothing else was there to be sealed");
        }
        if self.buffer.capacity() > IDLE_CAPACITY_BYTES {
            self.buffer = Vec::new();
        }
        self.poll_flush(cx)
    }

    /// Sends what is sealed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.sealed = 0;
        Poll::Ready(Ok(()))
    }

    /// Takes all of the parts, or, where the stream takes less than it is given, some.
    fn poll_take(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // So that what is kept stays bounded whatever the peer reads.
        if self.sealed >= MAX_SEALED_BYTES {
            ready!(self.poll_flush(cx))?;
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let all = self.buffer.len() + total;
        let mut taken = 0;
        if all >= RECORD_BYTES {
            let sealed = self.poll_seal(cx, parts, all - all % RECORD_BYTES);
            taken = ready!(sealed)?;
        }
        // What remains is less than a record, unless the stream took little.
        if self.buffer.len() + total - taken < RECORD_BYTES {
            let mut skipped = taken;
            for part in parts {
                let skip = skipped.min(part.len());
                skipped -= skip;
                self.buffer.extend_from_slice(&part[skip..]);
            }
            taken = total;
        }
        Poll::Ready(Ok(taken))
    }

    /// Gives the buffer and the beginning of the parts, so many bytes together, to the stream. Returns how much of the
    /// parts it took: something, if there is something to be taken of them.
    fn poll_seal(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let (mut left, mut is_corked) = (count, true);
        loop {
            let mut slices = Vec::with_capacity(1 + parts.len());
            let mut room = left;
            for part in std::iter::once(&self.buffer[..]).chain(parts.iter().map(|part| &part[..])) {
                let fits = part.len().min(room);
                room -= fits;
                if fits > 0 {
                    slices.push(IoSlice::new(&part[..fits]));
                }
            }
            let mut write = || Pin::new(&mut self.stream).poll_write_vectored(cx, &slices);
            let written = match &self.mode {
                Mode::ByTurn(cork) if is_corked => cork.during(write),
                _ => write(),
            };
            let written = match written {
                Poll::Ready(written) => written?,
                // TLS is full: it has to send before it takes more.
                Poll::Pending if is_corked => {
                    ready!(self.poll_flush(cx))?;
                    is_corked = false;
                    continue;
                }
                Poll::Pending => return Poll::Pending,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sealed += written;
            left -= written;
            let of_parts = written.saturating_sub(self.buffer.len());
            self.buffer.drain(..written - of_parts);
            if of_parts > 0 || left == 0 {
                return Poll::Ready(Ok(of_parts));
            }
        }
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
        match kept.mode {
            Mode::ByTurn(_) => kept.poll_take(cx, &[IoSlice::new(bytes)]),
            Mode::AtOnce => Pin::new(&mut kept.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut kept = self.0.lock();
        match kept.mode {
            Mode::ByTurn(_) => kept.poll_take(cx, parts),
            Mode::AtOnce => Pin::new(&mut kept.stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut kept = self.0.lock();
        match kept.mode {
            Mode::ByTurn(_) => Poll::Ready(Ok(())),
            Mode::AtOnce => Pin::new(&mut kept.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut kept = self.0.lock();
        ready!(kept.poll_out(cx))?;
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
        let (mut stream, flusher) = coalesce(Counting(near, writes.clone()), Mode::ByTurn(Cork::default()));
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
        let (mut stream, flusher) = coalesce(near, Mode::ByTurn(Cork::default()));
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
        assert!(kept.lock().buffer.len() <= RECORD_BYTES);
    }

    /// Takes so much at a time and says that it is full every other time; knows what it was given.
    struct Picky(Vec<u8>, usize, bool);

    impl AsyncWrite for Picky {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.2 = !self.2;
            if self.2 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = self.0.len();
            for part in parts {
                let room = self.1 - (self.0.len() - before);
                self.0.extend_from_slice(&part[..room.min(part.len())]);
            }
            let taken = self.0.len() - before;
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_or_moved_whatever_is_taken() {
        let sizes = [9, 16_384, 9, 100, 65_536, 1, 16_375, 40_000, 9, 3];
        let bytes: Vec<u8> = (0..sizes.iter().sum())
            .map(|at: usize| (at % 251) as u8)
            .collect();
        for at_a_time in [100, 1000, 16_384, 16_393, 1 << 20] {
            let (stream, flusher) =
                coalesce(Picky(Vec::new(), at_a_time, false), Mode::ByTurn(Cork::default()));
            let mut stream = Some(stream);
            let connection = async {
                let (mut stream, mut at) = (stream.take().unwrap(), 0);
                for pair in sizes.chunks(2) {
                    // A header and its payload, as HTTP/2 writes them.
                    let (header, payload) = bytes[at..at + pair[0] + pair[1]].split_at(pair[0]);
                    at += pair[0] + pair[1];
                    let mut parts = [IoSlice::new(header), IoSlice::new(payload)];
                    let mut parts = &mut parts[..];
                    while !parts.is_empty() {
                        let taken =
                            poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, parts)).await?;
                        assert!(taken > 0);
                        IoSlice::advance_slices(&mut parts, taken);
                    }
                }
                Ok::<_, io::Error>(())
            };
            flusher.drive(pin!(connection)).await.unwrap();
            assert!(flusher.0.lock().stream.0 == bytes, "{at_a_time} at a time");
        }
    }
}
