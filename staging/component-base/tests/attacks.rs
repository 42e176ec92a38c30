//! Attacks on a server: each must end, within its bounds, and while it lasts others must be served.

#![allow(clippy::unwrap_used)]

#[path = "attacks/frames.rs"]
mod frames;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use component_base::serving::{FinishBy, Options, Request, Response, Server, UntilSent, body};
use component_base::shutdown::Shutdown;
use frames::*;
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Long enough for a slow machine to do the allowed, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);
const MEBIBYTE: usize = 1 << 20;

struct Target {
    addr: SocketAddr,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
    handled: Arc<AtomicUsize>,
    /// An item for each large answer that was let go of.
    dropped: mpsc::UnboundedReceiver<()>,
}

struct TellWhenDropped(mpsc::UnboundedSender<()>);

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

impl Target {
    /// Serves `/` with "ok", `/large` with an answer that has to be read soon, `/close`, and `/never`.
    async fn start(options: Options) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let handled = Arc::new(AtomicUsize::new(0));
        let (drops, dropped) = mpsc::unbounded_channel();
        let counter = handled.clone();
        let handler = move |request: Request| {
            counter.fetch_add(1, Ordering::Relaxed);
            answer(request.uri().path().to_owned(), drops.clone())
        };
        let server = Server::new(options).serve(listener, None, Arc::new(handler), shutdown.clone());
        Target {
            addr,
            shutdown,
            task: tokio::spawn(server),
            handled,
            dropped,
        }
    }

    /// Somebody else is served, meanwhile or afterwards, and the server can end.
    async fn check_well(self) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
        self.shutdown.trigger();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

async fn answer(path: String, drops: mpsc::UnboundedSender<()>) -> Response {
    match path.as_str() {
        "/large" => {
            let chunks = (0..64).map(|_| Ok(Bytes::from(vec![b'x'; MEBIBYTE])));
            let mut response = Response::new(body::stream(futures_util::stream::iter(chunks)));
            let extensions = response.extensions_mut();
            extensions.insert(FinishBy(Instant::now() + SHORT));
            extensions.insert(UntilSent(Arc::new(TellWhenDropped(drops))));
            response
        }
        "/close" => {
            let mut response = body::text(StatusCode::OK, "ok");
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            response
        }
        "/never" => std::future::pending().await,
        _ => body::text(StatusCode::OK, "ok"),
    }
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    const STREAMS: u32 = 2000;
    let target = Target::start(Options::default()).await;
    let mut attacker = Connection::open(target.addr, &[]).await;
    let mut burst = Vec::new();
    for number in 0..STREAMS {
        burst.extend(request(2 * number + 1, "/never"));
        burst.extend(frame(RST_STREAM, 0, 2 * number + 1, &CANCEL.to_be_bytes()));
    }
    // The server may close while this is written.
    attacker.send(&burst).await.ok();
    let goaway = attacker.next_of(GOAWAY).await;
    assert!(goaway.is_none_or(|frame| frame.code() == ENHANCE_YOUR_CALM));
    assert!(target.handled.load(Ordering::Relaxed) < STREAMS as usize / 2);
    target.check_well().await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let options = Options {
        max_concurrent_streams: 10,
        ..Options::default()
    };
    let target = Target::start(options).await;
    let mut attacker = Connection::open(target.addr, &[]).await;
    let all: Vec<u8> = (0..20)
        .flat_map(|number| request(2 * number + 1, "/never"))
        .collect();
    attacker.send(&all).await.unwrap();
    for _ in 0..10 {
        attacker.next_of(RST_STREAM).await.expect("refused");
    }
    assert_eq!(target.handled.load(Ordering::Relaxed), 10);
    drop(attacker);
    target.check_well().await;
}

#[tokio::test]
async fn headers_without_end_end_the_connection() {
    let target = Target::start(Options::default()).await;
    let mut attacker = Connection::open(target.addr, &[]).await;
    attacker
        .send(&frame(HEADERS, END_STREAM, 1, &get("/")))
        .await
        .unwrap();
    // Literal headers, never indexed: `a: aaa…`.
    let mut block = Vec::new();
    while block.len() < 16_000 {
        block.extend([0x10, 1, b'a', 100]);
        block.extend([b'a'; 100]);
    }
    let sent = attacker
        .flood(&frame(CONTINUATION, 0, 1, &block), 64 * MEBIBYTE)
        .await;
    assert!(sent < 16 * MEBIBYTE, "{sent} bytes of headers were taken");
    assert_eq!(target.handled.load(Ordering::Relaxed), 0);
    target.check_well().await;
}

/// Frames that have to be answered, by a client that does not read the answers.
async fn check_flood(flood: Vec<u8>) {
    let options = Options {
        write_timeout: SHORT,
        ..Options::default()
    };
    let target = Target::start(options).await;
    let mut attacker = Connection::open(target.addr, &[]).await;
    // Sockets buffer some megabytes on either side; the server itself must not.
    let sent = attacker.flood(&flood.repeat(1000), 256 * MEBIBYTE).await;
    assert!(sent < 64 * MEBIBYTE, "{sent} bytes were taken");
    target.check_well().await;
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_connection() {
    check_flood(frame(PING, 0, 0, &[0; 8])).await;
}

#[tokio::test]
async fn a_flood_of_settings_ends_the_connection() {
    check_flood(frame(SETTINGS, 0, 0, &[])).await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_alone() {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let mut target = Target::start(Options::default()).await;
    let mut attacker = Connection::open(target.addr, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    attacker.send(&request(1, "/large")).await.unwrap();
    attacker.send(&request(3, "/never")).await.unwrap();
    let reset = attacker.next_of(RST_STREAM).await.expect("a reset");
    assert_eq!((reset.stream, reset.code()), (1, CANCEL));
    target.dropped.recv().await.expect("the answer was let go of");
    // The connection goes on: streams that wait for the server are no offence.
    attacker.send(&request(5, "/")).await.unwrap();
    let headers = attacker.next_of(HEADERS).await.expect("an answer");
    assert_eq!((headers.stream, headers.flags & END_HEADERS), (5, END_HEADERS));
    drop(attacker);
    target.check_well().await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_ends_an_http1_connection() {
    let mut target = Target::start(Options::default()).await;
    let mut attacker = TcpStream::connect(target.addr).await.unwrap();
    attacker
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    target.dropped.recv().await.expect("the answer was let go of");
    let mut rest = Vec::new();
    // What the sockets had buffered, then a reset or the end.
    attacker.read_to_end(&mut rest).await.ok();
    assert!(rest.len() < 64 * MEBIBYTE);
    target.check_well().await;
}

/// A client that sends a beginning, then nothing.
async fn check_silence(beginning: &[u8]) {
    let options = Options {
        header_timeout: SHORT,
        idle_timeout: SHORT,
        handshake_timeout: SHORT,
        ..Options::default()
    };
    let target = Target::start(options).await;
    let mut attacker = TcpStream::connect(target.addr).await.unwrap();
    attacker.write_all(beginning).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, attacker.read_to_end(&mut answer))
        .await
        .expect("the connection is kept open")
        .ok();
    target.check_well().await;
}

#[tokio::test]
async fn silent_connections_are_closed() {
    for beginning in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        check_silence(beginning).await;
    }
}

#[tokio::test]
async fn headers_that_trickle_in_are_not_waited_for() {
    let options = Options {
        header_timeout: SHORT,
        ..Options::default()
    };
    let target = Target::start(options).await;
    let mut attacker = TcpStream::connect(target.addr).await.unwrap();
    attacker
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    let started = Instant::now();
    let mut trickle = tokio::time::interval(SHORT / 10);
    while attacker.write_all(b"x-slow: 1\r\n").await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "the server goes on reading");
        trickle.tick().await;
    }
    target.check_well().await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_told_to_go_and_closed() {
    let options = Options {
        idle_timeout: SHORT,
        handshake_timeout: SHORT,
        ..Options::default()
    };
    let target = Target::start(options).await;
    let mut idler = Connection::open(target.addr, &[]).await;
    idler.send(&request(1, "/")).await.unwrap();
    idler.next_of(DATA).await.expect("an answer");
    idler.next_of(GOAWAY).await.expect("a goaway");
    // It never acknowledges anything, and is cut off all the same.
    idler.drain().await;
    target.check_well().await;
}

#[tokio::test]
async fn an_answer_can_end_an_http2_connection() {
    let target = Target::start(Options::default()).await;
    let mut client = Connection::open(target.addr, &[]).await;
    client.send(&request(1, "/close")).await.unwrap();
    let (mut answered, mut told) = (false, false);
    while !(answered && told) {
        let frame = client.next().await.expect("the connection ends too early");
        answered |= frame.kind == DATA && frame.payload == b"ok";
        told |= frame.kind == GOAWAY && frame.code() == 0;
    }
    drop(client);
    target.check_well().await;
}
