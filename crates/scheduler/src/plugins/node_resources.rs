//! Whether a node has what the pod asks for, and which node it leaves best off.

mod balanced;
mod fit;
mod strategy;

pub use balanced::BalancedAllocation;
pub use fit::Fit;
pub use strategy::{Kind, ResourceWeight, Strategy};
