//! Which node a pod runs on.
//!
//! Reading order:
//! - [`resources`], [`pod_info`], [`node_info`], [`owners`]: what the scheduler keeps of pods and nodes, compiled for matching;
//! - [`cache`]: those of the whole cluster, with the pods assumed bound; a cycle borrows the [`cache::Cluster`];
//! - [`framework`]: the extension points; [`plugins`]: what stands at them; [`profile`]: which of them, how weighted;
//! - [`cycle`]: one pod against the cluster, pure; [`diagnosis`]: why it fits nowhere, in upstream's words;
//! - [`preemption`]: who would have to go so that it fits, pure;
//! - [`queue`]: which pod is next and who waits for what, a state machine that is given the time;
//! - [`machine`]: the above put together without IO: watches and results go in, binds and reports come out;
//! - [`task`]: feeds the watches in and carries out the steps; [`config`], [`options`], [`metrics`]: the rim.
//!
//! The scheduler knows the API server only through watches, bindings, pod status patches and events.
//!
//! Upstream: `pkg/scheduler`, `cmd/kube-scheduler`.

pub mod cache;
pub mod config;
pub mod cycle;
pub mod diagnosis;
#[cfg(test)]
mod fixture;
pub mod framework;
pub mod machine;
pub mod metrics;
pub mod node_info;
pub mod options;
pub mod owners;
pub mod plugins;
pub mod pod_info;
pub mod preemption;
pub mod profile;
pub mod queue;
pub mod resources;
pub mod task;
