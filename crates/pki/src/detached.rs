//! Signatures by a shared secret without what they sign: how a bootstrap token vouches for a cluster's public
//! configuration to whoever knows the token (RFC 7515, appendix F).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::json;

/// `header..signature` over `content`, by HMAC with SHA-256; the header names the key.
pub fn sign(content: &str, key_id: &str, secret: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": key_id}).to_string());
    let payload = URL_SAFE_NO_PAD.encode(content);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, format!("{header}.{payload}").as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_other_implementations() {
        let check = |content: &str, expected: &str| {
            let header = "eyJhbGciOiJIUzI1NiIsImtpZCI6InRva2VuIn0";
            assert_eq!(sign(content, "token", "secret"), format!("{header}..{expected}"));
        };
        check("content", "hvCAFE1WDXgbfRBH2CIFfSxVCOkRXs0iy-sH0cp-aEU");
    }
}
