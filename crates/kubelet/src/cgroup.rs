//! Control groups: what resources mean to the kernel, and the hierarchy that holds pods.
//!
//! - [`resources`]: requests and limits as shares, quotas, limits and OOM scores. Pure.
//! - [`layout`]: where a pod's group stands. Pure.
//! - [`pods`]: the groups of pods and their classes, over the former.
//! - [`hierarchy`]: makes, sets, measures and removes groups, on version 1 and 2, with the cgroupfs driver's names.
//!
//! Upstream: `pkg/kubelet/cm`, `pkg/kubelet/qos`.

pub mod hierarchy;
pub mod layout;
pub mod pods;
pub mod resources;
