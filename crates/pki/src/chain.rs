//! Verifying chains of client and server certificates.

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::Error;

/// What the leaf must be good for; a certificate without extended usages is good for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Client,
    Server,
}

/// Trusted authorities.
#[derive(Clone, Debug)]
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
}

impl Roots {
    /// Certificates that cannot serve as authorities are an error: trust must not shrink silently.
    pub fn new(certificates: &[CertificateDer<'_>]) -> Result<Self, Error> {
        let anchor = |der| anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned());
        let anchors: Result<Vec<_>, _> = certificates.iter().map(anchor).collect();
        Ok(Self {
            anchors: anchors.map_err(|_| Error::Malformed("authority certificate"))?,
        })
    }

    /// Does the chain (leaf first) lead to one of these authorities, at this time, for this purpose? The
    /// error is worded for the log.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(Error::Invalid("no certificate was presented".to_owned()));
        };
        let refused = |error: webpki::Error| Error::Invalid(format!("x509: {error}"));
        let leaf = EndEntityCert::try_from(leaf).map_err(refused)?;
        let usage = match purpose {
            Purpose::Client => KeyUsage::client_auth(),
            Purpose::Server => KeyUsage::server_auth(),
        };
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors,
            intermediates,
            time,
            usage,
            None,
            None,
        )
        .map(drop)
        .map_err(refused)
    }
}
