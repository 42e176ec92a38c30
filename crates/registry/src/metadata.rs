//! The rules of `metadata`, which all kinds share.
//!
//! Upstream: `k8s.io/apimachinery/pkg/api/validation/objectmeta.go`, `apis/meta/v1/validation`.

use std::collections::BTreeMap;

use api::Message;
use api::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};
use apimachinery::field::{Error, ErrorList, Path, Value};
use apimachinery::gvk::GroupVersion;
use apimachinery::quote::quote;
use apimachinery::validation::{self, NameCheck, name_is_dns_label};

/// What all annotations of an object may take, keys included.
/// Finalizers without a domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", ORPHAN, FOREGROUND];
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;
const MAX_FIELD_MANAGER: usize = 128;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// A typed struct as the value that an error shows.
pub(crate) fn shown(message: &impl Message) -> Value {
    Value::Json(String::from_utf8_lossy(&message.to_json()).into_owned())
}

/// A list of structs as the value that an error shows.
pub(crate) fn shown_list<T: Message>(messages: &[T]) -> Value {
    let items: Vec<String> = messages
        .iter()
        .map(|message| String::from_utf8_lossy(&message.to_json()).into_owned())
        .collect();
    Value::Json(format!("[{}]", items.join(",")))
}

/// A map of strings as the value that an error shows.
pub(crate) fn shown_map(map: &BTreeMap<String, String>) -> Value {
    if map.is_empty() {
        return Value::Json("null".to_owned());
    }
    let map: serde_json::Map<_, _> = map
        .iter()
        .map(|(key, value)| (key.clone(), serde_json::Value::from(value.as_str())))
        .collect();
    Value::Json(serde_json::Value::Object(map).to_string())
}

/// Errors of a new object's metadata.
pub fn validate(metadata: &ObjectMeta, namespaced: bool, check_name: NameCheck) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    if !metadata.generate_name.is_empty() {
        let at = path.child("generateName");
        errors.extend(messages(
            &at,
            &metadata.generate_name,
            check_name(&metadata.generate_name, true),
        ));
    }
    let at = path.child("name");
    if metadata.name.is_empty() {
        errors.push(Error::required(&at, "name or generateName is required"));
    } else {
        errors.extend(messages(&at, &metadata.name, check_name(&metadata.name, false)));
    }
    errors.extend(validate_namespace(
        &metadata.namespace,
        namespaced,
        &path.child("namespace"),
    ));
    if metadata.generation < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(
            &path.child("generation"),
            metadata.generation,
            detail,
        ));
    }
    errors.extend(validate_maps(metadata, &path));
    errors.extend(validate_owner_references(
        &metadata.owner_references,
        &path.child("ownerReferences"),
    ));
    errors.extend(validate_finalizers(
        &metadata.finalizers,
        &path.child("finalizers"),
    ));
    errors.extend(validate_managed_fields(
        &metadata.managed_fields,
        &path.child("managedFields"),
    ));
    errors
}

/// Errors of a change of metadata.
pub fn validate_update(metadata: &ObjectMeta, old: &ObjectMeta) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    if old.deletion_timestamp.is_some() {
        errors.extend(no_new_finalizers(
            &metadata.finalizers,
            &old.finalizers,
            &path.child("finalizers"),
        ));
    }
    if metadata.resource_version.is_empty() {
        let detail = "must be specified for an update";
        errors.push(Error::invalid(&path.child("resourceVersion"), "", detail));
    }
    if metadata.generation < old.generation {
        errors.push(Error::invalid(
            &path.child("generation"),
            metadata.generation,
            "must not be decremented",
        ));
    }
    errors.extend(immutable_text(&metadata.name, &old.name, &path.child("name")));
    errors.extend(immutable_text(
        &metadata.namespace,
        &old.namespace,
        &path.child("namespace"),
    ));
    errors.extend(immutable_text(&metadata.uid, &old.uid, &path.child("uid")));
    let times = [
        (
            "creationTimestamp",
            metadata.creation_timestamp,
            old.creation_timestamp,
        ),
        (
            "deletionTimestamp",
            metadata.deletion_timestamp,
            old.deletion_timestamp,
        ),
    ];
    for (name, new, old) in times {
        if new != old {
            errors.push(Error::immutable(
                &path.child(name),
                new.map(|time| time.to_string()),
            ));
        }
    }
    if metadata.deletion_grace_period_seconds != old.deletion_grace_period_seconds {
        let at = path.child("deletionGracePeriodSeconds");
        errors.push(Error::immutable(&at, metadata.deletion_grace_period_seconds));
    }
    errors.extend(validate_maps(metadata, &path));
    errors.extend(validate_owner_references(
        &metadata.owner_references,
        &path.child("ownerReferences"),
    ));
    errors.extend(validate_managed_fields(
        &metadata.managed_fields,
        &path.child("managedFields"),
    ));
    errors
}

/// One error for each message about a value.
pub(crate) fn messages(path: &Path, value: &str, messages: Vec<String>) -> impl Iterator<Item = Error> {
    messages
        .into_iter()
        .map(move |message| Error::invalid(path, value, message))
}

/// An error if a text differs from the old one.
pub(crate) fn immutable_text(new: &str, old: &str, path: &Path) -> Option<Error> {
    (new != old).then(|| Error::immutable(path, new))
}

fn validate_namespace(namespace: &str, namespaced: bool, path: &Path) -> ErrorList {
    match (namespaced, namespace) {
        (true, "") => vec![Error::required(path, "")],
        (true, namespace) => messages(path, namespace, name_is_dns_label(namespace, false)).collect(),
        (false, "") => Vec::new(),
        (false, _) => vec![Error::forbidden(path, "not allowed on this type")],
    }
}

fn validate_maps(metadata: &ObjectMeta, path: &Path) -> ErrorList {
    let mut errors = validate_labels(&metadata.labels, &path.child("labels"));
    errors.extend(validate_annotations(
        &metadata.annotations,
        &path.child("annotations"),
    ));
    errors
}

/// Errors of a set of labels.
pub fn validate_labels(labels: &BTreeMap<String, String>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in labels {
        errors.extend(messages(path, key, validation::is_label_key(key)));
        errors.extend(messages(path, value, validation::is_valid_label_value(value)));
    }
    errors
}

/// Errors of annotations: keys are qualified names in any case, and all together are bounded.
pub fn validate_annotations(annotations: &BTreeMap<String, String>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut size = 0;
    for (key, value) in annotations {
        errors.extend(messages(
            path,
            key,
            validation::is_qualified_name(&key.to_lowercase()),
        ));
        size += key.len() + value.len();
    }
    if size > MAX_ANNOTATIONS_BYTES {
        errors.push(Error::too_long(path, MAX_ANNOTATIONS_BYTES));
    }
    errors
}

fn validate_owner_references(owners: &[OwnerReference], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut controller: Option<String> = None;
    for owner in owners {
        errors.extend(validate_owner_reference(owner, path));
        if owner.controller != Some(true) {
            continue;
        }
        let name = format!("{}/{}", owner.kind, owner.name);
        match &controller {
            None => controller = Some(name),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                errors.push(Error::invalid(path, shown_list(owners), detail));
            }
        }
    }
    errors
}

fn validate_owner_reference(owner: &OwnerReference, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    // An apiVersion that doesn't parse counts as none.
    let version = GroupVersion::parse(&owner.api_version).unwrap_or_default();
    if version.version.is_empty() {
        errors.push(Error::invalid(
            &path.child("apiVersion"),
            &owner.api_version,
            "version must not be empty",
        ));
    }
    for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
        if value.is_empty() {
            errors.push(Error::invalid(&path.child(name), value, "must not be empty"));
        }
    }
    if owner.api_version == "v1" && owner.kind == "Event" {
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(Error::invalid(path, shown(owner), detail));
    }
    errors
}

/// Errors of the metadata of a template, which has labels and annotations alone.
pub(crate) fn validate_template_metadata(metadata: &ObjectMeta, path: &Path) -> ErrorList {
    let mut errors = validate_annotations(&metadata.annotations, &path.child("annotations"));
    errors.extend(validate_labels(&metadata.labels, &path.child("labels")));
    // In the order in which upstream's struct declares them.
    let others = [
        ("name", !metadata.name.is_empty()),
        ("generateName", !metadata.generate_name.is_empty()),
        ("namespace", !metadata.namespace.is_empty()),
        ("selfLink", !metadata.self_link.is_empty()),
        ("uID", !metadata.uid.is_empty()),
        ("resourceVersion", !metadata.resource_version.is_empty()),
        ("generation", metadata.generation != 0),
        ("creationTimestamp", metadata.creation_timestamp.is_some()),
        ("deletionTimestamp", metadata.deletion_timestamp.is_some()),
        (
            "deletionGracePeriodSeconds",
            metadata.deletion_grace_period_seconds.is_some(),
        ),
        ("ownerReferences", !metadata.owner_references.is_empty()),
        ("finalizers", !metadata.finalizers.is_empty()),
        ("managedFields", !metadata.managed_fields.is_empty()),
    ];
    let set = others.into_iter().filter(|(_, set)| *set);
    errors.extend(set.map(|(field, _)| Error::forbidden(&path.child(field), "cannot be set")));
    errors
}

/// Undoes changes that a subresource may not make: only the record of who set which field follows.
pub(crate) fn keep(metadata: &mut ObjectMeta, old: &ObjectMeta) {
    metadata.deletion_timestamp = old.deletion_timestamp;
    metadata.generation = old.generation;
    metadata.self_link.clone_from(&old.self_link);
    metadata.labels.clone_from(&old.labels);
    metadata.annotations.clone_from(&old.annotations);
    metadata.finalizers.clone_from(&old.finalizers);
    metadata.owner_references.clone_from(&old.owner_references);
}

/// Errors of a set of finalizers.
fn validate_finalizers(finalizers: &[String], path: &Path) -> ErrorList {
    let mut errors: ErrorList = finalizers
        .iter()
        .flat_map(|name| messages(path, name, validation::is_qualified_name(name)))
        .collect();
    let has = |name: &str| finalizers.iter().any(|own| own == name);
    if has(ORPHAN) && has(FOREGROUND) {
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(Error::invalid(path, finalizers, detail));
    }
    errors
}

/// Errors of finalizers that have no domain, which must be Kubernetes' own.
pub(crate) fn validate_plain_finalizers(metadata: &ObjectMeta) -> ErrorList {
    let path = Path::new("metadata").child("finalizers");
    let mut errors = ErrorList::new();
    for (index, name) in metadata.finalizers.iter().enumerate() {
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path.index(index), name, detail));
        }
    }
    errors
}

/// Nothing may be added while the object is going away.
pub(crate) fn no_new_finalizers(new: &[String], old: &[String], path: &Path) -> Option<Error> {
    let mut added: Vec<&String> = new.iter().filter(|name| !old.contains(name)).collect();
    added.sort();
    added.dedup();
    if added.is_empty() {
        return None;
    }
    let added: Vec<String> = added.into_iter().map(|name| quote(name)).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    Some(Error::forbidden(path, detail))
}

fn validate_managed_fields(entries: &[ManagedFieldsEntry], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        if !matches!(entry.operation.as_str(), "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(Error::invalid(&path.child("operation"), &entry.operation, detail));
        }
        if !entry.fields_type.is_empty() && entry.fields_type != "FieldsV1" {
            let detail = "must be `FieldsV1`";
            errors.push(Error::invalid(
                &path.child("fieldsType"),
                &entry.fields_type,
                detail,
            ));
        }
        if entry.manager.len() > MAX_FIELD_MANAGER {
            errors.push(Error::too_long(&path.child("manager"), MAX_FIELD_MANAGER));
        }
        if entry.subresource.len() > 256 {
            errors.push(Error::too_long(&path.child("subresource"), 256));
        }
    }
    errors
}

#[cfg(test)]
mod tests;
