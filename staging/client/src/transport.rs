//! What carries a request to the server and its answer back.

pub mod fake;
pub mod http;
pub mod tls;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

/// The cause that a connection or body failed with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failure below HTTP.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection couldn't be made; the request was certainly not handled.
    #[error("cannot connect")]
    Connect(#[source] BoxError),
    /// The connection broke; the request may have been handled.
    #[error("connection broke")]
    Broken(#[source] BoxError),
}

/// A body that arrives in pieces.
pub type Body = UnsyncBoxBody<Bytes, Error>;

/// Sends one request. Implementations must be cheap to share; a call must not block.
pub trait Transport: Send + Sync + 'static {
    fn send(
        &self,
        request: ::http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<::http::Response<Body>, Error>>;
}

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
