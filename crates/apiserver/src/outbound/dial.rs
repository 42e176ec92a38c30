//! Connections to called servers, with errors in the words of Go's dialer.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::services::Address;
use super::trust;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// Opens a TLS connection to an address; the certificate must be for `server_name`.
pub async fn connect(
    address: &Address,
    server_name: &str,
    tls: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, Error> {
    let stream = tcp(address).await?;
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|_| Error(format!("tls: {server_name:?} is no name of a server")))?;
    TlsConnector::from(tls.clone())
        .connect(name, stream)
        .await
        .map_err(|error| Error(handshake(&error)))
}

async fn tcp(address: &Address) -> Result<TcpStream, Error> {
    let Address { host, port } = address;
    let mut candidates = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .map_err(|_| Error(format!("dial tcp: lookup {host}: no such host")))?;
    let no_host = || Error(format!("dial tcp: lookup {host}: no such host"));
    let mut at = candidates.next().ok_or_else(no_host)?;
    loop {
        match TcpStream::connect(at).await {
            Ok(stream) => {
                stream
                    .set_nodelay(true)
                    .map_err(|error| Error(error.to_string()))?;
                return Ok(stream);
            }
            Err(error) => match candidates.next() {
                Some(next) => at = next,
                None => return Err(Error(format!("dial tcp {at}: connect: {}", system(&error)))),
            },
        }
    }
}

/// What the system says, without Rust's number of it.
fn system(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

fn handshake(error: &io::Error) -> String {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(error) => trust::describe(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => system(error),
    }
}
