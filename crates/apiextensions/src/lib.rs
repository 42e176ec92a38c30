//! Custom resources: kinds that come of CustomResourceDefinitions while the server runs.
//!
//! Reading order: [`conditions`], [`names`] (who may have which names; pure), [`conformance`] (schemas and groups as they
//! should be; pure), [`rows`] (a definition as rows of the
//! catalogue), [`schema`] (what objects may be; pure), [`strategy`] (what a custom kind adds to the write path), [`scale`], [`columns`]
//! (of tables, by [`jsonpath`]), [`conversion`] (by webhooks), [`served`] (a definition as a resource with its
//! cache), [`discovery`], [`finalizing`] (a definition goes after its objects), [`controller`] (which keeps all of
//! this in step with the definitions).
//!
//! A custom kind goes the way of all kinds: through the generic verbs and the one write path. Nothing here knows HTTP.
//! It all follows from the definitions as they stand in the store, whichever server wrote them.
//!
//! Upstream: `k8s.io/apiextensions-apiserver`.

mod columns;
mod conditions;
mod conformance;
pub mod controller;
mod conversion;
mod discovery;
mod finalizing;
mod jsonpath;
mod names;
mod rows;
mod scale;
mod schema;
mod served;
mod strategy;

pub use controller::Controller;
