//! TLS: certificates and keys from files, reloaded when they change, and server configurations.
//!
//! A server asks for a client certificate and accepts any, or none: whether it is a good one is decided by
//! an authenticator, so that a bad one is answered with a 401 and not with a broken connection. The
//! handshake still proves that the client owns the certificate's key.

mod client_certificate;
mod files;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use rustls::server::ResolvesServerCert;

pub use files::{CertificateFiles, RELOAD_PERIOD, Reloading, ReloadingBundle, certificates, private_key};

/// Where Debian and its like keep the public certificate authorities.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no {what} in PEM form")]
    Empty { path: PathBuf, what: &'static str },
    #[error("{path} is not well-formed PEM: {reason}")]
    Pem { path: PathBuf, reason: String },
    #[error("certificate {certificate} and key {key} cannot be used")]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("TLS settings cannot be used")]
    Settings(#[from] rustls::Error),
    #[error("unknown TLS version {0:?}, must be VersionTLS12 or VersionTLS13")]
    Version(String),
}

/// The one cryptography provider of the project.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Who may present a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Ask for one; hand whatever comes to the handler.
    Request,
    /// Do not ask.
    None,
}

/// The lowest version to speak, from `--tls-min-version`; TLS 1.2 by default, and never below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

impl MinVersion {
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "" | "VersionTLS10" | "VersionTLS11" | "VersionTLS12" => Ok(Self::Tls12),
            "VersionTLS13" => Ok(Self::Tls13),
            other => Err(Error::Version(other.to_owned())),
        }
    }
}

/// A serving certificate, leaf first, that no file holds.
pub fn in_memory(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<dyn ResolvesServerCert>, Error> {
    let pair = CertifiedKey::from_der(chain, key, &provider())?;
    Ok(Arc::new(SingleCertAndKey::from(pair)))
}

/// A server configuration that speaks HTTP/2 and HTTP/1.1.
pub fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: ClientCertificates,
    min_version: MinVersion,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = provider();
    let versions: &[_] = match min_version {
        MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match clients {
        ClientCertificates::None => builder.with_no_client_auth(),
        ClientCertificates::Request => {
            builder.with_client_cert_verifier(Arc::new(client_certificate::AcceptAny::new(provider)))
        }
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
