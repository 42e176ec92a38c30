//! The node agent: brings pods from their sources to containers, and the node to the API.
//!
//! Reading order:
//! - [`source`]: where pods come from: the API server, and manifests in a folder ([`mirror`] shows those in the API).
//! - [`admission`], [`sysctl`]: whether the node takes a pod. Pure.
//! - [`worker`]: one worker a pod, a state machine from sync over termination to clean-up.
//! - [`sync`]: one pass over a pod: plan (pure) and execute; [`runtime`] observes.
//! - [`resize`]: what running pods were given, and how it changes.
//! - [`pleg`]: notices changes in the runtime and wakes workers.
//! - What containers are given: [`env`], [`volume`] from [`objects`], [`dns`], [`hosts`], [`security`], [`cgroup`];
//!   put together in [`sandbox_config`] and [`container_config`]. [`image`] gets their images.
//! - What happens to them: [`probe`], [`hooks`], [`logs`].
//! - [`status`]: what the API is told of pods; [`events`]: what users are told.
//! - [`node`]: the node's own object, lease and conditions.
//! - [`gc`]: what is no longer needed; [`eviction`]: which pods have to go when the node runs short.
//! - [`server`]: logs, exec and metrics for others; [`stats`] measures; [`duration`] prints.
//! - [`config`], [`options`]: what the kubelet is told; [`bootstrap`]: how it gets its identity; [`settings`]: what follows from it; [`agent`] ties everything
//!   together.
//!
//! The kubelet knows the cluster only through the API, and containers only through the runtime interface. It starts no
//! thread a pod, and it leaves containers alone when it stops: the next kubelet adopts them.
//!
//! Upstream: `pkg/kubelet`.

pub mod admission;
pub mod agent;
pub mod bootstrap;
pub mod cgroup;
pub mod config;
pub mod container_config;
pub mod container_hash;
pub mod dns;
pub mod duration;
pub mod env;
pub mod events;
pub mod eviction;
pub mod gc;
pub mod hooks;
pub mod hosts;
pub mod image;
pub mod logs;
pub mod metrics;
pub mod mirror;
pub mod node;
pub mod objects;
pub mod options;
pub mod pleg;
pub mod pod;
pub mod pod_table;
pub mod probe;
pub mod resize;
pub mod runtime;
pub mod sandbox_config;
pub mod security;
pub mod server;
pub mod settings;
pub mod source;
pub mod stats;
pub mod status;
pub mod sync;
pub mod sysctl;
pub mod volume;
pub mod worker;

#[cfg(test)]
mod test_node;
