//! The nftables backend: a rule set as named chains, sets and maps (`rules`), the difference between two of them
//! as one transaction (`transaction`), and the process that runs `nft` (`backend`).
//!
//! Dispatch is by verdict maps, so that a packet costs the same among ten services and ten thousand, and a
//! changed service changes a handful of map elements.
//!
//! Upstream: pkg/proxy/nftables.

pub mod backend;
pub mod names;
pub mod rules;
mod service_rules;
mod table;
#[cfg(test)]
mod tests;
pub mod transaction;
