//! Clients that ask and never read the answer, as programs do that hang.
//!
//! The kernel's buffers and the windows of HTTP/2 swallow megabytes before a server notices; here they are small.

use std::io;
use std::net::ToSocketAddrs;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use client::transport::{Body, BoxError, Error, Transport, tls};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the kernel may keep of what was not read, or what a window lets through.
const SMALL_BYTES: u32 = 4096;
/// The window of one who is stuck below HTTP/2: the socket must be what is full.
const LARGE_WINDOW_BYTES: u32 = 64 << 20;

/// How a client is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// It leaves its socket alone, as a stopped process does: the server can send nothing more.
    Deaf,
    /// It reads its socket and answers pings, and takes nothing out of the stream: no window opens.
    Unwilling,
}

/// Opens a connection for each request, and is stuck once the answer has begun.
pub struct StuckTransport {
    pub tls: tls::Options,
    pub stuck: Stuck,
}

impl Transport for StuckTransport {
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Result<http::Response<Body>, Error>> {
        let (tls, stuck) = (self.tls.clone(), self.stuck);
        Box::pin(async move { send(request, &tls, stuck).await.map_err(Error::Connect) })
    }
}

async fn send(
    request: http::Request<Bytes>,
    tls: &tls::Options,
    stuck: Stuck,
) -> Result<http::Response<Body>, BoxError> {
    let deaf = Arc::new(AtomicBool::new(false));
    let stream = connect(request.uri(), tls, deaf.clone()).await?;
    let window = match stuck {
        Stuck::Deaf => LARGE_WINDOW_BYTES,
        Stuck::Unwilling => SMALL_BYTES,
    };
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .initial_connection_window_size(LARGE_WINDOW_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await?;
    deaf.store(stuck == Stuck::Deaf, Ordering::Relaxed);
    // The connection lasts as long as somebody may send over it.
    Ok(response.map(|body| {
        let broken = move |error| {
            let _kept = &sender;
            Error::Broken(BoxError::from(error))
        };
        body.map_err(broken).boxed_unsync()
    }))
}

async fn connect(
    uri: &http::Uri,
    options: &tls::Options,
    deaf: Arc<AtomicBool>,
) -> Result<TlsStream<Ear>, BoxError> {
    let host = uri.host().ok_or("a server address without a host")?;
    let mut addresses = (host, uri.port_u16().unwrap_or(443)).to_socket_addrs()?;
    let address = addresses.next().ok_or("a server without an address")?;
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_recv_buffer_size(SMALL_BYTES)?;
    let ear = Ear {
        stream: socket.connect(address).await?,
        deaf,
    };
    let config = tls::client_config(options)?;
    let name = options.server_name.as_deref().unwrap_or(host).to_owned();
    Ok(TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(name)?, ear)
        .await?)
}

/// A socket that is not read any more once it is deaf.
struct Ear {
    stream: TcpStream,
    deaf: Arc<AtomicBool>,
}

impl AsyncRead for Ear {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.deaf.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Ear {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
