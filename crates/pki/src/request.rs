//! Certificate signing requests (PKCS#10): reading and making them.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::certificate::{AltNames, Subject, alt_names_from, subject_from};
use crate::{Error, PrivateKey, PublicKey, der, key, pem};

/// A request whose signature has been verified: the sender owns the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub subject: Subject,
    pub alt_names: AltNames,
    pub public_key: PublicKey,
}

const EXTENSION_REQUEST: &[u64] = &[1, 2, 840, 113549, 1, 9, 14];
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];

impl Request {
    /// Reads the first request of a PEM text, as `spec.request` of a CertificateSigningRequest holds it.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let blocks = pem::parse(text)?;
        match blocks.first() {
            Some(block) if block.label == pem::CERTIFICATE_REQUEST => Self::from_der(&block.der),
            _ => Err(Error::NoPem("certificate request")),
        }
    }

    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let (_, request) =
            X509CertificationRequest::from_der(der).map_err(|_| Error::Malformed("certificate request"))?;
        let info = &request.certification_request_info;
        key::verify_x509(
            &info.subject_pki,
            request.signature_algorithm.algorithm.as_bytes(),
            info.raw,
            request.signature_value.data.as_ref(),
        )?;
        let mut alt_names = AltNames::default();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                alt_names = alt_names_from(names);
            }
        }
        Ok(Self {
            subject: subject_from(&info.subject),
            alt_names,
            public_key: PublicKey::from_spki(info.subject_pki.raw)?,
        })
    }
}

/// Makes a request, in PEM.
pub fn create(subject: &Subject, alt_names: &AltNames, key: &PrivateKey) -> Result<String, Error> {
    const VERSION_1: u8 = 0;
    let mut attributes = Vec::new();
    if !alt_names.is_empty() {
        let names = der::sequence(&[der::oid(SUBJECT_ALT_NAME), der::octet_string(&alt_names.to_der())]);
        let extensions = der::sequence(&[names]);
        attributes = der::sequence(&[der::oid(EXTENSION_REQUEST), der::set(&[extensions])]);
    }
    let info = der::sequence(&[
        der::integer(&[VERSION_1]),
        subject.to_der(),
        key.public().spki().to_vec(),
        der::context(0, &attributes),
    ]);
    let signature = key.sign_x509(&info)?;
    let request = der::sequence(&[
        info,
        key.algorithm().signature_identifier(),
        der::bit_string(&signature),
    ]);
    Ok(pem::encode(pem::CERTIFICATE_REQUEST, &request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was_made() {
        let key = PrivateKey::generate().unwrap();
        let subject = Subject::new("system:node:a", &["system:nodes"]);
        let mut alt_names = AltNames::default();
        ["a", "10.0.0.1", "fd00::1"]
            .iter()
            .for_each(|name| alt_names.push(name));
        let text = create(&subject, &alt_names, &key).unwrap();
        let request = Request::from_pem(text.as_bytes()).unwrap();
        assert_eq!(
            request,
            Request {
                subject,
                alt_names,
                public_key: key.public().clone()
            }
        );
    }

    #[test]
    fn a_changed_request_is_refused() {
        let key = PrivateKey::generate().unwrap();
        let text = create(&Subject::new("alice", &[]), &AltNames::default(), &key).unwrap();
        let mut der = pem::parse(text.as_bytes()).unwrap().remove(0).der;
        let at = der.windows(5).position(|window| window == b"alice").unwrap();
        der[at] = b'A';
        assert!(matches!(Request::from_der(&der), Err(Error::Signature)));
        assert!(Request::from_der(&der[..40]).is_err());
    }

    #[test]
    fn requests_of_other_tools_are_read() {
        let mut params = rcgen::CertificateParams::new(vec!["web.ns.svc".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "web");
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let text = params.serialize_request(&key).unwrap().pem().unwrap();
        let request = Request::from_pem(text.as_bytes()).unwrap();
        assert_eq!(
            (request.subject.common_name.as_str(), request.alt_names.dns.len()),
            ("web", 1)
        );
    }
}
