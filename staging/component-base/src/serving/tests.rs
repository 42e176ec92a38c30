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
