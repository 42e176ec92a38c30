//! The kube-apiserver, put together from its parts.
//!
//! Reading order: [`options`] (flags), [`store`] (which store; `encryption`: what of it at rest), [`security`] (who may do what), `tls` (the port's certificate),
//! [`server`] (build and run), `aggregation` (extension servers looked after), `ending` (the stages of its end), [`bootstrap`] (the objects that a cluster starts with, and those that the server keeps up).
//!
//! It composes: rules of kinds live in `registry`, of requests in `apiserver`, of access in `auth` and `admission`.
//!
//! Upstream: `cmd/kube-apiserver/app`, `pkg/controlplane`.

mod aggregation;
pub mod bootstrap;
mod encryption;
mod ending;
mod error;
mod flow_control;
pub mod options;
pub mod security;
pub mod server;
pub mod store;
mod tls;

pub use error::Error;
pub use options::Options;
pub use server::ControlPlane;
