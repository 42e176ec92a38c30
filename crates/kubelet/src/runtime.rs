//! What the container runtime says about pods, in the kubelet's terms.
//!
//! - [`state`]: the sandboxes and containers of one pod, newest first.
//! - [`labels`]: the labels and annotations that tie runtime objects to pods; they outlive the kubelet and are the
//!   ones that upstream writes, so that either kubelet adopts what the other started.
//! - [`inspect`]: reads a pod's state from a runtime.
//! - `fake`: a runtime in memory, for tests.

#[cfg(test)]
pub mod fake;
pub mod inspect;
pub mod labels;
pub mod state;

pub use state::{ContainerState, PodState};
