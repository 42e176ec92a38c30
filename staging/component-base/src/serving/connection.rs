//! One connection: handshake, protocol, requests, graceful end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{Body, Handler, Options, Peer, Response};
use crate::shutdown::Shutdown;

pub(super) struct Acceptor {
    builder: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    handler: Arc<dyn Handler>,
    handshake_timeout: std::time::Duration,
    /// Finish what runs, take nothing new.
    shutdown: Shutdown,
    /// Time is up.
    cut_off: Shutdown,
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
            builder: builder(options),
            tls: tls.map(TlsAcceptor::from),
            handler,
            handshake_timeout: options.handshake_timeout,
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
            return self.serve(stream, peer).await;
        };
        let handshake = tokio::time::timeout(self.handshake_timeout, tls.accept(stream));
        match self.shutdown.guard(handshake).await {
            Some(Ok(Ok(stream))) => {
                if let Some(certificates) = stream.get_ref().1.peer_certificates() {
                    peer.certificates = certificates.iter().map(|der| der.clone().into_owned()).collect();
                }
                self.serve(stream, peer).await;
            }
            Some(Ok(Err(error))) => tracing::debug!(peer = %addr, error = %error, "TLS handshake error"),
            Some(Err(_)) => tracing::debug!(peer = %addr, "TLS handshake timed out"),
            None => {}
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let addr = peer.addr;
        let handler = self.handler.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let answer = handler.handle(with_peer(request, &peer));
            async move { Ok::<Response, Infallible>(answer.await) }
        });
        let mut connection = pin!(
            self.builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.wait() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.cut_off.wait() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %addr, error = %error, "connection ended with an error");
        }
    }
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

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
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
