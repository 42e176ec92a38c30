//! OpenID Connect documents, by which others can verify service-account tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::key::Components;
use crate::{Error, PublicKey};

pub const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";
pub const KEYS_PATH: &str = "/openid/v1/jwks";
pub const KEYS_CONTENT_TYPE: &str = "application/jwk-set+json";

/// The document at [`CONFIGURATION_PATH`].
pub fn configuration(issuer: &str, keys_uri: &str, keys: &[PublicKey]) -> Value {
    let mut algorithms: Vec<_> = keys.iter().map(|key| key.algorithm().jws_name()).collect();
    algorithms.sort();
    algorithms.dedup();
    json!({
        "issuer": issuer,
        "jwks_uri": keys_uri,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    })
}

/// The document at [`KEYS_PATH`].
pub fn keys(keys: &[PublicKey]) -> Result<Value, Error> {
    let keys: Vec<_> = keys.iter().map(key).collect::<Result<_, _>>()?;
    Ok(json!({ "keys": keys }))
}

fn key(key: &PublicKey) -> Result<Value, Error> {
    let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let (id, algorithm) = (key.key_id(), key.algorithm().jws_name());
    Ok(match key.components()? {
        Components::Rsa { modulus, exponent } => json!({
            "use": "sig", "kty": "RSA", "kid": id, "alg": algorithm, "n": encode(modulus), "e": encode(exponent),
        }),
        Components::Ec { curve, x, y } => json!({
            "use": "sig", "kty": "EC", "kid": id, "crv": curve, "alg": algorithm, "x": encode(x), "y": encode(y),
        }),
    })
}
