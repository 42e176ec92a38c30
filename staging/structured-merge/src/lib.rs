//! Who owns which field: sets of fields, the managers that own them, and merging what a manager applies.
//!
//! Pure: what a type looks like comes through the [`Schema`] trait, so that built-in types and custom resources share
//! one implementation. What is applied is a JSON tree; what is compared may as well be encoded ([`View`]).
//!
//! Reading order: [`path`], [`set`] (and its form in `fieldsV1`), [`schema`], [`view`], [`items`] (how items of lists
//! are named), [`field_set`] (the fields of a value), [`compare`], [`gain`] (the same in writing), [`merge`], [`remove`],
//! [`typed`] (is a value of its type?), [`atomics`], [`splice`] and [`share`] (what a manager owns), [`managers`] (update and apply).
//!
//! It does not know objects, versions beyond their names, or requests.
//!
//! Upstream: `sigs.k8s.io/structured-merge-diff`.

mod atomics;
mod compare;
mod field_set;
mod fields_v1;
mod gain;
mod items;
pub mod managers;
mod merge;
mod path;
mod remove;
mod schema;
mod set;
mod share;
mod splice;
mod typed;
mod view;

#[cfg(test)]
mod tests;

pub use atomics::atomics;
pub use compare::{Comparison, compare};
pub use field_set::field_set;
pub use gain::{Except, gained};
pub use managers::{Conflict, Error, Manager, Managers, Versions};
pub use merge::merge;
pub use path::{Name, Path, PathElement, Scalar, show};
pub use remove::remove_items;
pub use schema::{Relation, ScalarKind, Schema, Shape};
pub use set::Set;
pub use share::Share;
pub use typed::{Printed, TypeErrors, check};
pub use view::{Form, Pair, View};
