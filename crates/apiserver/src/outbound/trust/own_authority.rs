//! A server whose certificate is its own authority, as `openssl req -x509` makes it. Go takes such a certificate where it
//! is one of the trusted ones, and people use them for webhooks; WebPKI takes no authority for a server.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Verifies as WebPKI does, and beyond that takes trusted authorities themselves.
#[derive(Debug)]
pub struct OwnAuthority {
    pub chains: Arc<WebPkiServerVerifier>,
    pub authorities: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for OwnAuthority {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .chains
            .verify_server_cert(server, intermediates, name, ocsp, now);
        let is_misused = matches!(
            verified,
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
        );
        if !is_misused || !self.authorities.iter().any(|authority| authority == server) {
            return verified;
        }
        check_time(server, now)?;
        verify_server_name(&ParsedCertificate::try_from(server)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

fn check_time(certificate: &[u8], now: UnixTime) -> Result<(), CertificateError> {
    let certificate = pki::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < certificate.not_before.as_second() {
        return Err(CertificateError::NotValidYet);
    }
    if now > certificate.not_after.as_second() {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use component_base::tls::provider;
    use rustls::RootCertStore;
    use rustls_pki_types::pem::PemObject;
    use std::time::Duration;

    /// Its own authority, for hook.example.com, good for ten years from November 2026 on.
    const SERVER: &[u8] = b"\
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIULUKcTixKYhfBVbs0RzkmpL+9JxkwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEaG9vazAeFw0yNjExMzAwNjExMzNaFw0zNjExMjcwNjExMzNa
MA8xDTALBgNVBAMMBGhvb2swWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATdxVw+
K1DXPimjQl2ktY0Jyq7+wjmcKA08DlBi00KzQ5mVAB5vexAWoS9deTZj7tgHglbT
sEmSr5YzUvKs1qXyo3AwbjAdBgNVHQ4EFgQULqetcKY3w3CFcDhHdiswB3OQdG4w
HwYDVR0jBBgwFoAULqetcKY3w3CFcDhHdiswB3OQdG4wDwYDVR0TAQH/BAUwAwEB
/zAbBgNVHREEFDASghBob29rLmV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUC
IQDFTcC3HM7uOF7zdQKVisvYFkJ0dLKRCdQ78tqy2nLBjgIgQOVNlBOJD6MVgv6F
hwtpIiie1H04h0FcxaM1fMDOyxw=
-----END CERTIFICATE-----";
    /// In 2027.
    const THEN: u64 = 1_800_000_000;

    fn verify(trusted: bool, name: &str, now: u64) -> Result<(), rustls::Error> {
        let server = CertificateDer::from_pem_slice(SERVER).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(server.clone()).unwrap();
        let verifier = OwnAuthority {
            chains: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .unwrap(),
            authorities: trusted.then(|| server.clone()).into_iter().collect(),
        };
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verifier
            .verify_server_cert(&server, &[], &name, &[], now)
            .map(drop)
    }

    #[test]
    fn a_trusted_authority_may_serve_under_its_names_while_it_is_good() {
        assert_eq!(verify(true, "hook.example.com", THEN), Ok(()));
        for (trusted, name, now) in [
            (false, "hook.example.com", THEN),
            (true, "other.example.com", THEN),
            (true, "hook.example.com", 1_000_000_000),
            (true, "hook.example.com", 4_000_000_000),
        ] {
            assert!(verify(trusted, name, now).is_err(), "{trusted} {name} {now}");
        }
    }
}
