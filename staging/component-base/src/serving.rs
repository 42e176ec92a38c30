//! An HTTP server over TCP or TLS: HTTP/1.1 with upgrades, HTTP/2, limits, graceful drain.
//!
//! [`Server::serve`] runs until its shutdown is triggered, then stops accepting, lets running requests end
//! within the drain time, and returns. Who connects is known to the handler as [`Peer`]; how long its answer may
//! take to be read it says with [`FinishBy`]. An answer with `Connection: close` ends an HTTP/2 connection too, by a
//! GOAWAY.

mod aside;
pub mod body;
mod coalesce;
mod connection;
mod cork;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::shutdown::Shutdown;

pub use aside::Aside;
pub use body::{Body, BoxError};

pub type Request = http::Request<Body>;
pub type Response = http::Response<Body>;

/// Answers requests.
pub trait Handler: Send + Sync {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response>;
}

impl<F, R> Handler for F
where
    F: Fn(Request) -> R + Send + Sync,
    R: Future<Output = Response> + Send + 'static,
{
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(self(request))
    }
}

/// The other end of a connection; an extension of each request.
#[derive(Clone, Debug)]
pub struct Peer {
    pub addr: SocketAddr,
    pub local: SocketAddr,
    /// The chain that the client presented, leaf first: owned by the client, not verified against any
    /// authority. Empty if there was none.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// Did the request come over TLS?
    pub secure: bool,
}

/// An extension of a response: when all of it has to be with the client. One that has not taken it by then loses its
/// HTTP/2 stream or its HTTP/1 connection, and what that holds in memory.
#[derive(Clone, Copy, Debug)]
pub struct FinishBy(pub tokio::time::Instant);

/// An extension of a response whose body will go on for long, in small pieces that cost little to make. On an HTTP/2
/// connection, such bodies are asked in the connection's turn, and what they have goes out together.
#[derive(Clone, Debug, Default)]
pub struct Trickle(Arc<AtomicBool>);

impl Trickle {
    /// The body has sent what it had at first, in a task of its own, and trickles from now on.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An extension of a response: kept until its body was sent or its client has gone.
#[derive(Clone)]
pub struct UntilSent(pub Arc<dyn Any + Send + Sync>);

/// Bounds of a server. The defaults are upstream's where it has them.
#[derive(Clone, Debug)]
pub struct Options {
    pub max_connections: usize,
    pub max_header_bytes: u32,
    pub max_concurrent_streams: u32,
    /// Streams that a client may reset before they were handled, before it is taken for a rapid-reset
    /// attack (CVE-2023-44487) and cut off.
    pub max_pending_reset_streams: usize,
    pub handshake_timeout: Duration,
    /// From the end of one HTTP/1 request to the end of the next one's headers: a slow client and an idle
    /// connection are the same to hyper, so this is upstream's limit for idle ones.
    pub header_timeout: Duration,
    /// A connection without a frame for this long is probed by a ping.
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    /// A connection without a request for this long is closed.
    pub idle_timeout: Duration,
    /// A peer that takes nothing of what is written to it for this long is cut off.
    pub write_timeout: Duration,
    /// How long running requests may go on after the shutdown.
    pub drain_timeout: Duration,
    /// Memory that one HTTP/2 stream may buffer for a client that does not read.
    pub max_send_buffer_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 8192,
            max_header_bytes: 1 << 20,
            max_concurrent_streams: 100,
            max_pending_reset_streams: 50,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(90),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(60),
            max_send_buffer_bytes: 256 << 10,
        }
    }
}

/// An HTTP server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    options: Options,
}

/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

impl Server {
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Serves `listener` until the shutdown, over TLS if there is a configuration for it.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: Arc<dyn Handler>,
        shutdown: Shutdown,
    ) {
        let permits = Arc::new(Semaphore::new(self.options.max_connections));
        let connections = TaskTracker::new();
        let drain = Shutdown::new();
        let acceptor = Arc::new(connection::Acceptor::new(
            &self.options,
            tls,
            handler,
            shutdown.clone(),
            drain.clone(),
        ));
        while let Some(permit) = shutdown.guard(permits.clone().acquire_owned()).await {
            let Ok(permit) = permit else { break };
            match shutdown.guard(listener.accept()).await {
                None => break,
                Some(Ok((stream, addr))) => {
                    let acceptor = acceptor.clone();
                    connections.spawn(async move {
                        acceptor.run(stream, addr).await;
                        drop(permit);
                    });
                }
                Some(Err(error)) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    // Without a pause, running out of descriptors would spin.
                    shutdown.guard(tokio::time::sleep(ACCEPT_BACK_OFF)).await;
                }
            }
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(self.options.drain_timeout, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = connections.len(),
                "connections are cut off after the drain time"
            );
            drain.trigger();
            connections.wait().await;
        }
    }
}
