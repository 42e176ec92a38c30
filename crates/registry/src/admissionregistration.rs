//! Webhooks and policies of admission. Expressions are taken as they are: nothing here compiles CEL.

pub mod matching;
pub mod policies;
pub mod webhooks;

pub use policies::{MutatingPolicies, MutatingPolicyBindings, ValidatingPolicies, ValidatingPolicyBindings};
pub use webhooks::{MutatingWebhooks, ValidatingWebhooks};
