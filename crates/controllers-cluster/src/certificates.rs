//! Certificate signing requests: approved where nobody needs to be asked, signed, and cleaned up.
//!
//! [`rules`] says what each signer accepts; [`approving`], [`signing`] and [`cleaning`] are the three controllers.
//!
//! Upstream: pkg/controller/certificates

pub mod approving;
pub mod cleaning;
pub mod rules;
pub mod signing;

use api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use apimachinery::time::Time;

/// Whether a request has a condition of a type. Approval and denial count whatever their status says, as upstream.
fn has(request: &CertificateSigningRequest, type_: &str) -> bool {
    request
        .status
        .conditions
        .iter()
        .any(|condition| condition.type_ == type_)
}

/// Approved and not denied.
fn is_approved(request: &CertificateSigningRequest) -> bool {
    has(request, "Approved") && !has(request, "Denied")
}

fn new_condition(type_: &str, reason: &str, message: &str, now: Time) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: type_.into(),
        status: "True".into(),
        reason: reason.into(),
        message: message.into(),
        last_update_time: Some(now.truncated()),
        last_transition_time: Some(now.truncated()),
    }
}
