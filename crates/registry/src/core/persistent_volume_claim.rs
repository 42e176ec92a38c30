//! PersistentVolumeClaims.

use api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, TypedLocalObjectReference,
    TypedObjectReference,
};
use apimachinery::field::{Error, ErrorList, Path, Value as Shown};
use apimachinery::quantity::Quantity;
use apimachinery::validation::{
    is_dns1123_subdomain, is_qualified_name, name_is_dns_label, name_is_dns_subdomain,
};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::defaults;
use crate::internal::change;
use crate::metadata::messages;
use crate::resources::{is_native, validate_quantity};
use crate::rules::{MetadataChecks, Rules};
use crate::{label_selector, table, warnings};

pub(super) const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// How far the growth of a volume has come.
const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// PersistentVolumeClaims.
pub struct PersistentVolumeClaims;

impl Rules for PersistentVolumeClaims {
    type Object = PersistentVolumeClaim;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn default(claim: &mut PersistentVolumeClaim) {
        defaults::claim_spec(&mut claim.spec);
        if claim.status.phase.is_empty() {
            claim.status.phase = "Pending".to_owned();
        }
    }

    fn prepare_create(_cx: &Context<'_>, claim: &mut PersistentVolumeClaim) {
        claim.status.phase = "Pending".to_owned();
        drop_unsupported_sources(&mut claim.spec, None);
        twin_data_sources(&mut claim.spec);
    }

    fn prepare_update(_cx: &Context<'_>, claim: &mut PersistentVolumeClaim, old: &PersistentVolumeClaim) {
        drop_unsupported_sources(&mut claim.spec, Some(&old.spec));
        twin_data_sources(&mut claim.spec);
    }

    fn validate(claim: &PersistentVolumeClaim) -> ErrorList {
        validate_spec(&claim.spec, &Path::new("spec"))
    }

    fn validate_update(
        _cx: &Context<'_>,
        claim: &PersistentVolumeClaim,
        old: &PersistentVolumeClaim,
    ) -> ErrorList {
        let mut errors = Self::validate(claim);
        errors.extend(validate_change(claim, old));
        errors
    }

    fn validate_status_update(claim: &PersistentVolumeClaim, _old: &PersistentVolumeClaim) -> ErrorList {
        validate_status(&claim.status, &Path::new("status"))
    }

    fn warnings(claim: &PersistentVolumeClaim, _old: Option<&PersistentVolumeClaim>) -> Vec<String> {
        let mut all = Vec::new();
        if claim.metadata.annotations.contains_key(CLASS_ANNOTATION) {
            all.push(format!(
                "metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
            ));
        }
        all.extend(warnings::claim(&claim.spec, &Path::new("spec")));
        all
    }

    fn row(claim: &PersistentVolumeClaim, now: Timestamp) -> Vec<Value> {
        table::volume::persistent_volume_claim(claim, now)
    }
}

/// `dataSource` names claims and snapshots only, and nothing in other namespaces (KEP-3294, whose feature is off).
fn drop_unsupported_sources(spec: &mut PersistentVolumeClaimSpec, old: Option<&PersistentVolumeClaimSpec>) {
    let known = |source: &TypedLocalObjectReference| {
        let group = source.api_group.as_deref().unwrap_or_default();
        matches!(
            (source.kind.as_str(), group),
            ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
        )
    };
    let in_use = old.is_some_and(|old| old.data_source.is_some());
    if !in_use && spec.data_source.as_deref().is_some_and(|source| !known(source)) {
        spec.data_source = None;
    }
    let in_use = old
        .and_then(|old| old.data_source_ref.as_deref())
        .is_some_and(|source| source.namespace.is_some());
    if let Some(source) = spec.data_source_ref.as_deref_mut().filter(|_| !in_use) {
        source.namespace = None;
    }
}

/// `dataSource` is the older form of `dataSourceRef`: where both can say the same, both do.
fn twin_data_sources(spec: &mut PersistentVolumeClaimSpec) {
    let local = spec
        .data_source_ref
        .as_deref()
        .is_none_or(|source| source.namespace.as_deref().is_none_or(str::is_empty));
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(source), None) => {
            spec.data_source_ref = Some(Box::new(TypedObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
                namespace: None,
            }));
        }
        (None, Some(source)) if local => {
            spec.data_source = Some(Box::new(TypedLocalObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
            }));
        }
        _ => {}
    }
}

/// Errors of a claim, stand-alone or of a template.
pub(crate) fn validate_spec(spec: &PersistentVolumeClaimSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if spec.access_modes.is_empty() {
        errors.push(Error::required(
            &path.child("accessModes"),
            "at least 1 access mode is required",
        ));
    }
    if let Some(selector) = &spec.selector {
        errors.extend(label_selector::validate(selector, &path.child("selector")));
    }
    errors.extend(validate_access_modes(
        &spec.access_modes,
        &path.child("accessModes"),
    ));
    let storage = path.child("resources").key("storage");
    match spec.resources.requests.get("storage") {
        None => errors.push(Error::required(&storage, "")),
        Some(size) if size.sign() <= 0 => {
            errors.push(Error::invalid(
                &storage,
                size.to_string(),
                "must be greater than zero",
            ));
        }
        Some(size) => errors.extend(validate_quantity("storage", size, &storage)),
    }
    let classes = [
        ("storageClassName", &spec.storage_class_name),
        ("volumeAttributesClassName", &spec.volume_attributes_class_name),
    ];
    for (field, class) in classes {
        if let Some(class) = class.as_deref().filter(|class| !class.is_empty()) {
            errors.extend(messages(
                &path.child(field),
                class,
                name_is_dns_subdomain(class, false),
            ));
        }
    }
    if let Some(mode) = spec
        .volume_mode
        .as_deref()
        .filter(|mode| !VOLUME_MODES.contains(mode))
    {
        errors.push(Error::not_supported(
            &path.child("volumeMode"),
            mode,
            &VOLUME_MODES,
        ));
    }
    errors.extend(validate_data_sources(spec, path));
    errors
}

/// Errors of access modes; that of a single pod goes with no other.
pub(crate) fn validate_access_modes(modes: &[String], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(&mode.as_str())) {
        errors.push(Error::not_supported(path, mode, &ACCESS_MODES));
    }
    let once_pod = modes.iter().any(|mode| mode == "ReadWriteOncePod");
    let other = modes
        .iter()
        .any(|mode| mode != "ReadWriteOncePod" && ACCESS_MODES.contains(&mode.as_str()));
    if once_pod && other {
        errors.push(Error::forbidden(
            path,
            "may not use ReadWriteOncePod with other access modes",
        ));
    }
    errors
}

fn validate_data_sources(spec: &PersistentVolumeClaimSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(source) = spec.data_source.as_deref() {
        let path = path.child("dataSource");
        errors.extend(validate_reference(
            source.api_group.as_deref(),
            &source.kind,
            &source.name,
            &path,
        ));
    }
    let Some(reference) = spec.data_source_ref.as_deref() else {
        return errors;
    };
    let at = path.child("dataSourceRef");
    errors.extend(validate_reference(
        reference.api_group.as_deref(),
        &reference.kind,
        &reference.name,
        &at,
    ));
    let namespace = reference
        .namespace
        .as_deref()
        .filter(|namespace| !namespace.is_empty());
    if let Some(namespace) = namespace {
        errors.extend(messages(
            &at.child("namespace"),
            namespace,
            name_is_dns_label(namespace, false),
        ));
    }
    if let Some(source) = spec.data_source.as_deref() {
        let same = (&source.api_group, &source.kind, &source.name)
            == (&reference.api_group, &reference.kind, &reference.name);
        // Upstream shows a path here, of which JSON has nothing.
        let shown = Shown::Json("{}".to_owned());
        if namespace.is_some() {
            let detail = "may not be specified when dataSourceRef.namespace is specified";
            errors.push(Error::invalid(path, shown, detail));
        } else if !same {
            errors.push(Error::invalid(path, shown, "must match dataSourceRef"));
        }
    }
    errors
}

fn validate_reference(group: Option<&str>, kind: &str, name: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (field, value) in [("name", name), ("kind", kind)] {
        errors.extend(value.is_empty().then(|| Error::required(&path.child(field), "")));
    }
    match group.unwrap_or_default() {
        "" if kind != "PersistentVolumeClaim" => {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(Error::invalid(path, kind, detail));
        }
        "" => {}
        group => errors.extend(messages(
            &path.child("apiGroup"),
            group,
            is_dns1123_subdomain(group),
        )),
    }
    errors
}

fn validate_status(status: &PersistentVolumeClaimStatus, path: &Path) -> ErrorList {
    let amount = |quantity: &Quantity, path: &Path| {
        let detail = "must be a valid resource quantity";
        (quantity.value() < 0).then(|| Error::invalid(path, quantity.value(), detail))
    };
    let mut errors = ErrorList::new();
    let capacity = path.child("capacity");
    for (name, quantity) in &status.capacity {
        errors.extend(amount(quantity, &capacity.key(name)));
    }
    let resizes = path.child("allocatedResourceStatuses");
    for (name, resize) in &status.allocated_resource_statuses {
        errors.extend(validate_resource_key(name, &resizes));
        if !RESIZES.contains(&resize.as_str()) {
            // Upstream shows the resource, not its status.
            errors.push(Error::not_supported(&resizes, name, &RESIZES));
        }
    }
    let allocated = path.child("allocatedResources");
    for (name, quantity) in &status.allocated_resources {
        let wrong_key = validate_resource_key(name, &allocated);
        if !wrong_key.is_empty() {
            errors.extend(wrong_key);
            continue;
        }
        let path = allocated.key(name);
        match amount(quantity, &path) {
            Some(error) => errors.push(error),
            None => errors.extend(validate_quantity("storage", quantity, &path)),
        }
    }
    errors
}

/// Of Kubernetes' own resources, claims have only storage.
fn validate_resource_key(name: &str, path: &Path) -> ErrorList {
    let errors: ErrorList = messages(path, name, is_qualified_name(name)).collect();
    if errors.is_empty() && is_native(name) && name != "storage" {
        return vec![Error::not_supported(path, name, &["storage"])];
    }
    errors
}

/// Only the size may grow, the class of attributes change, and the volume be chosen once.
fn validate_change(claim: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let mut same = claim.spec.clone();
    let mut kept = old.spec.clone();
    let before = &old.spec;
    // The volume is chosen once.
    if before.volume_name.is_empty() {
        kept.volume_name.clone_from(&same.volume_name);
    }
    // A default class may be filled in later.
    if before.storage_class_name.is_none() {
        same.storage_class_name = None;
    }
    let size = |spec: &PersistentVolumeClaimSpec| {
        spec.resources
            .requests
            .get("storage")
            .cloned()
            .unwrap_or_default()
    };
    let (new_size, old_size) = (size(&claim.spec), size(before));
    if claim.status.phase == "Bound" {
        if !same.resources.requests.is_empty() {
            same.resources
                .requests
                .insert("storage".to_owned(), old_size.clone());
        }
        same.volume_attributes_class_name
            .clone_from(&before.volume_attributes_class_name);
    }
    if same != kept {
        let change = change(&kept, &same);
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{change}"
        );
        errors.push(Error::forbidden(&path, detail));
    }
    let capacity = old.status.capacity.get("storage").cloned().unwrap_or_default();
    if new_size < old_size && new_size <= capacity {
        let path = path.child("resources").child("requests").child("storage");
        errors.push(Error::forbidden(
            &path,
            "field can not be less than status.capacity",
        ));
    }
    if claim.spec.volume_mode != before.volume_mode {
        let mode = claim.spec.volume_mode.clone();
        errors.push(Error::immutable(&Path::new("volumeMode"), mode));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::json;

    fn check(status: Value, expected: &[&str]) {
        let claim = parse::<PersistentVolumeClaim>(&json!({"status": status}));
        let errors = PersistentVolumeClaims::validate_status_update(&claim, &claim);
        let shown: Vec<String> = errors.iter().map(Error::to_string).collect();
        assert_eq!(shown, expected, "{status}");
    }

    #[test]
    fn sources_must_match() {
        for (reference, expected) in [
            (json!({"kind": "PersistentVolumeClaim", "name": "a"}), None),
            (
                json!({"kind": "PersistentVolumeClaim", "name": "b"}),
                Some("spec: Invalid value: {}: must match dataSourceRef"),
            ),
            (
                json!({"kind": "PersistentVolumeClaim", "name": "a", "namespace": "n"}),
                Some(
                    "spec: Invalid value: {}: may not be specified when dataSourceRef.namespace is specified",
                ),
            ),
        ] {
            let claim = parse::<PersistentVolumeClaim>(&json!({"spec": {
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
                "dataSourceRef": reference,
            }}));
            let errors = validate_data_sources(&claim.spec, &Path::new("spec"));
            let shown: Vec<String> = errors.iter().map(Error::to_string).collect();
            assert_eq!(shown, Vec::from_iter(expected), "{reference}");
        }
    }

    #[test]
    fn what_is_allocated_is_storage() {
        check(
            json!({
                "capacity": {"storage": "1Gi", "cpu": "0"},
                "allocatedResources": {"storage": "2Gi", "example.com/a": "1500m"},
                "allocatedResourceStatuses": {"storage": "NodeResizePending"},
            }),
            &[],
        );
        check(
            json!({"capacity": {"cpu": "-1"}}),
            &["status.capacity[cpu]: Invalid value: -1: must be a valid resource quantity"],
        );
        check(
            json!({"allocatedResources": {"cpu": "1", "storage": "-1"}}),
            &[
                "status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\"",
                "status.allocatedResources[storage]: Invalid value: -1: must be a valid resource quantity",
            ],
        );
        check(
            json!({"allocatedResourceStatuses": {"k": "odd"}}),
            &[
                "status.allocatedResourceStatuses: Unsupported value: \"k\": supported values: \"storage\"",
                "status.allocatedResourceStatuses: Unsupported value: \"k\": supported values: \"ControllerResizeInProgress\", \"ControllerResizeInfeasible\", \"NodeResizeInProgress\", \"NodeResizeInfeasible\", \"NodeResizePending\"",
            ],
        );
    }
}
