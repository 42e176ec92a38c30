//! Finding out who has made a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::PublicKey;

/// A token is a header of a request: what is longer was not made here.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// Why a token of one of our issuers is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("malformed token")]
    Malformed,
    #[error("no key verifies the signature of the token")]
    Signature,
}

/// A token whose signature holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    pub issuer: String,
    pub claims: Map<String, Value>,
}

/// Keys and the issuers whose tokens they may verify.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    keys: Vec<(String, PublicKey)>,
    issuers: Vec<String>,
}

impl Verifier {
    pub fn new(keys: Vec<PublicKey>, issuers: Vec<String>) -> Self {
        let keys = keys.into_iter().map(|key| (key.key_id(), key)).collect();
        Self { keys, issuers }
    }

    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(|(_, key)| key)
    }

    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Verifies a token. `Ok(None)`: it is no token of these issuers, another authenticator may know it.
    pub fn verify(&self, token: &str) -> Result<Option<Verified>, Refusal> {
        let Some((message, claims)) = self.ours(token) else {
            return Ok(None);
        };
        let header = decode(token.split('.').next().unwrap_or_default()).ok_or(Refusal::Malformed)?;
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .ok_or(Refusal::Malformed)?;
        // RFC 7515: extensions that must be understood; there are none that we do.
        if header.contains_key("crit") {
            return Err(Refusal::Malformed);
        }
        let signature = URL_SAFE_NO_PAD
            .decode(&token[message.len() + 1..])
            .map_err(|_| Refusal::Malformed)?;
        let key_id = header.get("kid").and_then(Value::as_str);
        let holds = |key: &PublicKey| key.verify_jws(algorithm, message.as_bytes(), &signature).is_ok();
        // A known key id names the one key to try; an unknown one or none leaves all of them.
        let named = self.keys.iter().find(|(id, _)| Some(id.as_str()) == key_id);
        let verified = match named {
            Some((_, key)) => holds(key),
            None => self.keys.iter().any(|(_, key)| holds(key)),
        };
        let issuer = claims
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if verified {
            Ok(Some(Verified { issuer, claims }))
        } else {
            Err(Refusal::Signature)
        }
    }

    /// The signed part and the claims of a token that says it comes from one of the issuers.
    fn ours<'a>(&self, token: &'a str) -> Option<(&'a str, Map<String, Value>)> {
        if token.len() > MAX_TOKEN_BYTES || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return None;
        }
        let (message, _) = token.rsplit_once('.')?;
        let (_, payload) = message.split_once('.')?;
        let claims = decode(payload)?;
        let issuer = claims.get("iss").and_then(Value::as_str)?;
        self.issuers
            .iter()
            .any(|known| known == issuer)
            .then_some((message, claims))
    }
}

fn decode(part: &str) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}
