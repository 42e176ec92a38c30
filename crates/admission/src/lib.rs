//! The admission chain and its built-in plugins.
//!
//! Reading order: [`attributes`] (what is being done), [`plugin`] (the contract), [`chain`] (order and
//! selection of plugins, the two phases), then the plugins, one file each. Webhooks and policies take their
//! places at the end of each phase, as [`Plugin`]s of their own; [`matching`] says which requests they are about.
//!
//! It knows nothing of HTTP or the store: objects are read through [`auth::Objects`].
//!
//! Upstream: `k8s.io/apiserver/pkg/admission`, `plugin/pkg/admission`.

pub mod attributes;
pub mod chain;
pub mod expressions;
pub mod matching;
pub mod plugin;
pub mod plugins;
pub mod policies;
pub mod reinvocation;
pub mod webhooks;

#[cfg(test)]
mod testing;

pub use attributes::{Attributes, Operation};
pub use chain::{Chain, Selection};
pub use plugin::{Plugin, Review};
