use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{Handler, Options, Peer, Request, Server, body};
use crate::shutdown::Shutdown;

async fn start(
    handler: Arc<dyn Handler>,
    options: Options,
) -> (std::net::SocketAddr, Shutdown, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let server = tokio::spawn(Server::new(options).serve(listener, None, handler, shutdown.clone()));
    (addr, shutdown, server)
}

async fn exchange(addr: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn requests_carry_their_peer_and_bodies_are_bounded() {
    let handler = |request: Request| async move {
        let peer = request.extensions().get::<Peer>().unwrap().clone();
        match body::collect(request.into_body(), 8).await {
            Ok(bytes) => body::text(StatusCode::OK, format!("{} {}", peer.secure, bytes.len())),
            Err(error) => body::text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        }
    };
    let (addr, shutdown, server) = start(Arc::new(handler), Options::default()).await;
    let post = |body: &str| {
        format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert!(exchange(addr, &post("12345678")).await.ends_with("false 8"));
    assert!(
        exchange(addr, &post("123456789"))
            .await
            .contains("413 Payload Too Large")
    );
    // More than the buffers of the connection take: it is read to its end, or the answer would be lost in a reset.
    let large = exchange(addr, &post(&"x".repeat(8 << 20))).await;
    assert!(large.ends_with("the body is larger than 8 bytes"), "{large}");
    shutdown.trigger();
    server.await.unwrap();
}

#[tokio::test]
async fn a_running_request_ends_before_the_server_does() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entering, releasing) = (entered.clone(), release.clone());
    let handler = move |_: Request| {
        let (entered, release) = (entering.clone(), releasing.clone());
        async move {
            entered.notify_one();
            release.notified().await;
            body::text(StatusCode::OK, "done")
        }
    };
    let (addr, shutdown, server) = start(Arc::new(handler), Options::default()).await;
    let client = tokio::spawn(exchange(addr, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").into_future());
    entered.notified().await;
    shutdown.trigger();
    tokio::task::yield_now().await;
    assert!(!server.is_finished());
    release.notify_one();
    assert!(client.await.unwrap().ends_with("done"));
    server.await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let entered = Arc::new(Notify::new());
    let entering = entered.clone();
    let handler = move |_: Request| {
        entering.notify_one();
        std::future::pending()
    };
    let options = Options {
        drain_timeout: Duration::from_millis(1),
        ..Options::default()
    };
    let (addr, shutdown, server) = start(Arc::new(handler), options).await;
    let client = tokio::spawn(exchange(addr, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").into_future());
    entered.notified().await;
    shutdown.trigger();
    server.await.unwrap();
    assert_eq!(client.await.unwrap(), "");
}

#[tokio::test]
async fn collected_bodies_keep_their_chunks_in_order() {
    let chunks = ["ab", "", "cd", "e"].map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
    let collected = body::collect(body::stream(futures_util::stream::iter(chunks)), 5)
        .await
        .unwrap();
    assert_eq!(&collected[..], b"abcde");
    let chunks = ["ab", "cde", "f"].map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
    let error = body::collect(body::stream(futures_util::stream::iter(chunks)), 5)
        .await
        .unwrap_err();
    assert!(matches!(error, body::Error::TooLarge(5)));
}

/// A client that speaks HTTP/2 from its first byte.
async fn http2(addr: std::net::SocketAddr) -> hyper::client::conn::http2::SendRequest<super::Body> {
    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (client, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn get(path: &str) -> http::request::Builder {
    http::Request::get(format!("http://server{path}"))
}

#[tokio::test]
async fn http2_streams_run_side_by_side_within_their_limit() {
    let (entered, release) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(Notify::new()));
    let (entering, releasing) = (entered.clone(), release.clone());
    let handler = move |request: Request| {
        let (entered, release) = (entering.clone(), releasing.clone());
        async move {
            if request.uri().path() == "/slow" {
                let released = release.notified();
                entered.add_permits(1);
                released.await;
            }
            body::text(StatusCode::OK, request.uri().path().to_owned())
        }
    };
    let options = Options {
        max_concurrent_streams: 2,
        ..Options::default()
    };
    let (addr, shutdown, server) = start(Arc::new(handler), options).await;
    let mut client = http2(addr).await;
    let slow: Vec<_> = (0..2)
        .map(|_| tokio::spawn(client.send_request(get("/slow").body(body::empty()).unwrap())))
        .collect();
    // Both streams of the connection are taken; a third request waits for its turn.
    let _both = entered.acquire_many(2).await.unwrap();
    let third = tokio::spawn(client.send_request(get("/third").body(body::empty()).unwrap()));
    tokio::task::yield_now().await;
    assert!(!third.is_finished());
    release.notify_waiters();
    for request in slow.into_iter().chain([third]) {
        assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    drop(client);
    shutdown.trigger();
    server.await.unwrap();
}

#[tokio::test]
async fn headers_are_bounded() {
    let handler = |_: Request| async { body::text(StatusCode::OK, "ok") };
    let options = Options {
        max_header_bytes: 16 << 10,
        ..Options::default()
    };
    let (addr, shutdown, server) = start(Arc::new(handler), options).await;
    let large = "x".repeat(20 << 10);
    let mut client = http2(addr).await;
    let request = get("/").header("x-large", &large).body(body::empty()).unwrap();
    let refused = client.send_request(request).await;
    assert!(
        refused.is_err()
            || refused.is_ok_and(|answer| answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    );
    let answer = exchange(
        addr,
        &format!("GET / HTTP/1.1\r\nhost: x\r\nx-large: {large}\r\n\r\n"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    drop(client);
    shutdown.trigger();
    server.await.unwrap();
}
