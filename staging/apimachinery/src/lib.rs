//! Vocabulary of the Kubernetes API: identities, metadata, selectors, quantities, times, statuses, patches.
//!
//! Reading order: [`gvk`] (what kind of thing), [`labels`] and [`fields`] (which of them), [`quantity`],
//! [`int_or_string`], [`time`] and [`duration`] (values with a canonical text of their own), [`field`] and
//! [`validation`] (what is wrong, and where), [`status`] (how a request ended), [`patch`] (changes as data).
//!
//! Everything here is pure, and knows no kind of the API.
//!
//! Upstream: `k8s.io/apimachinery/pkg/{api,labels,fields,runtime/schema,util}`.

pub mod duration;
pub mod field;
pub mod fields;
pub mod gvk;
pub mod int_or_string;
pub mod labels;
pub mod patch;
pub mod quantity;
pub mod quote;
pub mod status;
pub mod time;
pub mod validation;
