//! The client's half of TLS: whom we trust and which certificate we show.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where Debian and its like keep the public certificate authorities.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// PEM material, inline or in a file that is read at every new connection, so that rotation needs no restart.
#[derive(Clone, Debug, PartialEq)]
pub enum Pem {
    Data(Vec<u8>),
    File(PathBuf),
}

impl Pem {
    fn read(&self) -> Result<Vec<u8>, Error> {
        match self {
            Pem::Data(data) => Ok(data.clone()),
            Pem::File(path) => std::fs::read(path).map_err(|source| Error::Read {
                path: path.clone(),
                source,
            }),
        }
    }
}

/// TLS options of a connection to the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Authorities that may have signed the server's certificate; the system's when absent.
    pub ca: Option<Pem>,
    /// Our certificate chain and key.
    pub identity: Option<(Pem, Pem)>,
    /// The name the server's certificate must bear, when it isn't the host we dial.
    pub server_name: Option<String>,
    pub insecure_skip_verify: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("invalid PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("no certificate in the PEM data")]
    NoCertificate,
    #[error("TLS configuration")]
    Tls(#[from] rustls::Error),
}

/// Builds rustls' configuration, offering HTTP/2 first.
pub fn client_config(options: &Options) -> Result<ClientConfig, Error> {
    let provider = Arc::new(provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if options.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    } else {
        builder.with_root_certificates(roots(options.ca.as_ref())?)
    };
    let mut config = match &options.identity {
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(Error::Pem)?;
            builder.with_client_auth_cert(certificates(&chain.read()?)?, key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Asks for AES with keys of 128 bits first, as Go's clients do: it takes fewer rounds at both ends than 256.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let suites = &mut provider.cipher_suites;
    let preferred = CipherSuite::TLS13_AES_128_GCM_SHA256;
    if let Some(at) = suites.iter().position(|suite| suite.suite() == preferred) {
        suites[..=at].rotate_right(1);
    }
    provider
}

fn roots(ca: Option<&Pem>) -> Result<RootCertStore, Error> {
    let pem = match ca {
        Some(ca) => ca.read()?,
        None => Pem::File(SYSTEM_ROOTS.into()).read()?,
    };
    let mut store = RootCertStore::empty();
    for certificate in certificates(&pem)? {
        let added = store.add(certificate);
        // One odd certificate in the system's bundle mustn't take away the others.
        if ca.is_some() {
            added?;
        }
    }
    Ok(store)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::Pem)?;
    if chain.is_empty() {
        Err(Error::NoCertificate)
    } else {
        Ok(chain)
    }
}

/// `insecure-skip-tls-verify`: signatures are still checked, the chain isn't.
#[derive(Debug)]
struct AcceptAny(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
