//! Pod networking on a node: CNI configuration, routes to the other nodes' pods, masquerading.
//!
//! Each node has a range of pod addresses (`spec.podCIDRs`). On every node this daemon writes the configuration by
//! which the container runtime gives pods addresses of that range, keeps a route to every other node's range
//! (through that node's address, or through a VXLAN tunnel where nodes don't share a link), and hides pod addresses
//! from everything outside the cluster. It works level by level: any change of a node, and a timer, lead to the same
//! comparison of what should be with what is, so a restart repairs what went missing.
//!
//! Reading order: [`node`] (a Node reduced to its addresses), [`plan`] (what should be, pure), [`cni`],
//! [`masquerade`], [`kernel`] (what is, and how it is changed), [`reconciler`], [`options`], [`daemon`].
//!
//! It must not know of services or pods: those are kube-proxy's and the runtime's.
//!
//! Upstream: none; the part that flannel or kindnet play in a Go cluster.

pub mod cni;
pub mod daemon;
pub mod kernel;
pub mod masquerade;
pub mod metrics;
pub mod node;
pub mod options;
pub mod plan;
pub mod reconciler;
