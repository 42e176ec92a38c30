//! The environment of a container, and what else resolves against a pod's fields.
//!
//! - [`expansion`]: `$(VAR)` references.
//! - [`fields`]: `fieldRef` and `resourceFieldRef` values, shared with downward API volumes.
//! - [`services`]: the variables that announce services.
//! - [`build`]: all of it, in upstream's order.
//!
//! Pure: referenced objects are looked up before, through [`build::References`].

pub mod build;
pub mod expansion;
pub mod fields;
pub mod services;
