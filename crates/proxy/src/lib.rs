//! Services as packet rules.
mod base32;
pub mod command;
pub mod local_detector;
pub mod model;
pub mod rules;
pub mod services;
pub mod slices;
pub mod topology;
pub mod tracker;
pub mod iptables;
pub mod nftables;
#[cfg(test)]
mod scenario;
