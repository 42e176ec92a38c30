//! Volumes, claims and classes of storage.

use api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use api::storage::v1::{CSIDriver, CSINode, StorageClass, VolumeAttachment, VolumeAttributesClass};
use jiff::Timestamp;
use serde_json::Value;

use super::{NONE, UNSET, age};

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BETA_DEFAULT_CLASS: &str = "storageclass.beta.kubernetes.io/is-default-class";
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// `RWO,ROX,RWX,RWOP`, each once, in this order.
fn access_modes(modes: &[String]) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown = known
        .iter()
        .filter(|(mode, _)| modes.iter().any(|own| own == mode))
        .map(|(_, short)| *short);
    shown.collect::<Vec<_>>().join(",")
}

/// The class that an old annotation names, or the field.
fn class<'a>(metadata: &'a api::meta::v1::ObjectMeta, field: &'a str) -> &'a str {
    metadata.annotations.get(BETA_CLASS).map_or(field, String::as_str)
}

pub fn persistent_volume(object: &PersistentVolume, now: Timestamp) -> Vec<Value> {
    let spec = &object.spec;
    let claim = spec
        .claim_ref
        .as_deref()
        .map(|claim| format!("{}/{}", claim.namespace, claim.name));
    let going = object.metadata.deletion_timestamp.is_some();
    crate::cells![
        object.metadata.name.as_str(),
        spec.capacity
            .get("storage")
            .map_or("0".to_owned(), ToString::to_string),
        access_modes(&spec.access_modes),
        spec.persistent_volume_reclaim_policy.as_str(),
        if going {
            "Terminating"
        } else {
            &object.status.phase
        },
        claim.unwrap_or_default(),
        class(&object.metadata, &spec.storage_class_name),
        spec.volume_attributes_class_name.as_deref().unwrap_or(UNSET),
        object.status.reason.as_str(),
        age(&object.metadata, now),
        spec.volume_mode.as_deref().unwrap_or(UNSET),
    ]
}

pub fn persistent_volume_claim(object: &PersistentVolumeClaim, now: Timestamp) -> Vec<Value> {
    let spec = &object.spec;
    let bound = !spec.volume_name.is_empty();
    let capacity = || {
        object
            .status
            .capacity
            .get("storage")
            .map_or("0".to_owned(), ToString::to_string)
    };
    let going = object.metadata.deletion_timestamp.is_some();
    crate::cells![
        object.metadata.name.as_str(),
        if going {
            "Terminating"
        } else {
            &object.status.phase
        },
        spec.volume_name.as_str(),
        if bound { capacity() } else { String::new() },
        if bound {
            access_modes(&object.status.access_modes)
        } else {
            String::new()
        },
        class(
            &object.metadata,
            spec.storage_class_name.as_deref().unwrap_or_default()
        ),
        spec.volume_attributes_class_name.as_deref().unwrap_or(UNSET),
        age(&object.metadata, now),
        spec.volume_mode.as_deref().unwrap_or(UNSET),
    ]
}

pub fn storage_class(object: &StorageClass, now: Timestamp) -> Vec<Value> {
    let marked = |key: &str| {
        object
            .metadata
            .annotations
            .get(key)
            .is_some_and(|value| value == "true")
    };
    let suffix = if marked(DEFAULT_CLASS) || marked(BETA_DEFAULT_CLASS) {
        " (default)"
    } else {
        ""
    };
    crate::cells![
        format!("{}{suffix}", object.metadata.name),
        object.provisioner.as_str(),
        object.reclaim_policy.as_deref().unwrap_or("Delete"),
        object.volume_binding_mode.as_deref().unwrap_or("Immediate"),
        object.allow_volume_expansion.unwrap_or(false),
        age(&object.metadata, now),
    ]
}

pub fn volume_attributes_class(object: &VolumeAttributesClass, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.driver_name.as_str(),
        age(&object.metadata, now)
    ]
}

pub fn volume_attachment(object: &VolumeAttachment, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.attacher.as_str(),
        object
            .spec
            .source
            .persistent_volume_name
            .as_deref()
            .unwrap_or_default(),
        object.spec.node_name.as_str(),
        object.status.attached,
        age(&object.metadata, now),
    ]
}

pub fn csi_node(object: &CSINode, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.drivers.len(),
        age(&object.metadata, now)
    ]
}

pub fn csi_driver(object: &CSIDriver, now: Timestamp) -> Vec<Value> {
    let spec = &object.spec;
    let audiences: Vec<&str> = spec
        .token_requests
        .iter()
        .map(|request| request.audience.as_str())
        .collect();
    let modes = spec.volume_lifecycle_modes.join(",");
    crate::cells![
        object.metadata.name.as_str(),
        spec.attach_required.unwrap_or(true),
        spec.pod_info_on_mount.unwrap_or(false),
        spec.storage_capacity.unwrap_or(false),
        if audiences.is_empty() {
            UNSET.to_owned()
        } else {
            audiences.join(",")
        },
        spec.requires_republish.unwrap_or(false),
        if modes.is_empty() { NONE.to_owned() } else { modes },
        age(&object.metadata, now),
    ]
}
