//! Private keys (ECDSA P-256 and P-384, RSA) and public keys.

mod public;

use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};

use crate::{Error, der, pem};

pub(crate) use public::verify_x509;
pub use public::{Components, PublicKey};

pub(crate) mod oid {
    pub const RSA_ENCRYPTION: &[u64] = &[1, 2, 840, 113549, 1, 1, 1];
    pub const SHA256_WITH_RSA: &[u64] = &[1, 2, 840, 113549, 1, 1, 11];
    pub const SHA384_WITH_RSA: &[u64] = &[1, 2, 840, 113549, 1, 1, 12];
    pub const SHA512_WITH_RSA: &[u64] = &[1, 2, 840, 113549, 1, 1, 13];
    pub const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10045, 2, 1];
    pub const P256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
    pub const P384: &[u64] = &[1, 3, 132, 0, 34];
    pub const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
    pub const ECDSA_WITH_SHA384: &[u64] = &[1, 2, 840, 10045, 4, 3, 3];
    pub const ED25519: &[u64] = &[1, 3, 101, 112];
}

/// The algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    EcdsaP256,
    EcdsaP384,
    Rsa,
}

impl Algorithm {
    /// The name of the JSON Web Signature algorithm that such keys sign with.
    pub fn jws_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ES256",
            Self::EcdsaP384 => "ES384",
            Self::Rsa => "RS256",
        }
    }

    /// The AlgorithmIdentifier of certificates signed with such a key.
    pub(crate) fn signature_identifier(self) -> Vec<u8> {
        match self {
            Self::EcdsaP256 => der::sequence(&[der::oid(oid::ECDSA_WITH_SHA256)]),
            Self::EcdsaP384 => der::sequence(&[der::oid(oid::ECDSA_WITH_SHA384)]),
            Self::Rsa => der::sequence(&[der::oid(oid::SHA256_WITH_RSA), der::null()]),
        }
    }

    /// The AlgorithmIdentifier of the key itself.
    fn key_identifier(self) -> Vec<u8> {
        match self {
            Self::EcdsaP256 => der::sequence(&[der::oid(oid::EC_PUBLIC_KEY), der::oid(oid::P256)]),
            Self::EcdsaP384 => der::sequence(&[der::oid(oid::EC_PUBLIC_KEY), der::oid(oid::P384)]),
            Self::Rsa => der::sequence(&[der::oid(oid::RSA_ENCRYPTION), der::null()]),
        }
    }
}

/// A private key that can sign certificates and tokens.
pub struct PrivateKey {
    signer: Signer,
    public: PublicKey,
    pkcs8: Vec<u8>,
}

/// ECDSA signatures are a DER sequence in certificates and two plain integers in tokens; ring binds the
/// choice to the key.
enum Signer {
    Ecdsa(Box<EcdsaPair>),
    Rsa(Box<RsaKeyPair>),
}

struct EcdsaPair {
    sequence: EcdsaKeyPair,
    fixed: EcdsaKeyPair,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// A new ECDSA P-256 key.
    pub fn generate() -> Result<Self, Error> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| Error::Random)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// The first private key of a PEM text, in PKCS#8, PKCS#1 or SEC1 form.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        for block in pem::parse(text)? {
            match block.label.as_str() {
                pem::PRIVATE_KEY => return Self::from_pkcs8(&block.der),
                pem::RSA_PRIVATE_KEY => return Self::from_pkcs8(&wrap(Algorithm::Rsa, &block.der)),
                pem::EC_PRIVATE_KEY => return Self::from_sec1(&block.der),
                _ => {}
            }
        }
        Err(Error::NoPem("private key"))
    }

    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::from_pem(&read(path)?)
    }

    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Error> {
        let curves = [
            (
                Algorithm::EcdsaP256,
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                &ECDSA_P256_SHA256_FIXED_SIGNING,
            ),
            (
                Algorithm::EcdsaP384,
                &ECDSA_P384_SHA384_ASN1_SIGNING,
                &ECDSA_P384_SHA384_FIXED_SIGNING,
            ),
        ];
        for (algorithm, sequence, fixed) in curves {
            if let Some(key) = Self::ecdsa(algorithm, sequence, fixed, pkcs8) {
                return Ok(key);
            }
        }
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| Error::Unsupported("private key"))?;
        let public = PublicKey::new(Algorithm::Rsa, pair.public_key().as_ref());
        Ok(Self {
            signer: Signer::Rsa(Box::new(pair)),
            public,
            pkcs8: pkcs8.to_vec(),
        })
    }

    fn ecdsa(
        algorithm: Algorithm,
        sequence: &'static EcdsaSigningAlgorithm,
        fixed: &'static EcdsaSigningAlgorithm,
        pkcs8: &[u8],
    ) -> Option<Self> {
        let random = SystemRandom::new();
        let sequence = EcdsaKeyPair::from_pkcs8(sequence, pkcs8, &random).ok()?;
        let fixed = EcdsaKeyPair::from_pkcs8(fixed, pkcs8, &random).ok()?;
        let public = PublicKey::new(algorithm, sequence.public_key().as_ref());
        Some(Self {
            signer: Signer::Ecdsa(Box::new(EcdsaPair { sequence, fixed })),
            public,
            pkcs8: pkcs8.to_vec(),
        })
    }

    /// SEC1 names its curve inside; the wrapping that fits is the one that parses.
    fn from_sec1(sec1: &[u8]) -> Result<Self, Error> {
        let wrapped = [Algorithm::EcdsaP256, Algorithm::EcdsaP384].map(|algorithm| wrap(algorithm, sec1));
        let mut keys = wrapped.iter().filter_map(|pkcs8| Self::from_pkcs8(pkcs8).ok());
        keys.next().ok_or(Error::Unsupported("private key"))
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// PKCS#8 in PEM.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::PRIVATE_KEY, &self.pkcs8)
    }

    /// Signs as certificates and signing requests are signed.
    pub(crate) fn sign_x509(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.signer {
            Signer::Ecdsa(pair) => sign_ecdsa(&pair.sequence, message),
            Signer::Rsa(pair) => sign_rsa(pair, message),
        }
    }

    /// Signs as JSON Web Signatures are signed.
    pub(crate) fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.signer {
            Signer::Ecdsa(pair) => sign_ecdsa(&pair.fixed, message),
            Signer::Rsa(pair) => sign_rsa(pair, message),
        }
    }
}

fn sign_ecdsa(pair: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, Error> {
    let signature = pair
        .sign(&SystemRandom::new(), message)
        .map_err(|_| Error::Random)?;
    Ok(signature.as_ref().to_vec())
}

fn sign_rsa(pair: &RsaKeyPair, message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| Error::Random)?;
    Ok(signature)
}

/// Puts an algorithm's own form of private key into PKCS#8.
fn wrap(algorithm: Algorithm, key: &[u8]) -> Vec<u8> {
    der::sequence(&[
        der::integer(&[0]),
        algorithm.key_identifier(),
        der::octet_string(key),
    ])
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
