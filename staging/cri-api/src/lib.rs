//! The container runtime interface v1: its messages, and a client over a unix socket.
//!
//! - [`v1`] holds the messages, generated from `proto/runtime/v1`.
//! - [`runtime`] is the interface as one object-safe trait: what a kubelet needs from a runtime, and what a fake
//!   implements in tests.
//! - [`client`] speaks it to a real runtime, with a deadline on each call.
//! - [`error`] is what a call can fail with.
//!
//! It knows nothing about pods as the API has them. Upstream: `staging/src/k8s.io/cri-api`, `cri-client`.

pub mod client;
pub mod error;
pub mod runtime;

/// The messages of the interface.
pub mod v1 {
    #![allow(clippy::all, clippy::pedantic, missing_docs)]
    tonic::include_proto!("runtime.v1");
}

pub use client::{Client, Observer};
pub use error::Error;
pub use runtime::{EventStream, Runtime};
