//! Services as packet rules: on every node, traffic to a Service's addresses is sent to one of its endpoints.
//!
//! The rules are a value, compiled from what the API says without looking at a clock or the kernel; a sync applies
//! the difference between what was applied last and what is wanted now.
//!
//! Reading order: [`model`] (services and endpoints reduced to what packets notice), [`services`] and [`slices`]
//! (how they come from API objects), [`tracker`] (their current state, one family at a time), [`topology`] (which
//! endpoints a node uses), [`rules`] (what happens to traffic), [`local_detector`]; then the backends [`iptables`]
//! and [`nftables`] with [`command`], behind [`dataplane`]; [`conntrack`], [`service_health`], [`health`],
//! [`metrics`], [`sysctl`]; and the daemon: [`config`], [`options`], [`node`], [`settings`], [`state`], [`pacer`],
//! [`proxier`], [`daemon`].
//!
//! It must not know how endpoints come about or how pods are wired: it sees EndpointSlices and addresses.
//!
//! Upstream: pkg/proxy, cmd/kube-proxy

mod base32;
pub mod command;
pub mod config;
pub mod conntrack;
pub mod daemon;
pub mod dataplane;
#[cfg(test)]
mod fake_tool;
pub mod health;
pub mod iptables;
pub mod local_detector;
pub mod metrics;
pub mod model;
pub mod nftables;
pub mod node;
pub mod options;
pub mod pacer;
pub mod proxier;
pub mod rules;
#[cfg(test)]
mod scenario;
pub mod service_health;
pub mod services;
pub mod settings;
pub mod slices;
pub mod state;
pub mod sysctl;
pub mod topology;
pub mod tracker;
