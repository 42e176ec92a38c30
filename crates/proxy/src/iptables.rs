//! The iptables backend: a rule set as chains of text (`rules`), the difference between two of them as input for
//! `iptables-restore --noflush` (`restore`), the jumps from the built-in chains (`jumps`), and the process that
//! runs the tools (`backend`).
//!
//! Upstream: pkg/proxy/iptables.

pub mod backend;
pub mod chain_names;
pub mod jumps;
pub mod restore;
pub mod rules;
mod service_rules;
#[cfg(test)]
mod tests;
