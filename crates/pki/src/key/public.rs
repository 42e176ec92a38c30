//! Public keys: forms, identity, verification.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED,
    ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Algorithm, PrivateKey, oid};
use crate::{Error, der, pem};

/// A public key that verifies tokens and certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// The SubjectPublicKeyInfo.
    spki: Vec<u8>,
    /// The key alone: a point, or an RSAPublicKey.
    raw: Vec<u8>,
}

/// The numbers of a public key, as a JSON Web Key states them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Components {
    Ec {
        curve: &'static str,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    pub(super) fn new(algorithm: Algorithm, raw: &[u8]) -> Self {
        let spki = der::sequence(&[algorithm.key_identifier(), der::bit_string(raw)]);
        Self {
            algorithm,
            spki,
            raw: raw.to_vec(),
        }
    }

    /// From a SubjectPublicKeyInfo.
    pub fn from_spki(spki: &[u8]) -> Result<Self, Error> {
        let (rest, info) =
            SubjectPublicKeyInfo::from_der(spki).map_err(|_| Error::Malformed("public key"))?;
        if !rest.is_empty() {
            return Err(Error::Malformed("public key"));
        }
        let algorithm = key_algorithm(&info).ok_or(Error::Unsupported("public key"))?;
        Ok(Self {
            algorithm,
            spki: spki.to_vec(),
            raw: info.subject_public_key.data.to_vec(),
        })
    }

    /// Every public key of a PEM text: public keys, certificates, and the public halves of private keys.
    pub fn from_pem(text: &[u8]) -> Result<Vec<Self>, Error> {
        let mut keys = Vec::new();
        for block in pem::parse(text)? {
            match block.label.as_str() {
                pem::PUBLIC_KEY => keys.push(Self::from_spki(&block.der)?),
                pem::RSA_PUBLIC_KEY => keys.push(Self::new(Algorithm::Rsa, &block.der)),
                pem::CERTIFICATE => keys.push(Self::from_spki(&crate::certificate::spki(&block.der)?)?),
                pem::PRIVATE_KEY | pem::RSA_PRIVATE_KEY | pem::EC_PRIVATE_KEY => {
                    let text = pem::encode(&block.label, &block.der);
                    keys.push(PrivateKey::from_pem(text.as_bytes())?.public().clone());
                }
                _ => {}
            }
        }
        if keys.is_empty() {
            Err(Error::NoPem("public key"))
        } else {
            Ok(keys)
        }
    }

    pub fn load(path: &Path) -> Result<Vec<Self>, Error> {
        Self::from_pem(&super::read(path)?)
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub fn to_pem(&self) -> String {
        pem::encode(pem::PUBLIC_KEY, &self.spki)
    }

    /// The key id of tokens signed with this key: the URL-safe base64 of the SHA-256 of its DER form.
    pub fn key_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.spki))
    }

    pub fn components(&self) -> Result<Components, Error> {
        match self.algorithm {
            Algorithm::EcdsaP256 => Ok(self.point("P-256")),
            Algorithm::EcdsaP384 => Ok(self.point("P-384")),
            Algorithm::Rsa => self.rsa_components(),
        }
    }

    /// An uncompressed point: 0x04, x, y.
    fn point(&self, curve: &'static str) -> Components {
        let coordinates = self.raw.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        Components::Ec {
            curve,
            x: x.to_vec(),
            y: y.to_vec(),
        }
    }

    fn rsa_components(&self) -> Result<Components, Error> {
        let (_, info) =
            SubjectPublicKeyInfo::from_der(&self.spki).map_err(|_| Error::Malformed("public key"))?;
        let Ok(ParsedKey::RSA(key)) = info.parsed() else {
            return Err(Error::Malformed("public key"));
        };
        let significant =
            |bytes: &[u8]| bytes[bytes.iter().take_while(|byte| **byte == 0).count()..].to_vec();
        Ok(Components::Rsa {
            modulus: significant(key.modulus),
            exponent: significant(key.exponent),
        })
    }

    /// Verifies a JSON Web Signature made with the named algorithm, which must be one of the key's own.
    pub(crate) fn verify_jws(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let verifier: &dyn VerificationAlgorithm = match (self.algorithm, algorithm) {
            (Algorithm::EcdsaP256, "ES256") => &ECDSA_P256_SHA256_FIXED,
            (Algorithm::EcdsaP384, "ES384") => &ECDSA_P384_SHA384_FIXED,
            (Algorithm::Rsa, "RS256") => &RSA_PKCS1_2048_8192_SHA256,
            (Algorithm::Rsa, "RS384") => &RSA_PKCS1_2048_8192_SHA384,
            (Algorithm::Rsa, "RS512") => &RSA_PKCS1_2048_8192_SHA512,
            _ => return Err(Error::Signature),
        };
        UnparsedPublicKey::new(verifier, &self.raw)
            .verify(message, signature)
            .map_err(|_| Error::Signature)
    }
}

fn key_algorithm(info: &SubjectPublicKeyInfo<'_>) -> Option<Algorithm> {
    let is = |arcs: &[u64]| info.algorithm.algorithm.as_bytes() == der::oid_content(arcs);
    if is(oid::RSA_ENCRYPTION) {
        return Some(Algorithm::Rsa);
    }
    let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let on = |arcs: &[u64]| is(oid::EC_PUBLIC_KEY) && curve.as_bytes() == der::oid_content(arcs);
    match () {
        () if on(oid::P256) => Some(Algorithm::EcdsaP256),
        () if on(oid::P384) => Some(Algorithm::EcdsaP384),
        () => None,
    }
}

/// Verifies a signature of a certificate or signing request, by its own statement of the algorithm.
pub(crate) fn verify_x509(
    key: &SubjectPublicKeyInfo<'_>,
    signature_algorithm: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let is = |arcs: &[u64]| signature_algorithm == der::oid_content(arcs);
    let verifier: &dyn VerificationAlgorithm = match () {
        () if is(oid::ECDSA_WITH_SHA256) => &ECDSA_P256_SHA256_ASN1,
        () if is(oid::ECDSA_WITH_SHA384) => &ECDSA_P384_SHA384_ASN1,
        () if is(oid::SHA256_WITH_RSA) => &RSA_PKCS1_2048_8192_SHA256,
        () if is(oid::SHA384_WITH_RSA) => &RSA_PKCS1_2048_8192_SHA384,
        () if is(oid::SHA512_WITH_RSA) => &RSA_PKCS1_2048_8192_SHA512,
        () if is(oid::ED25519) => &ED25519,
        () => return Err(Error::Unsupported("signature algorithm")),
    };
    let raw = key.subject_public_key.data.as_ref();
    UnparsedPublicKey::new(verifier, raw)
        .verify(message, signature)
        .map_err(|_| Error::Signature)
}
