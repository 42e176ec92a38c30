//! What can go wrong between a caller and the API server.

use apimachinery::status::{CAUSE_NAMESPACE_TERMINATING, Reason, Status};

use crate::transport;

/// An error of a request. `Api` is an answer of the server; the others mean that there was no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with a failure.
    #[error("{0}")]
    Api(#[source] Status),
    /// The request didn't reach the server or its answer broke off.
    #[error("request to the API server failed")]
    Transport(#[source] transport::Error),
    /// No answer within the time the caller or the configuration gave.
    #[error("request to the API server timed out")]
    Timeout,
    /// The answer isn't what its content type says.
    #[error("undecodable answer: {0}")]
    Decode(String),
    /// The request can't be built: bad path, header or body.
    #[error("invalid request: {0}")]
    Request(String),
    /// Credentials can't be read.
    #[error("cannot load credentials")]
    Credentials(#[source] std::io::Error),
}

impl Error {
    /// The server's status, where it gave one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Error::Api(status) => Some(status),
            _ => None,
        }
    }

    fn has_reason(&self, reason: Reason) -> bool {
        self.status().is_some_and(|status| status.reason == reason)
    }

    pub fn is_not_found(&self) -> bool {
        self.has_reason(Reason::NotFound)
    }

    pub fn is_already_exists(&self) -> bool {
        self.has_reason(Reason::AlreadyExists)
    }

    pub fn is_conflict(&self) -> bool {
        self.has_reason(Reason::Conflict)
    }

    pub fn is_invalid(&self) -> bool {
        self.has_reason(Reason::Invalid)
    }

    pub fn is_forbidden(&self) -> bool {
        self.has_reason(Reason::Forbidden)
    }

    pub fn is_too_many_requests(&self) -> bool {
        self.has_reason(Reason::TooManyRequests) || self.status().is_some_and(|status| status.code == 429)
    }

    pub fn is_method_not_supported(&self) -> bool {
        self.has_reason(Reason::MethodNotAllowed)
    }

    /// The resource version asked for is no longer (or not yet) served: list again.
    pub fn is_expired(&self) -> bool {
        self.has_reason(Reason::Expired) || self.has_reason(Reason::Gone)
    }

    /// A cause of a `Forbidden` answer: the namespace is being deleted, so the create can't ever succeed.
    pub fn is_namespace_terminating(&self) -> bool {
        self.status()
            .and_then(|status| status.details.as_ref())
            .is_some_and(|details| {
                details
                    .causes
                    .iter()
                    .any(|cause| cause.reason == CAUSE_NAMESPACE_TERMINATING)
            })
    }

    /// No answer came: the server is away or the connection broke.
    pub fn is_connection(&self) -> bool {
        matches!(self, Error::Transport(_) | Error::Timeout)
    }
}
