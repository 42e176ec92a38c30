//! The kernel's routes, links, neighbours and tracked connections over netlink sockets.
//!
//! Only the few messages that the node daemons need, each built and read field by field: the general crates for
//! this bring a typed tree of the whole protocol. Modules in reading order: `message` (framing and attributes),
//! `socket` (one request and its answers), `route`, `link`, `neighbour`, `conntrack`.
//!
//! Calls block for as long as the kernel takes to answer, which is short but not bounded by us: async callers use a
//! blocking task. It must not know of the Kubernetes API.
//!
//! Upstream: vendor/github.com/vishvananda/netlink, as far as kube-proxy and pod networks use it.

pub mod conntrack;
pub mod link;
pub mod message;
pub mod neighbour;
pub mod route;
pub mod socket;

pub use socket::{Error, Socket};
