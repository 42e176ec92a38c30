//! Issuing certificates.

use std::path::Path;

use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::certificate::{AltNames, Certificate, Subject};
use crate::{Error, PrivateKey, PublicKey, Usage, der};

mod oid {
    pub const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
    pub const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
    pub const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
    pub const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
    pub const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
    pub const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
}

/// What a certificate shall say.
#[derive(Clone, Debug)]
pub struct Template {
    pub subject: Subject,
    pub alt_names: AltNames,
    pub usages: Vec<Usage>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// A certificate authority: its certificate and key.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    key: PrivateKey,
}

impl Authority {
    /// A new self-signed authority.
    pub fn self_signed(
        common_name: &str,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Self, Error> {
        let key = PrivateKey::generate()?;
        let mut alt_names = AltNames::default();
        alt_names.push(common_name);
        let template = Template {
            subject: Subject::new(common_name, &[]),
            alt_names,
            usages: vec![Usage::DigitalSignature, Usage::KeyEncipherment, Usage::CertSign],
            not_before,
            not_after,
        };
        let issuer = Issuer {
            subject: &template.subject.to_der(),
            key_identifier: None,
            key: &key,
        };
        let certificate =
            Certificate::from_der(&issuer.sign(&template, key.public(), Constraints::Authority)?)?;
        Ok(Self { certificate, key })
    }

    pub fn new(certificate: Certificate, key: PrivateKey) -> Result<Self, Error> {
        if certificate.spki != key.public().spki() {
            return Err(Error::KeyMismatch);
        }
        if !certificate.is_authority {
            return Err(Error::NotAnAuthority(certificate.subject.common_name));
        }
        Ok(Self { certificate, key })
    }

    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        Self::new(
            Certificate::load(certificate)?.swap_remove(0),
            PrivateKey::load(key)?,
        )
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Was the certificate signed by this authority's key?
    pub fn has_issued(&self, certificate: &Certificate) -> Result<bool, Error> {
        certificate.is_signed_by(&self.certificate)
    }

    /// Issues a certificate for a key. It does not outlive the authority's own.
    pub fn issue(&self, template: &Template, key: &PublicKey) -> Result<Certificate, Error> {
        let mut template = template.clone();
        template.not_after = template.not_after.min(self.certificate.not_after);
        if template.not_before >= template.not_after {
            return Err(Error::Invalid(
                "the authority's certificate has expired".to_owned(),
            ));
        }
        let issuer = Issuer {
            subject: &self.certificate.subject_der,
            key_identifier: self.certificate.key_identifier.as_deref(),
            key: &self.key,
        };
        Certificate::from_der(&issuer.sign(&template, key, Constraints::Leaf)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Constraints {
    Authority,
    Leaf,
}

/// Who signs.
struct Issuer<'a> {
    subject: &'a [u8],
    key_identifier: Option<&'a [u8]>,
    key: &'a PrivateKey,
}

impl Issuer<'_> {
    fn sign(&self, template: &Template, key: &PublicKey, constraints: Constraints) -> Result<Vec<u8>, Error> {
        const VERSION_3: u8 = 2;
        let algorithm = self.key.algorithm().signature_identifier();
        let body = der::sequence(&[
            der::context(0, &der::integer(&[VERSION_3])),
            der::integer(&serial_number()?),
            algorithm.clone(),
            self.subject.to_vec(),
            der::sequence(&[der::time(template.not_before), der::time(template.not_after)]),
            template.subject.to_der(),
            key.spki().to_vec(),
            der::context(3, &der::sequence(&self.extensions(template, key, constraints))),
        ]);
        let signature = self.key.sign_x509(&body)?;
        Ok(der::sequence(&[body, algorithm, der::bit_string(&signature)]))
    }

    fn extensions(&self, template: &Template, key: &PublicKey, constraints: Constraints) -> Vec<Vec<u8>> {
        let mut extensions = usage_extensions(&template.usages);
        let constraints_value = match constraints {
            Constraints::Authority => der::sequence(&[der::boolean(true)]),
            Constraints::Leaf => der::sequence(&[]),
        };
        extensions.push(extension(
            oid::BASIC_CONSTRAINTS,
            Critical::Yes,
            &constraints_value,
        ));
        if constraints == Constraints::Authority {
            let id = der::octet_string(&key_identifier(key));
            extensions.push(extension(oid::SUBJECT_KEY_IDENTIFIER, Critical::No, &id));
        }
        if let Some(id) = self.key_identifier {
            let value = der::sequence(&[der::element(der::tag::CONTEXT, id)]);
            extensions.push(extension(oid::AUTHORITY_KEY_IDENTIFIER, Critical::No, &value));
        }
        if !template.alt_names.is_empty() {
            // RFC 5280: critical when the subject is empty.
            let nameless = template.subject == Subject::default();
            let critical = if nameless { Critical::Yes } else { Critical::No };
            extensions.push(extension(
                oid::SUBJECT_ALT_NAME,
                critical,
                &template.alt_names.to_der(),
            ));
        }
        extensions
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Critical {
    Yes,
    No,
}

fn extension(oid: &[u64], critical: Critical, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::oid(oid)];
    if critical == Critical::Yes {
        parts.push(der::boolean(true));
    }
    parts.push(der::octet_string(value));
    der::sequence(&parts)
}

fn usage_extensions(usages: &[Usage]) -> Vec<Vec<u8>> {
    let mut extensions = Vec::new();
    let bits = usages
        .iter()
        .filter_map(|usage| usage.bit())
        .fold(0, |bits, bit| bits | bit);
    if bits != 0 {
        extensions.push(extension(oid::KEY_USAGE, Critical::Yes, &der::flags(bits)));
    }
    let extended: Vec<_> = usages
        .iter()
        .filter_map(|usage| usage.oid())
        .map(der::oid)
        .collect();
    if !extended.is_empty() {
        extensions.push(extension(
            oid::EXTENDED_KEY_USAGE,
            Critical::No,
            &der::sequence(&extended),
        ));
    }
    extensions
}

/// RFC 5280's first method; a name for a key, not a protection.
fn key_identifier(key: &PublicKey) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, key.raw()).as_ref().to_vec()
}

/// Sixteen random bytes, positive.
fn serial_number() -> Result<[u8; 16], Error> {
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| Error::Random)?;
    serial[0] = serial[0] & 0x7f | 0x01;
    Ok(serial)
}

#[cfg(test)]
mod tests;
