//! Admission policies: rules for requests, as expressions in the API.
//!
//! Of two sorts: [`validating`] ones refuse, [`mutating`] ones change. What both have is shared: [`definition`] (compiled
//! once when they change), [`index`] (the policies and their bindings that are there), [`params`] (the objects that a
//! binding gives to its policy), [`finder`] (what of it is about a request, and the request's documents).
//!
//! Upstream: `k8s.io/apiserver/pkg/admission/plugin/policy`.

mod definition;
mod finder;
mod index;
mod mutating;
mod params;
#[cfg(test)]
mod testing;
mod validating;

pub use mutating::MutatingAdmissionPolicy;
pub use validating::ValidatingAdmissionPolicy;

use crate::{Attributes, matching};

/// Requests that no policy is about.
fn is_excluded(attributes: &Attributes<'_>) -> bool {
    matching::is_exempt(&attributes.kind) || is_review(attributes)
}

/// Reviews of tokens and rights answer questions: refusing them would break clients, not protect objects.
fn is_review(attributes: &Attributes<'_>) -> bool {
    match attributes.resource.group.as_str() {
        "authentication.k8s.io" => matches!(
            attributes.resource.resource.as_str(),
            "tokenreviews" | "selfsubjectreviews"
        ),
        "authorization.k8s.io" => true,
        _ => false,
    }
}

/// How metrics label what an expression ended with, by the words for it.
fn error_type(message: &str) -> &'static str {
    if message.is_empty() {
        "no_error"
    } else if message.starts_with("compilation") {
        "compile_error"
    } else if message.starts_with("validation failed due to running out of cost budget") {
        "out_of_budget"
    } else {
        "invalid_error"
    }
}
