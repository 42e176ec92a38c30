//! The authorizers: [`rbac`], [`node`], and [`chain`] over them.

pub mod chain;
pub mod node;
pub mod rbac;

pub use chain::{AlwaysAllow, AlwaysDeny, Chain, PrivilegedGroup};
pub use node::NodeAuthorizer;
pub use rbac::Rbac;
