//! The node as the API shows it.
//!
//! - [`machine`]: what the machine has: processors, memory, disks, names.
//! - [`capacity`]: what of it pods can use. Pure.
//! - [`conditions`]: the node's conditions. Pure.
//! - [`status`]: the whole status.
//! - [`registration`]: makes the node object and keeps its status up to date.
//! - [`lease`]: says every few seconds that the node is alive.
//! - [`runtime_health`]: whether the runtime and its network work.
//!
//! Upstream: `pkg/kubelet/nodestatus`, `kubelet_node_status.go`.

//TMP pub mod capacity;
//TMP pub mod conditions;
//TMP pub mod lease;
//TMP pub mod machine;
//TMP pub mod registration;
pub mod runtime_health;
//TMP pub mod status;
