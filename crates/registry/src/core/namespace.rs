//! Namespaces: they end when their finalizers are done, and say so in their phase.

use std::collections::BTreeMap;

use api::core::v1::Namespace;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_qualified_name, name_is_dns_label};
use apiserver::strategy::{Context, FieldPaths};
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::table;

const KUBERNETES: &str = "kubernetes";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Finalizers that may go without a domain in front.
const STANDARD_FINALIZERS: [&str; 3] = [KUBERNETES, "orphan", "foregroundDeletion"];

/// Namespaces.
pub struct Namespaces;

impl Rules for Namespaces {
    type Object = Namespace;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;
    const FIELDS: &'static [&'static str] = &["status.phase"];
    const LEFT_ALONE_BY_SUBRESOURCES: FieldPaths = &[&["status"]];

    crate::spec!();
    crate::status!();

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_dns_label(name, prefix)
    }

    fn default(namespace: &mut Namespace) {
        label_with_name(&mut namespace.metadata.labels, &namespace.metadata.name);
        if namespace.status.phase.is_empty() {
            namespace.status.phase = "Active".to_owned();
        }
    }

    fn prepare_create(_cx: &Context<'_>, namespace: &mut Namespace) {
        label_with_name(&mut namespace.metadata.labels, &namespace.metadata.name);
        namespace.status.phase = "Active".to_owned();
        let finalizers = &mut namespace.spec.finalizers;
        if !finalizers.iter().any(|name| name == KUBERNETES) {
            finalizers.push(KUBERNETES.to_owned());
        }
    }

    fn prepare_update(_cx: &Context<'_>, namespace: &mut Namespace, old: &Namespace) {
        label_with_name(&mut namespace.metadata.labels, &old.metadata.name);
        namespace.spec.finalizers.clone_from(&old.spec.finalizers);
    }

    /// `finalize` changes the finalizers of the spec.
    fn prepare_subresource_update(_cx: &Context<'_>, namespace: &mut Namespace, old: &Namespace) {
        label_with_name(&mut namespace.metadata.labels, &old.metadata.name);
        Self::keep_status(namespace, Some(old));
        namespace.metadata.generation = old.metadata.generation;
    }

    fn validate(namespace: &Namespace) -> ErrorList {
        let path = Path::new("spec").child("finalizers");
        namespace
            .spec
            .finalizers
            .iter()
            .flat_map(|name| validate_finalizer(name, &path))
            .collect()
    }

    fn validate_subresource_update(_cx: &Context<'_>, namespace: &Namespace, _old: &Namespace) -> ErrorList {
        let path = Path::new("spec").child("finalizers");
        let finalizers = namespace.spec.finalizers.iter().enumerate();
        finalizers
            .flat_map(|(index, name)| validate_finalizer(name, &path.index(index)))
            .collect()
    }

    fn validate_status_update(namespace: &Namespace, _old: &Namespace) -> ErrorList {
        let (phase, detail) = match namespace.metadata.deletion_timestamp {
            None => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
            Some(_) => (
                "Terminating",
                "may only be 'Terminating' if `deletionTimestamp` is not empty",
            ),
        };
        if namespace.status.phase == phase {
            return ErrorList::new();
        }
        vec![Error::invalid(
            &Path::new("status").child("Phase"),
            &namespace.status.phase,
            detail,
        )]
    }

    fn grace_period(namespace: &mut Namespace, _requested: Option<i64>) -> Option<i64> {
        namespace.status.phase = "Terminating".to_owned();
        None
    }

    fn finished(namespace: &Namespace) -> bool {
        namespace.spec.finalizers.is_empty()
    }

    fn field(namespace: &Namespace, field: &str) -> Option<String> {
        (field == "status.phase").then(|| namespace.status.phase.clone())
    }

    fn row(namespace: &Namespace, now: Timestamp) -> Vec<Value> {
        table::cluster::namespace(namespace, now)
    }
}

/// Every namespace bears its name as a label, by which selectors find it.
fn label_with_name(labels: &mut BTreeMap<String, String>, name: &str) {
    if !name.is_empty() {
        labels.insert(NAME_LABEL.to_owned(), name.to_owned());
    }
}

fn validate_finalizer(name: &str, path: &Path) -> ErrorList {
    let mut errors: ErrorList = messages(path, name, is_qualified_name(name)).collect();
    if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(Error::invalid(path, name, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finalizers_are_standard_or_qualified() {
        let path = Path::new("f");
        for (name, errors) in [("kubernetes", 0), ("example.com/x", 0), ("mine", 1), ("", 3)] {
            assert_eq!(validate_finalizer(name, &path).len(), errors, "{name}");
        }
    }

    #[test]
    fn the_phase_follows_the_deletion() {
        let mut namespace = Namespace::default();
        namespace.status.phase = "Terminating".into();
        assert_eq!(
            Namespaces::validate_status_update(&namespace, &namespace).len(),
            1
        );
        namespace.metadata.deletion_timestamp = Some(Default::default());
        assert_eq!(
            Namespaces::validate_status_update(&namespace, &namespace).len(),
            0
        );
    }
}
