//! Where pods come from.
//!
//! - [`file`]: manifests in a folder, followed by inotify.
//! - [`defaults`]: what the API server would fill in, for manifests that never see one.
//! - The API server's pods come from an informer; the agent takes its events as they are.
//!
//! Upstream: `pkg/kubelet/config`.

pub mod defaults;
pub mod file;

use api::core::v1::Pod;
use std::sync::Arc;

/// A source's pods changed.
#[derive(Debug, Clone)]
pub enum Change {
    Set(Arc<Pod>),
    /// By uid.
    Removed(String),
    /// Everything that the source has was told of at least once.
    Synced,
}
