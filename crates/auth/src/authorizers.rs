//! The authorizers: [`rbac`], [`node`], and [`chain`] over them, [`measured`] on the way.

pub mod chain;
pub mod measured;
pub mod node;
pub mod rbac;

pub use chain::{AlwaysAllow, AlwaysDeny, Chain, PrivilegedGroup};
pub use measured::{Counted, Measured};
pub use node::NodeAuthorizer;
pub use rbac::Rbac;
