//! What a request presents, and who turns that into an identity.

use futures_util::future::BoxFuture;
use http::HeaderMap;
use rustls_pki_types::CertificateDer;

use crate::UserInfo;

/// Why valid-looking credentials are refused. The words go to the log, never to the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid bearer token: {0}")]
    Token(String),
    #[error("the client certificate is refused: {0}")]
    Certificate(String),
    #[error("the front proxy's certificate is refused: {0}")]
    FrontProxy(String),
    #[error("{0}")]
    Several(String),
}

/// The parts of a request that can prove an identity.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    pub headers: &'a HeaderMap,
    /// The chain from the handshake, leaf first, not verified against any authority.
    pub certificates: &'a [CertificateDer<'static>],
    /// The URL's path: anonymous requests may be limited to some.
    pub path: &'a str,
}

/// Finds out who sends a request. `Ok(None)`: these credentials are not of my kind.
pub trait Authenticator: Send + Sync {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Option<UserInfo>, Error>>;
}

/// An identity with the audiences that its token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIdentity {
    pub user: UserInfo,
    /// Those of the audiences asked for that the token holds; empty if the token has none.
    pub audiences: Vec<String>,
}

/// Finds out whose a bearer token is. `audiences` are those the token may be meant for; empty: the API
/// server's own.
pub trait TokenAuthenticator: Send + Sync {
    fn authenticate_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<TokenIdentity>, Error>>;
}
