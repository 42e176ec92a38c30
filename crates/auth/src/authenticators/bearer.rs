//! Finding a bearer token in a request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

use crate::{Authenticator, Credentials, Error, TokenAuthenticator, UserInfo};

/// A WebSocket in a browser cannot send `Authorization`; it hides the token among the protocols it offers.
const PROTOCOL_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

pub struct Bearer {
    tokens: Arc<dyn TokenAuthenticator>,
    /// The API server's own audiences.
    audiences: Vec<String>,
}

impl Bearer {
    pub fn new(tokens: Arc<dyn TokenAuthenticator>, audiences: Vec<String>) -> Self {
        Self { tokens, audiences }
    }

    async fn user(&self, headers: &HeaderMap) -> Result<Option<UserInfo>, Error> {
        let Some(token) = from_authorization(headers).or_else(|| from_protocols(headers)) else {
            return Ok(None);
        };
        match self.tokens.authenticate_token(&token, &self.audiences).await? {
            Some(identity) => Ok(Some(identity.user)),
            // A token that nobody knows is a bad credential, not the lack of one.
            None => Err(Error::Token("unknown token".to_owned())),
        }
    }
}

impl Authenticator for Bearer {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Option<UserInfo>, Error>> {
        Box::pin(self.user(credentials.headers))
    }
}

fn from_authorization(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let mut parts = value.splitn(3, ' ');
    let (scheme, token) = (parts.next()?, parts.next()?);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

fn from_protocols(headers: &HeaderMap) -> Option<String> {
    let says = |name, word: &str| {
        let value = headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or_default();
        value.to_ascii_lowercase().contains(word)
    };
    if !says(CONNECTION, "upgrade") || !says(UPGRADE, "websocket") {
        return None;
    }
    let encoded = protocols(headers).find_map(|protocol| protocol.strip_prefix(PROTOCOL_PREFIX))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?)
        .ok()
        .filter(|token| !token.is_empty())
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Takes the credentials out of a request that has been authenticated, so that they travel no further.
pub fn remove_credentials(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    let kept: Vec<&str> = protocols(headers)
        .filter(|protocol| !protocol.starts_with(PROTOCOL_PREFIX))
        .collect();
    if let Ok(value) = HeaderValue::from_str(&kept.join(", "))
        && headers.contains_key(SEC_WEBSOCKET_PROTOCOL)
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn tokens_come_from_the_authorization_header() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(
                from_authorization(&headers(&[("authorization", value)])).as_deref(),
                expected,
                "{value}"
            );
        };
        check("Bearer abc", Some("abc"));
        check("bearer abc def", Some("abc"));
        check("Bearer", None);
        check("Bearer  abc", None);
        check("Basic abc", None);
    }

    #[test]
    fn tokens_come_from_websocket_protocols_and_leave_with_them() {
        let offered = "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj";
        let mut upgrade = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-protocol", offered),
        ]);
        assert_eq!(from_protocols(&upgrade).as_deref(), Some("abc"));
        remove_credentials(&mut upgrade);
        assert_eq!(upgrade["sec-websocket-protocol"], "v5.channel.k8s.io");
        assert_eq!(
            from_protocols(&headers(&[("sec-websocket-protocol", offered)])),
            None
        );
    }
}
