//! Connections to backends: plain, or TLS as the target asks for.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::{Target, Transport};
use crate::outbound::trust::{Identity, Trust};

/// A connection, whatever it runs over.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Which of a node's addresses are used, in order.
#[derive(Clone, Debug, Default)]
pub struct KubeletAccess {
    pub address_types: Vec<String>,
}

/// How backends are reached.
pub struct Backends {
    pub kubelet: KubeletAccess,
    pub connect_timeout: Duration,
    checked: Arc<ClientConfig>,
    unchecked_kubelet: Arc<ClientConfig>,
    unchecked: Arc<ClientConfig>,
}

/// The certificate that kubelets know this server by, and the authorities that kubelets' certificates have.
#[derive(Default)]
pub struct KubeletTls {
    pub client: Option<Identity>,
    /// Empty: kubelets' certificates are not checked, as upstream does without `--kubelet-certificate-authority`.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Backends {
    /// Prepares the TLS configurations.
    pub fn new(
        kubelet: KubeletAccess,
        tls: KubeletTls,
        connect_timeout: Duration,
    ) -> Result<Backends, rustls::Error> {
        let KubeletTls { client, authorities } = tls;
        let unchecked_kubelet = Trust::Unchecked.client(client.as_ref())?;
        let checked = if authorities.is_empty() {
            unchecked_kubelet.clone()
        } else {
            Trust::Authorities(authorities).client(client.as_ref())?
        };
        Ok(Backends {
            kubelet,
            connect_timeout,
            checked,
            unchecked_kubelet,
            unchecked: Trust::Unchecked.client(None)?,
        })
    }

    /// Opens a connection to a target.
    pub async fn connect(&self, target: &Target) -> std::io::Result<Box<dyn Connection>> {
        tokio::time::timeout(self.connect_timeout, self.open(target))
            .await
            .unwrap_or_else(|_| {
                Err(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    "connection timed out",
                ))
            })
    }

    async fn open(&self, target: &Target) -> std::io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        let config = match target.transport {
            Transport::Plain => return Ok(Box::new(stream)),
            Transport::Kubelet => &self.checked,
            Transport::KubeletUnchecked => &self.unchecked_kubelet,
            Transport::Unchecked => &self.unchecked,
        };
        let name = ServerName::try_from(target.host.clone()).map_err(std::io::Error::other)?;
        Ok(Box::new(
            TlsConnector::from(config.clone()).connect(name, stream).await?,
        ))
    }
}
