//! Connections: one HTTP/2 connection at a time, to the first server that answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tracing::warn;

use super::Options;
use crate::Error;

/// A dead connection is noticed after about the sum of these.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

#[derive(Clone)]
struct Server {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

/// A channel that connects when it is used, and again after a connection was lost.
pub(super) fn lazy(options: &Options) -> Result<Channel, Error> {
    let servers = options
        .servers
        .iter()
        .map(|address| parse(address, options))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = options.servers.first() else {
        return Err(Error::Unavailable("no etcd server is given".into()));
    };
    let connect = Connect {
        servers: servers.into(),
        next: Arc::default(),
        timeout: options.connect_timeout,
    };
    let origin: Uri = first
        .parse()
        .map_err(|error| Error::Unavailable(format!("etcd server {first:?}: {error}")))?;
    let endpoint = Endpoint::from(origin)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| connect.clone().any())))
}

fn parse(address: &str, options: &Options) -> Result<Server, Error> {
    let refused = |what: &str| Error::Unavailable(format!("etcd server {address:?}: {what}"));
    let uri: Uri = address.parse().map_err(|_| refused("not a URL"))?;
    let tls = match (uri.scheme_str(), &options.tls) {
        (Some("http"), _) => None,
        (Some("https"), Some(config)) => Some(TlsConnector::from(config.clone())),
        (Some("https"), None) => return Err(refused("https needs a TLS configuration")),
        _ => return Err(refused("neither http nor https")),
    };
    let host = uri.host().ok_or_else(|| refused("no host"))?;
    // URLs put IPv6 addresses in brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Server {
        host,
        port: uri.port_u16().unwrap_or(2379),
        tls,
    })
}

#[derive(Clone)]
struct Connect {
    servers: Arc<[Server]>,
    /// The server to try first: the one after the last that was tried.
    next: Arc<AtomicUsize>,
    timeout: Duration,
}

impl Connect {
    async fn any(self) -> std::io::Result<TokioIo<Box<dyn Connection>>> {
        let mut last = std::io::Error::other("no etcd server");
        for _ in 0..self.servers.len() {
            let server = &self.servers[self.next.load(Ordering::Relaxed) % self.servers.len()];
            match tokio::time::timeout(self.timeout, server.connect()).await {
                Ok(Ok(connection)) => return Ok(TokioIo::new(connection)),
                Ok(Err(error)) => last = error,
                Err(_) => last = std::io::ErrorKind::TimedOut.into(),
            }
            warn!(server = %server.host, port = server.port, error = %last, "etcd can't be reached");
            self.next.fetch_add(1, Ordering::Relaxed);
        }
        Err(last)
    }
}

impl Server {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = &self.tls else {
                return Ok(Box::new(stream) as Box<dyn Connection>);
            };
            let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
            let stream = tls.connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}
