//! Authentication and authorization that the API server decides, for the servers of other daemons.
//!
//! The kubelet, the controller-manager and the scheduler serve metrics, logs and more, but know no users. They
//! trust client certificates of the cluster's authority, and ask the API server about the rest: whose token this is
//! (TokenReview) and whether that user may (SubjectAccessReview). Answers are kept for a while in [`cache`].
//! [`Guard`] puts both before a handler whose paths are all that is asked for.
//! [`secure_serving`] is the whole secure port of such a daemon.
//!
//! Upstream: `k8s.io/apiserver/pkg/{authentication/authenticatorfactory,authorization/authorizerfactory}`.

pub mod cache;
pub mod delegate;
mod guard;
mod review;
pub mod secure_serving;

pub use delegate::{Delegate, Options};
pub use guard::Guard;
