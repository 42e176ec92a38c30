//! List, then watch from there, for ever: the machine that decides and the task that acts.
//!
//! Upstream: client-go/tools/cache/reflector.go

pub mod machine;
mod source;
mod task;

pub use source::{ListWatch, Scope};
pub use task::{Change, Options, run};
