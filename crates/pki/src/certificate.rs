//! Reading certificates.

mod names;

use std::path::Path;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{Error, PublicKey, Usage, key, pem};

pub use names::{AltNames, Subject};
pub(crate) use names::{alt_names_from, subject_from};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub subject: Subject,
    /// The subject exactly as encoded: the issuer of certificates signed by it must be byte-equal.
    pub(crate) subject_der: Vec<u8>,
    pub alt_names: AltNames,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub usages: Vec<Usage>,
    pub is_authority: bool,
    /// The SubjectKeyIdentifier, if it has one.
    pub(crate) key_identifier: Option<Vec<u8>>,
    pub(crate) spki: Vec<u8>,
    pub serial: Vec<u8>,
}

impl Certificate {
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let parsed = parse(der)?;
        let malformed = |_| Error::Malformed("certificate");
        let timestamp =
            |seconds| Timestamp::from_second(seconds).map_err(|_| Error::Malformed("certificate"));
        let alt_names = match parsed.subject_alternative_name().map_err(malformed)? {
            Some(extension) => alt_names_from(extension.value),
            None => AltNames::default(),
        };
        let constraints = parsed.basic_constraints().map_err(malformed)?;
        let key_identifier =
            parsed
                .iter_extensions()
                .find_map(|extension| match extension.parsed_extension() {
                    x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                    _ => None,
                });
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            subject: subject_from(parsed.subject()),
            subject_der: parsed.subject().as_raw().to_vec(),
            alt_names,
            not_before: timestamp(parsed.validity().not_before.timestamp())?,
            not_after: timestamp(parsed.validity().not_after.timestamp())?,
            usages: usages(&parsed)?,
            is_authority: constraints.is_some_and(|extension| extension.value.ca),
            key_identifier,
            spki: parsed.public_key().raw.to_vec(),
            serial: parsed.raw_serial().to_vec(),
        })
    }

    /// The certificates of a PEM text, in order; there must be one.
    pub fn from_pem(text: &[u8]) -> Result<Vec<Self>, Error> {
        let blocks = pem::parse(text)?;
        let certificates = blocks.iter().filter(|block| block.label == pem::CERTIFICATE);
        let certificates: Vec<_> = certificates
            .map(|block| Self::from_der(&block.der))
            .collect::<Result<_, _>>()?;
        if certificates.is_empty() {
            Err(Error::NoPem("certificate"))
        } else {
            Ok(certificates)
        }
    }

    pub fn load(path: &Path) -> Result<Vec<Self>, Error> {
        Self::from_pem(&key::read(path)?)
    }

    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_spki(&self.spki)
    }

    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der)
    }

    /// Does the key of `authority` verify this certificate's signature?
    pub fn is_signed_by(&self, authority: &Self) -> Result<bool, Error> {
        let parsed = parse(&self.der)?;
        let (_, key) =
            SubjectPublicKeyInfo::from_der(&authority.spki).map_err(|_| Error::Malformed("public key"))?;
        let algorithm = parsed.signature_algorithm.algorithm.as_bytes();
        let (body, signature) = (
            parsed.tbs_certificate.as_ref(),
            parsed.signature_value.data.as_ref(),
        );
        match key::verify_x509(&key, algorithm, body, signature) {
            Ok(()) => Ok(parsed.issuer().as_raw() == authority.subject_der),
            Err(Error::Signature) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// The SubjectPublicKeyInfo of a certificate.
pub(crate) fn spki(der: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(parse(der)?.public_key().raw.to_vec())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Error::Malformed("certificate")),
    }
}

fn usages(certificate: &X509Certificate<'_>) -> Result<Vec<Usage>, Error> {
    let malformed = |_| Error::Malformed("certificate");
    let bits = certificate
        .key_usage()
        .map_err(malformed)?
        .map_or(0, |extension| extension.value.flags);
    let extended = certificate.extended_key_usage().map_err(malformed)?;
    let has_extended = |arcs: &[u64]| {
        let Some(extension) = &extended else { return false };
        let usage = extension.value;
        let content = crate::der::oid_content(arcs);
        let named = [
            (usage.any, Usage::Any),
            (usage.server_auth, Usage::ServerAuth),
            (usage.client_auth, Usage::ClientAuth),
            (usage.code_signing, Usage::CodeSigning),
            (usage.email_protection, Usage::EmailProtection),
            (usage.time_stamping, Usage::Timestamping),
            (usage.ocsp_signing, Usage::OcspSigning),
        ];
        named.iter().any(|(set, usage)| *set && usage.oid() == Some(arcs))
            || usage.other.iter().any(|oid| oid.as_bytes() == content)
    };
    let has = |usage: &Usage| match (usage.bit(), usage.oid()) {
        (Some(bit), _) => bits & bit != 0,
        (None, Some(arcs)) => has_extended(arcs),
        (None, None) => false,
    };
    Ok(Usage::all().filter(has).collect())
}
