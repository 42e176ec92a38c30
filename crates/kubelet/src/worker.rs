//! One worker a pod, which is the only one to act on that pod.
//!
//! - [`machine`] is the pod's way from sync over termination to clean-up, purely.
//! - [`inbox`] is how the rest of the kubelet talks to a worker: the latest word wins, nothing queues up.
//! - [`pass`] is what a worker does: sync, terminate, clean up.
//! - [`task`] drives a machine with its inbox and passes.
//! - [`pool`] starts workers, keeps edited static pods in order, and knows which pods may still run something.
//!
//! Upstream: `pkg/kubelet/pod_workers.go`.

pub mod inbox;
pub mod machine;
pub mod pass;
pub mod pool;
mod task;

pub use pool::Pool;

#[cfg(test)]
mod tests;
