//! Container logs, in the runtime interface's format: time, stream, tag, text.
//!
//! - [`line`]: one line of it. Pure.
//! - [`read`]: the end of a log, and everything from some point on, following it if asked.
//! - [`rotate`]: keeps logs within their size.
//!
//! Upstream: `kuberuntime/logs`, `kubelet/logs`.

pub mod line;
pub mod read;
pub mod rotate;

/// Where pods' log folders stand unless configured otherwise.
pub const DEFAULT_FOLDER: &str = "/var/log/pods";
/// Where log collectors look for links to logs.
pub const LINKS_FOLDER: &str = "/var/log/containers";
