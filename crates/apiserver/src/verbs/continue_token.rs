//! Tokens with which a client asks for the next page of a list: upstream's format, so that a client may change
//! servers between pages.

use apimachinery::status::Status;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use serde_json::{Value, json};

const VERSION: &str = "meta.k8s.io/v1";

/// A place in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// The revision of the first page; `None`: whatever is newest.
    pub revision: Option<u64>,
    /// The key after which to go on, below the list's prefix.
    pub after: String,
}

impl ContinueToken {
    /// Prints the token.
    pub fn encode(&self) -> String {
        let revision = self
            .revision
            .and_then(|revision| i64::try_from(revision).ok())
            .unwrap_or(-1);
        // Upstream stores the first key that may come, which is the last one sent and a zero byte.
        let token = json!({ "v": VERSION, "rv": revision, "start": format!("{}\0", self.after) });
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    /// Reads a token that a client sends back.
    pub fn decode(text: &str) -> Result<ContinueToken, Status> {
        let invalid = |why: &str| Status::bad_request(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|error| invalid(&illegal(&error, text)))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
        if token["v"] != VERSION {
            return Err(invalid(&format!(
                "server does not recognize this encoded version {}",
                token["v"].as_str().unwrap_or_default()
            )));
        }
        let revision = token["rv"].as_i64().unwrap_or(0);
        if revision == 0 {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
        let start = token["start"].as_str().unwrap_or_default();
        if start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        if start.split('/').any(|segment| segment == ".." || segment == ".") {
            return Err(invalid(start));
        }
        let after = start
            .strip_suffix('\0')
            .unwrap_or(start)
            .trim_start_matches('/')
            .to_owned();
        Ok(ContinueToken {
            revision: u64::try_from(revision).ok(),
            after,
        })
    }
}

/// The words of Go's decoder: a text that ends in the middle of a group is wrong at its last whole one.
fn illegal(error: &DecodeError, text: &str) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        _ => text.len() / 4 * 4,
    };
    format!("illegal base64 data at input byte {at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_round_trip() {
        for revision in [Some(42), None] {
            let token = ContinueToken {
                revision,
                after: "default/web-0".to_owned(),
            };
            assert_eq!(ContinueToken::decode(&token.encode()), Ok(token));
        }
    }

    #[test]
    fn upstreams_tokens_are_read() {
        let upstream = URL_SAFE_NO_PAD.encode("{\"v\":\"meta.k8s.io/v1\",\"rv\":7,\"start\":\"a/b\\u0000\"}");
        assert_eq!(
            ContinueToken::decode(&upstream),
            Ok(ContinueToken {
                revision: Some(7),
                after: "a/b".to_owned()
            })
        );
    }

    #[test]
    fn garbage_is_refused() {
        let forged = URL_SAFE_NO_PAD.encode("{\"v\":\"meta.k8s.io/v1\",\"rv\":7,\"start\":\"../secrets/\"}");
        for text in ["!!", "e30", &forged] {
            assert_eq!(
                ContinueToken::decode(text).expect_err("refused").code,
                400,
                "{text}"
            );
        }
    }
}
