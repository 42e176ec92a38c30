//! One connection: handshake, protocol, requests, graceful end.
//!
//! Reading order: this file, [`transport`] (bounds on bytes that do not move), [`requests`] (what runs, what idles),
//! [`streams`] (what is overdue, what trickles), [`turn`] (what a connection does when it is woken).

mod requests;
mod streams;
mod transport;
mod turn;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::aside::Aside;
use super::coalesce::{Mode, SEALED_CAPACITY_BYTES, coalesce};
use super::cork::Corked;
use super::{Body, BoxError, FinishBy, Handler, Options, Peer, Response, Trickle, UntilSent};
use crate::shutdown::Shutdown;
use requests::{Answering, Requests};
use streams::{Answerer, Streams, streams};
use transport::{Transport, Unbounded};
use turn::take_turns;

pub(super) struct Acceptor {
    tls: Option<TlsAcceptor>,
    handler: Arc<dyn Handler>,
    options: Options,
    /// Finish what runs, take nothing new.
    shutdown: Shutdown,
    /// Time is up.
    cut_off: Shutdown,
}

/// What the requests of a connection share with it.
#[derive(Clone)]
struct Shared {
    handler: Arc<dyn Handler>,
    requests: Requests,
    /// An answer asks that the connection be closed after it.
    close: Arc<Notify>,
    unbounded: Unbounded,
}

impl Acceptor {
    pub(super) fn new(
        options: &Options,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: Arc<dyn Handler>,
        shutdown: Shutdown,
        cut_off: Shutdown,
    ) -> Self {
        Self {
            tls: tls.map(TlsAcceptor::from),
            handler,
            options: options.clone(),
            shutdown,
            cut_off,
        }
    }

    pub(super) async fn run(&self, stream: TcpStream, addr: SocketAddr) {
        let local = match prepare(&stream) {
            Ok(local) => local,
            Err(error) => return tracing::debug!(peer = %addr, error = %error, "connection lost at once"),
        };
        let mut peer = Peer {
            addr,
            local,
            certificates: Arc::from([]),
            secure: self.tls.is_some(),
        };
        let Some(tls) = &self.tls else {
            return self.serve(stream, Mode::AtOnce, peer).await;
        };
        let (stream, cork) = Corked::new(stream);
        let handshake = tokio::time::timeout(self.options.handshake_timeout, tls.accept(stream));
        match self.shutdown.guard(handshake).await {
            Some(Ok(Ok(mut stream))) => {
                if let Some(certificates) = stream.get_ref().1.peer_certificates() {
                    peer.certificates = certificates.iter().map(|der| der.clone().into_owned()).collect();
                }
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let mode = if is_http2 {
                    stream.get_mut().1.set_buffer_limit(Some(SEALED_CAPACITY_BYTES));
                    Mode::ByTurn(cork)
                } else {
                    Mode::AtOnce
                };
                self.serve(stream, mode, peer).await;
            }
            Some(Ok(Err(error))) => tracing::debug!(peer = %addr, error = %error, "TLS handshake error"),
            Some(Err(_)) => tracing::debug!(peer = %addr, "TLS handshake timed out"),
            None => {}
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mode: Mode,
        peer: Peer,
    ) {
        let addr = peer.addr;
        let shared = Shared {
            handler: self.handler.clone(),
            requests: Requests::default(),
            close: Arc::default(),
            unbounded: Unbounded::default(),
        };
        let transport = Transport::new(
            stream,
            self.options.header_timeout,
            self.options.write_timeout,
            shared.unbounded.clone(),
        );
        match Answerer::default()
            .bound(self.drive(transport, mode, peer, shared))
            .await
        {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(peer = %addr, %error, "connection ended with an error"),
            None => {
                tracing::debug!(peer = %addr, "a client did not take its answer in time: connection closed")
            }
        }
    }

    /// Serves until the peer goes, or the connection is to be closed and its requests are through.
    async fn drive(
        &self,
        transport: Transport<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
        mode: Mode,
        peer: Peer,
        shared: Shared,
    ) -> Result<(), BoxError> {
        let (requests, close) = (shared.requests.clone(), shared.close.clone());
        let service = service_fn(move |request| {
            let answer = answer(shared.clone(), with_peer(request, &peer));
            async move { Ok::<Response, Infallible>(answer.await) }
        });
        let (stream, flusher) = coalesce(transport, mode);
        let (streams, mut trickling) = streams();
        let builder = builder(&self.options, streams);
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let end = Aside::new(async {
            tokio::select! {
                () = self.shutdown.wait() => {}
                () = close.notified() => {}
                () = requests.idle(self.options.idle_timeout) => {}
            }
        });
        tokio::select! {
            biased;
            ended = take_turns(&flusher, &mut trickling, connection.as_mut()) => return ended,
            () = end => {}
        }
        connection.as_mut().graceful_shutdown();
        let end = Aside::new(async {
            tokio::select! {
                () = self.cut_off.wait() => {}
                // The peer was told to go, has nothing left to wait for, and stays.
                () = requests.idle(self.options.handshake_timeout) => {}
            }
        });
        tokio::select! {
            biased;
            ended = take_turns(&flusher, &mut trickling, connection.as_mut()) => ended,
            () = end => Ok(()),
        }
    }
}

/// Answers one request; counts it until its answer is out.
async fn answer(shared: Shared, request: super::Request) -> Response {
    let running = shared.requests.begin();
    let version = request.version();
    let mut response = shared.handler.handle(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        shared.unbounded.set();
    }
    // HTTP/2 has no such header: what it asks for is a GOAWAY.
    if version == Version::HTTP_2 && wants_close(&response) {
        response.headers_mut().remove(CONNECTION);
        shared.close.notify_one();
    }
    if let Some(trickle) = response.extensions_mut().remove::<Trickle>() {
        Answerer::trickle(trickle);
    }
    let deadline = response.extensions_mut().remove::<FinishBy>();
    let kept = response.extensions_mut().remove::<UntilSent>();
    response.map(|body| {
        Body::new(Answering {
            body,
            _kept: kept,
            _running: running,
            _deadline: deadline.and_then(|FinishBy(at)| Answerer::finish_by(at)),
        })
    })
}

fn wants_close(response: &Response) -> bool {
    response
        .headers()
        .get(CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

fn prepare(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    stream.local_addr()
}

fn with_peer(request: http::Request<Incoming>, peer: &Peer) -> super::Request {
    let mut request = request.map(|body| Body::new(body.map_err(Into::into)));
    request.extensions_mut().insert(peer.clone());
    request
}

fn builder(options: &Options, streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.max_header_bytes as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_pending_accept_reset_streams(options.max_pending_reset_streams)
        .max_header_list_size(options.max_header_bytes)
        .max_send_buf_size(options.max_send_buffer_bytes)
        .keep_alive_interval(options.ping_interval)
        .keep_alive_timeout(options.ping_timeout);
    builder
}
