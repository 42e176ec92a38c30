//! The machine-readable reasons of a Status.

use std::fmt;

use crate::quote::quote;

macro_rules! reasons {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// Why a request failed. Each reason has one code, except that clients must expect unknown ones.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        pub enum Reason {
            /// None given.
            #[default]
            Unknown,
            $($variant,)*
            /// A reason that upstream does not define.
            Other(String),
        }

        impl Reason {
            pub fn as_str(&self) -> &str {
                match self {
                    Reason::Unknown => "",
                    $(Reason::$variant => $text,)*
                    Reason::Other(text) => text,
                }
            }
        }

        impl From<&str> for Reason {
            fn from(text: &str) -> Reason {
                match text {
                    "" => Reason::Unknown,
                    $($text => Reason::$variant,)*
                    other => Reason::Other(other.to_owned()),
                }
            }
        }
    };
}

reasons! {
    Unauthorized = "Unauthorized",
    Forbidden = "Forbidden",
    NotFound = "NotFound",
    AlreadyExists = "AlreadyExists",
    Conflict = "Conflict",
    Gone = "Gone",
    Invalid = "Invalid",
    ServerTimeout = "ServerTimeout",
    StorageReadError = "StorageReadError",
    Timeout = "Timeout",
    TooManyRequests = "TooManyRequests",
    BadRequest = "BadRequest",
    MethodNotAllowed = "MethodNotAllowed",
    NotAcceptable = "NotAcceptable",
    RequestEntityTooLarge = "RequestEntityTooLarge",
    UnsupportedMediaType = "UnsupportedMediaType",
    InternalError = "InternalError",
    Expired = "Expired",
    ServiceUnavailable = "ServiceUnavailable",
}

impl Reason {
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Reason::Unknown | Reason::Other(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reason and message for a bare code.
pub(super) fn generic(code: u16, verb: &str, server_message: &str) -> (Reason, String) {
    let (reason, message) = match code {
        409 if verb == "POST" => (Reason::AlreadyExists, "the server reported a conflict"),
        409 => (Reason::Conflict, "the server reported a conflict"),
        404 => (
            Reason::NotFound,
            "the server could not find the requested resource",
        ),
        400 => (
            Reason::BadRequest,
            "the server rejected our request for an unknown reason",
        ),
        401 => (
            Reason::Unauthorized,
            "the server has asked for the client to provide credentials",
        ),
        403 => (Reason::Forbidden, server_message),
        406 if server_message.is_empty() || server_message == "unknown" => (
            Reason::NotAcceptable,
            "the server was unable to respond with a content type that the client supports",
        ),
        406 => (Reason::NotAcceptable, server_message),
        415 => (Reason::UnsupportedMediaType, server_message),
        405 => (
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        ),
        422 => (
            Reason::Invalid,
            "the server rejected our request due to an error in our request",
        ),
        503 => (
            Reason::ServiceUnavailable,
            "the server is currently unable to handle the request",
        ),
        504 => (
            Reason::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        429 => (
            Reason::TooManyRequests,
            "the server has received too many requests and has asked us to try again later",
        ),
        500.. => {
            let message = format!(
                "an error on the server ({}) has prevented the request from succeeding",
                quote(server_message)
            );
            return (Reason::InternalError, message);
        }
        _ => {
            let message = format!(
                "the server responded with the status code {code} but did not return more information"
            );
            return (Reason::Unknown, message);
        }
    };
    (reason, message.to_owned())
}
