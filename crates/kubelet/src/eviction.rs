//! Ends pods before the node runs out of what they share, and pods that use more of its disk than they may.
//!
//! - [`signal`]: what is watched; [`threshold`]: what the configuration says of it.
//! - [`machine`]: which thresholds are crossed for how long, and what the node is told to be short of. Pure.
//! - [`load`]: what a pod uses; [`rank`]: who goes first; [`limits`]: who has broken a limit of its own; [`message`]: what
//!   its owner is told. Pure.
//! - [`pressure`]: what the rest of the kubelet sees of it.
//! - [`disk_use`] measures pods' files, [`manager`] ties everything together and is the only one to act.
//!
//! Upstream: `pkg/kubelet/eviction`.

pub mod disk_use;
pub mod limits;
pub mod load;
pub mod machine;
pub mod manager;
pub mod message;
pub mod pressure;
pub mod rank;
pub mod signal;
pub mod threshold;

/// The reason of an evicted pod's status and event.
pub const REASON: &str = "Evicted";
