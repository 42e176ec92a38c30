//! What is no longer needed.
//!
//! - [`plan`]: which dead containers and unused images go. Pure.
//! - [`containers`]: removes dead containers, sandboxes and logs.
//! - [`images`]: frees disk space from images.
//! - [`reclaim`]: does both, now and then or when the node runs short.
//! - [`orphans`]: ends, unmounts and removes what belongs to pods that nobody knows.
//!
//! Upstream: `kuberuntime_gc.go`, `images/image_gc_manager.go`, `kubelet_volumes.go`.

pub mod containers;
pub mod images;
pub mod orphans;
pub mod plan;
pub mod reclaim;
