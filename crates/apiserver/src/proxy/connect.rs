//! Connections to backends: plain, or TLS as the target asks for.

use std::sync::Arc;
use std::time::Duration;

use component_base::tls::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::{Target, Transport};

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
    pub client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
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
        let unchecked_kubelet = config(&[], client.as_ref())?;
        let checked = if authorities.is_empty() {
            unchecked_kubelet.clone()
        } else {
            config(&authorities, client.as_ref())?
        };
        Ok(Backends {
            kubelet,
            connect_timeout,
            checked,
            unchecked_kubelet,
            unchecked: config(&[], None)?,
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

fn config(
    authorities: &[CertificateDer<'static>],
    client: Option<&(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = provider();
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if authorities.is_empty() {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
    } else {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        builder.with_root_certificates(roots)
    };
    // HTTP/1.1 alone: streams are upgraded.
    Ok(Arc::new(match client {
        Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
        None => builder.with_no_client_auth(),
    }))
}

/// Takes any certificate, as long as its key signed the handshake.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
