//! The roles and bindings that a cluster starts with, and how they are kept.
//!
//! [`policy`] reads the table in `data/bootstrap-policy.txt`; [`reconcile`] says what to do about an object
//! that exists already. The server writes.

pub mod policy;
pub mod reconcile;

pub use policy::{Policy, policy};
pub use reconcile::{Action, binding, role};

#[cfg(test)]
mod tests;
