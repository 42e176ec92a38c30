//! Who owns which field: sets of fields, the managers that own them, and merging what a manager applies.
//!
//! Pure: values are JSON trees, and what a type looks like comes through the [`Schema`] trait, so that built-in
//! types and custom resources share one implementation. Reading order: [`path`], [`set`] (and its form in
//! `fieldsV1`), [`schema`], [`items`] (how items of lists are named), [`field_set`] (the fields of a value),
//! [`compare`], [`merge`], [`remove`], [`typed`] (is a value of its type?), [`managers`] (update and apply).
//!
//! It does not know objects, versions beyond their names, or requests.
//!
//! Upstream: `sigs.k8s.io/structured-merge-diff`.

mod compare;
mod field_set;
mod fields_v1;
mod items;
pub mod managers;
mod merge;
mod path;
mod remove;
mod schema;
mod set;
mod typed;

#[cfg(test)]
mod tests;

pub use compare::{Comparison, compare};
pub use field_set::field_set;
pub use managers::{Conflict, Error, Manager, Managers, Versions};
pub use merge::merge;
pub use path::{Path, PathElement, Scalar, show};
pub use remove::remove_items;
pub use schema::{Relation, ScalarKind, Schema, Shape};
pub use set::Set;
pub use typed::{Printed, TypeErrors, check};
