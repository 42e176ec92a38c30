//! Service-account tokens: JSON Web Tokens (RFC 7519) signed as compact JSON Web Signatures.
//!
//! [`claims`] says what a token states, [`Signer`] makes tokens, [`Verifier`] finds out whether one of the
//! configured keys has made a token and gives its claims. Whether the objects that a token is bound to
//! still exist is for an authenticator to say. [`discovery`] makes the OIDC documents for outside verifiers.

pub mod claims;
pub mod discovery;
mod verifier;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::{Error, PrivateKey};

pub use claims::{Claims, LegacyClaims, Reference};
pub use verifier::{Refusal, Verified, Verifier};

/// Makes tokens.
#[derive(Debug)]
pub struct Signer {
    key: PrivateKey,
    key_id: String,
    issuer: String,
}

impl Signer {
    pub fn new(key: PrivateKey, issuer: &str) -> Self {
        let key_id = key.public().key_id();
        Self {
            key,
            key_id,
            issuer: issuer.to_owned(),
        }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// A token with these claims, of this signer's issuer.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        self.sign_json(&claims.to_json(&self.issuer))
    }

    /// A token for a secret of type `kubernetes.io/service-account-token`: bound to it, without an end.
    pub fn sign_legacy(&self, claims: &LegacyClaims) -> Result<String, Error> {
        self.sign_json(&claims.to_json())
    }

    fn sign_json(&self, claims: &serde_json::Value) -> Result<String, Error> {
        let header = json!({ "alg": self.key.algorithm().jws_name(), "kid": self.key_id });
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self.key.sign_jws(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}
