//! What the API answers when it does not answer with an object: meta/v1 Status, with upstream's reasons and messages.
//!
//! Upstream: `k8s.io/apimachinery/pkg/api/errors`.

use std::fmt;

use crate::field;
use crate::gvk::{GroupKind, GroupResource};
use crate::quote::quote;

mod json;
mod reason;

pub use json::DecodeError;
pub use reason::Reason;

#[cfg(test)]
mod tests;

/// A meta/v1 Status. Codes below 400 are successes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    pub code: u16,
    pub reason: Reason,
    pub message: String,
    pub details: Option<Details>,
    /// Where a paged list may go on in spite of the error, at a newer revision.
    pub continue_token: Option<String>,
}

/// What a Status is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The resource, or the kind in an `Invalid` status.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: i32,
}

/// One reason among several, mostly a wrong field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cause {
    /// Which kind of cause, such as `FieldValueInvalid`.
    pub reason: String,
    pub message: String,
    pub field: String,
}

/// The cause of a 429 that a disruption budget answers an eviction with.
pub const CAUSE_DISRUPTION_BUDGET: &str = "DisruptionBudget";
/// The cause of an apply conflict, one for each field.
pub const CAUSE_FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";
/// The cause of a timeout because the asked resourceVersion is ahead of the server.
pub const CAUSE_RESOURCE_VERSION_TOO_LARGE: &str = "ResourceVersionTooLarge";
/// The cause of a 403 because the namespace is going away.
pub const CAUSE_NAMESPACE_TERMINATING: &str = "NamespaceTerminating";
/// The cause that carries an answer which is not a Status.
pub const CAUSE_UNEXPECTED_SERVER_RESPONSE: &str = "UnexpectedServerResponse";

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

fn about(resource: &GroupResource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: resource.group.clone(),
        kind: resource.resource.clone(),
        ..Details::default()
    }
}

fn after(seconds: i32) -> Option<Details> {
    Some(Details {
        retry_after_seconds: seconds,
        ..Details::default()
    })
}

impl Status {
    fn plain(code: u16, reason: Reason, message: impl Into<String>) -> Status {
        Status {
            code,
            reason,
            message: message.into(),
            details: None,
            continue_token: None,
        }
    }

    fn named(code: u16, reason: Reason, resource: &GroupResource, name: &str, message: String) -> Status {
        Status {
            details: Some(about(resource, name)),
            ..Status::plain(code, reason, message)
        }
    }

    /// What DELETE answers if it does not answer with the object.
    pub fn success(details: Option<Details>) -> Status {
        Status {
            details,
            ..Status::plain(200, Reason::Unknown, "")
        }
    }

    pub fn is_success(&self) -> bool {
        self.code < 400
    }

    pub fn not_found(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} not found", quote(name));
        Status::named(404, Reason::NotFound, resource, name, message)
    }

    /// No such path or resource type on this server.
    pub fn path_not_found() -> Status {
        let message = "the server could not find the requested resource";
        Status {
            details: Some(Details::default()),
            ..Status::plain(404, Reason::NotFound, message)
        }
    }

    pub fn already_exists(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} already exists", quote(name));
        Status::named(409, Reason::AlreadyExists, resource, name, message)
    }

    /// All names tried for `generateName` were taken.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str, retry_after_seconds: i32) -> Status {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            quote(name)
        );
        let details = Details {
            retry_after_seconds,
            ..about(resource, name)
        };
        Status {
            details: Some(details),
            ..Status::plain(409, Reason::AlreadyExists, message)
        }
    }

    pub fn conflict(resource: &GroupResource, name: &str, cause: impl fmt::Display) -> Status {
        let message = format!(
            "Operation cannot be fulfilled on {resource} {}: {cause}",
            quote(name)
        );
        Status::named(409, Reason::Conflict, resource, name, message)
    }

    /// Fields that other managers own.
    pub fn apply_conflict(causes: Vec<Cause>, message: impl Into<String>) -> Status {
        let details = Details {
            causes,
            ..Details::default()
        };
        Status {
            details: Some(details),
            ..Status::plain(409, Reason::Conflict, message)
        }
    }

    pub fn invalid(kind: &GroupKind, name: &str, errors: impl AsRef<[field::Error]>) -> Status {
        let errors = errors.as_ref();
        let cause = |error: &field::Error| Cause {
            reason: error.type_.cause().to_owned(),
            message: error.body(),
            field: error.field.clone(),
        };
        let message = match field::aggregate(errors) {
            None => format!("{kind} {} is invalid", quote(name)),
            Some(errors) => format!("{kind} {} is invalid: {errors}", quote(name)),
        };
        let details = Details {
            name: name.to_owned(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            causes: errors.iter().map(cause).collect(),
            ..Details::default()
        };
        Status {
            details: Some(details),
            ..Status::plain(422, Reason::Invalid, message)
        }
    }

    pub fn forbidden(resource: &GroupResource, name: &str, cause: impl fmt::Display) -> Status {
        let message = if resource.group.is_empty() && resource.resource.is_empty() {
            format!("forbidden: {cause}")
        } else if name.is_empty() {
            format!("{resource} is forbidden: {cause}")
        } else {
            format!("{resource} {} is forbidden: {cause}", quote(name))
        };
        Status::named(403, Reason::Forbidden, resource, name, message)
    }

    pub fn unauthorized() -> Status {
        Status::plain(401, Reason::Unauthorized, "Unauthorized")
    }

    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::plain(400, Reason::BadRequest, message)
    }

    pub fn gone(message: impl Into<String>) -> Status {
        Status::plain(410, Reason::Gone, message)
    }

    /// The asked revision is no longer kept.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::plain(410, Reason::Expired, message)
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: i32) -> Status {
        Status {
            details: after(retry_after_seconds),
            ..Status::plain(429, Reason::TooManyRequests, message)
        }
    }

    pub fn method_not_supported(resource: &GroupResource, action: &str) -> Status {
        let message = format!(
            "{action} is not supported on resources of kind {}",
            quote(&resource.to_string())
        );
        Status::named(405, Reason::MethodNotAllowed, resource, "", message)
    }

    /// A failure that upstream gives no reason for.
    pub fn unknown(message: impl Into<String>) -> Status {
        Status::plain(500, Reason::Unknown, message)
    }

    pub fn internal(cause: impl fmt::Display) -> Status {
        let cause = cause.to_string();
        let message = format!("Internal error occurred: {cause}");
        let causes = vec![Cause {
            message: cause,
            ..Cause::default()
        }];
        let details = Some(Details {
            causes,
            ..Details::default()
        });
        Status {
            details,
            ..Status::plain(500, Reason::InternalError, message)
        }
    }

    /// The request took too long; it may still be carried out.
    pub fn timeout(message: impl fmt::Display, retry_after_seconds: i32) -> Status {
        let message = format!("Timeout: {message}");
        Status {
            details: after(retry_after_seconds),
            ..Status::plain(504, Reason::Timeout, message)
        }
    }

    /// A passing failure: the client tries again.
    pub fn server_timeout(resource: &GroupResource, operation: &str, retry_after_seconds: i32) -> Status {
        let message = format!(
            "The {operation} operation against {resource} could not be completed at this time, please try again."
        );
        let details = Details {
            retry_after_seconds,
            ..about(resource, operation)
        };
        Status {
            details: Some(details),
            ..Status::plain(500, Reason::ServerTimeout, message)
        }
    }

    pub fn request_entity_too_large(message: impl fmt::Display) -> Status {
        let message = format!("Request entity too large: {message}");
        Status::plain(413, Reason::RequestEntityTooLarge, message)
    }

    /// No encoding that the client accepts; `accepted` are those that there are.
    pub fn not_acceptable(accepted: &[&str]) -> Status {
        let accepted = accepted.join(", ");
        let message = format!("only the following media types are accepted: {accepted}");
        Status::plain(406, Reason::NotAcceptable, message)
    }

    /// A body in an encoding that the server does not read.
    pub fn unsupported_media_type(accepted: &[&str]) -> Status {
        let accepted = accepted.join(", ");
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Status::plain(415, Reason::UnsupportedMediaType, message)
    }

    pub fn service_unavailable(message: impl Into<String>) -> Status {
        Status::plain(503, Reason::ServiceUnavailable, message)
    }

    /// An error answer that is not a Status, or one the server makes for a bare code.
    pub fn generic(
        code: u16,
        verb: &str,
        resource: &GroupResource,
        name: &str,
        server_message: &str,
    ) -> Status {
        let (reason, message) = reason::generic(code, verb, server_message);
        let verb = verb.to_lowercase();
        let known = !resource.group.is_empty() || !resource.resource.is_empty();
        let message = match (known, name.is_empty()) {
            (true, false) => format!("{message} ({verb} {resource} {name})"),
            (true, true) => format!("{message} ({verb} {resource})"),
            (false, _) => message,
        };
        Status::named(code, reason, resource, name, message)
    }

    /// Adds a cause that clients look for.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Status {
        let cause = Cause {
            reason: reason.to_owned(),
            message: message.into(),
            field: field.to_owned(),
        };
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    pub fn has_cause(&self, reason: &str) -> bool {
        self.details
            .as_ref()
            .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason))
    }

    pub fn is_not_found(&self) -> bool {
        self.is(Reason::NotFound, 404)
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason == Reason::AlreadyExists
    }

    pub fn is_conflict(&self) -> bool {
        self.is(Reason::Conflict, 409)
    }

    pub fn is_invalid(&self) -> bool {
        self.is(Reason::Invalid, 422)
    }

    pub fn is_forbidden(&self) -> bool {
        self.is(Reason::Forbidden, 403)
    }

    pub fn is_unauthorized(&self) -> bool {
        self.is(Reason::Unauthorized, 401)
    }

    pub fn is_too_many_requests(&self) -> bool {
        self.reason == Reason::TooManyRequests || self.code == 429
    }

    /// Whether the asked revision is too old, which a client answers with a new list.
    pub fn is_expired(&self) -> bool {
        self.reason == Reason::Expired || self.is(Reason::Gone, 410)
    }

    /// How long the server asks to wait.
    pub fn retry_after_seconds(&self) -> Option<i32> {
        self.details
            .as_ref()
            .map(|details| details.retry_after_seconds)
            .filter(|&seconds| seconds > 0)
    }

    /// By reason, or by code where the reason is none that we know.
    fn is(&self, reason: Reason, code: u16) -> bool {
        self.reason == reason || (self.code == code && !self.reason.is_known())
    }

    /// The Status document.
    pub fn to_json(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads a Status document.
    pub fn from_json(bytes: &[u8]) -> Result<Status, DecodeError> {
        json::decode(bytes)
    }
}
