//! How the certificates of called servers are checked, and what is told when they are not good.

mod own_authority;

use std::path::Path;
use std::sync::Arc;

use component_base::tls::{SYSTEM_AUTHORITIES, certificates, provider};
use own_authority::OwnAuthority;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// Whose certificates are good.
#[derive(Clone, Debug)]
pub enum Trust {
    Authorities(Vec<CertificateDer<'static>>),
    /// Those that the machine knows.
    System,
    /// Any certificate will do.
    Unchecked,
}

/// A certificate of our own, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Trust {
    /// From a `caBundle`; an empty one means the machine's authorities. What is no certificate in it is passed over,
    /// as upstream does.
    pub fn from_bundle(pem: &[u8]) -> Self {
        if pem.is_empty() {
            return Self::System;
        }
        Self::Authorities(
            CertificateDer::pem_slice_iter(pem)
                .filter_map(Result::ok)
                .collect(),
        )
    }

    /// A TLS client that speaks HTTP/1.1 alone: streams are upgraded, and calls spread over what stands behind a
    /// service.
    pub fn client(&self, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, rustls::Error> {
        let provider = provider();
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match self {
            Self::Unchecked => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(provider))),
            Self::Authorities(authorities) => match verifier(authorities, provider) {
                Some(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
                None => builder.with_root_certificates(RootCertStore::empty()),
            },
            Self::System => {
                // Without the file nobody is trusted, which each call reports.
                let known = certificates(Path::new(SYSTEM_AUTHORITIES)).unwrap_or_default();
                builder.with_root_certificates(roots(&known))
            }
        };
        Ok(Arc::new(match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        }))
    }
}

/// `None` when none of the authorities can be read: nobody is trusted then.
fn verifier(
    authorities: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Option<Arc<OwnAuthority>> {
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(authorities)), provider);
    Some(Arc::new(OwnAuthority {
        chains: chains.build().ok()?,
        authorities: authorities.to_vec(),
    }))
}

fn roots(authorities: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    roots
}

/// A failed handshake in the words of Go's TLS.
pub fn describe(error: &rustls::Error) -> String {
    let failed = "tls: failed to verify certificate: x509: ";
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            // Another authority of that name is unknown as well.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("{failed}certificate signed by unknown authority")
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                format!("{failed}{}", misnamed(expected, presented))
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                format!("{failed}certificate has expired or is not yet valid")
            }
            other => format!("{failed}{other}"),
        },
        rustls::Error::InvalidMessage(_) => "http: server gave HTTP response to HTTPS client".to_owned(),
        other => format!("tls: {other}"),
    }
}

/// Go tells names where a name was wanted, and addresses where an address was. rustls shows them as
/// `DnsName("a.example.com")` and `IpAddress(10.0.0.1)`.
fn misnamed(expected: &ServerName<'_>, presented: &[String]) -> String {
    let sort = match expected {
        ServerName::IpAddress(_) => "IpAddress(",
        _ => "DnsName(",
    };
    let valid: Vec<&str> = presented
        .iter()
        .filter_map(|shown| shown.strip_prefix(sort))
        .map(|name| name.trim_end_matches(')').trim_matches('"'))
        .collect();
    let wanted = expected.to_str();
    match (expected, valid.as_slice()) {
        (ServerName::IpAddress(_), []) => {
            format!("cannot validate certificate for {wanted} because it doesn't contain any IP SANs")
        }
        (_, []) => format!("certificate is not valid for any names, but wanted to match {wanted}"),
        (_, valid) => format!("certificate is valid for {}, not {wanted}", valid.join(", ")),
    }
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
