//! The real transport: hyper over TCP and TLS, HTTP/2 where the server offers it, else pooled HTTP/1.1.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Body, BoxError, Error, Transport, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A quiet HTTP/2 connection is probed after this long, and given up when the probe isn't answered: otherwise a
/// watch over a dead path would stay silent for the kernel's fifteen minutes.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Window of a stream. Large enough for a page of a list, small enough that a hundred watches stay cheap.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// A pool of connections to one server.
#[derive(Clone)]
pub struct HttpTransport {
    client: legacy::Client<Connector, Full<Bytes>>,
}

impl HttpTransport {
    /// Fails when the TLS material can't be read now; it is read again at each new connection.
    pub fn new(options: tls::Options) -> Result<Self, tls::Error> {
        tls::client_config(&options)?;
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(Connector { options });
        Ok(HttpTransport { client })
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Result<http::Response<Body>, Error>> {
        let sent = self.client.request(request.map(Full::new));
        Box::pin(async move {
            match sent.await {
                Ok(response) => {
                    Ok(response.map(|body| body.map_err(|e| Error::Broken(e.into())).boxed_unsync()))
                }
                Err(error) if error.is_connect() => Err(Error::Connect(error.into())),
                Err(error) => Err(Error::Broken(error.into())),
            }
        })
    }
}

/// Opens connections for the pool.
#[derive(Clone)]
struct Connector {
    options: tls::Options,
}

impl tower::Service<http::Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let options = self.options.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connect(&uri, &options)).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

async fn connect(uri: &http::Uri, options: &tls::Options) -> Result<Stream, BoxError> {
    let secure = uri.scheme_str() != Some("http");
    let host = uri.host().ok_or("server address without a host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    if !secure {
        return Ok(Stream::Plain(TokioIo::new(tcp)));
    }
    let config = tls::client_config(options)?;
    let name = options.server_name.as_deref().unwrap_or(host).to_owned();
    let stream = TlsConnector::from(std::sync::Arc::new(config))
        .connect(ServerName::try_from(name)?, tcp)
        .await?;
    Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
}

/// A connection, encrypted or (for local proxies and tests) not.
enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Stream::Plain(_) => Connected::new(),
            Stream::Tls(stream) => {
                let negotiated = stream.inner().get_ref().1.alpn_protocol() == Some(b"h2");
                if negotiated {
                    Connected::new().negotiated_h2()
                } else {
                    Connected::new()
                }
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
