//! The node as the API shows it.
//!
//! - [`machine`]: what the machine has: processors, memory, disks, names.
//! - [`addresses`]: which address is the node's.
//! - [`capacity`]: what of it pods can use. Pure.
//! - [`conditions`]: the node's conditions. Pure.
//! - [`status`]: the whole status.
//! - [`registration`]: makes the node object and keeps its status up to date.
//! - [`lease`]: says every few seconds that the node is alive.
//! - [`runtime_health`]: whether the runtime and its network work.
//!
//! Upstream: `pkg/kubelet/nodestatus`, `kubelet_node_status.go`.

pub mod addresses;
pub mod capacity;
pub mod conditions;
pub mod lease;
pub mod machine;
pub mod registration;
pub mod runtime_health;
pub mod status;
