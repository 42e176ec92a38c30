//! A pod's status as the API shows it, and its way there.
//!
//! - [`containers`]: the runtime's view of containers as the API's container statuses.
//! - [`phase`]: the phase, from the container statuses.
//! - [`conditions`]: the conditions that a kubelet owns.
//! - [`generate`]: all of it together, merged with what the API already knows. Pure, as the three before.
//! - [`patch`]: the smallest patch from one status to another.
//! - [`manager`]: holds the latest status of each pod and brings it to the API server.
//!
//! Upstream: `pkg/kubelet/status`, `kubelet_pods.go`.

pub mod conditions;
pub mod containers;
pub mod generate;
pub mod manager;
pub mod patch;
pub mod phase;
