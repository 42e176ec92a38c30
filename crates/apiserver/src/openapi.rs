//! OpenAPI documents, versions 2 and 3, from descriptors and the catalogue.
//!
//! A document is written definition by definition and path by path, so that none is ever held as a tree, and kept
//! compressed once a client has asked for it. Field descriptions are not published.
//!
//! Reading order: [`names`], [`definitions`] (schemas of types), [`custom`] (of kinds without one), [`operations`] (what can be asked of a path),
//! [`document`] (both put together, in either version), [`gnostic`] (the protobuf form of version 2),
//! [`Documents`] (what is served).
//!
//! Upstream: `k8s.io/kube-openapi`, `apiserver/pkg/endpoints/openapi`.

pub mod custom;
mod definitions;
mod document;
mod gnostic;
mod names;
mod operations;
mod served;

#[cfg(test)]
mod tests;

pub use custom::CustomKind;
pub use served::{Documents, Form, Served};

use api::catalogue::{self, RESOURCES};

/// The differences between the two versions that reach into schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    V2,
    V3,
}

impl Dialect {
    /// Where definitions are referred to.
    fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }
}

/// The rows that a server publishes.
fn rows(enabled: impl Fn(&str, &str) -> bool) -> Vec<&'static catalogue::Resource> {
    RESOURCES
        .iter()
        .filter(|row| enabled(row.group, row.version))
        .collect()
}
