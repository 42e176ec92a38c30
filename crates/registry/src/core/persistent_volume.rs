//! PersistentVolumes.

mod sources;

use api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::time::Time;
use apimachinery::validation::name_is_dns_subdomain;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::persistent_volume_claim::validate_access_modes;
use super::pod::validation::scheduling::validate_node_selector;
use crate::internal::{change, shown};
use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::{table, warnings};

const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

const DEPRECATED_ANNOTATIONS: [(&str, &str); 2] = [
    (
        "volume.beta.kubernetes.io/storage-class",
        r#"deprecated since v1.8; use "storageClassName" attribute instead"#,
    ),
    (
        "volume.beta.kubernetes.io/mount-options",
        r#"deprecated since v1.31; use "mountOptions" attribute instead"#,
    ),
];

/// PersistentVolumes. The status says when the phase last changed.
pub struct PersistentVolumes;

impl Rules for PersistentVolumes {
    type Object = PersistentVolume;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::WholeFirst;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn default(volume: &mut PersistentVolume) {
        if volume.status.phase.is_empty() {
            volume.status.phase = "Pending".to_owned();
        }
        if volume.spec.persistent_volume_reclaim_policy.is_empty() {
            volume.spec.persistent_volume_reclaim_policy = "Retain".to_owned();
        }
        volume
            .spec
            .volume_mode
            .get_or_insert_with(|| "Filesystem".to_owned());
        if let Some(iscsi) = &mut volume.spec.persistent_volume_source.iscsi
            && iscsi.iscsi_interface.is_empty()
        {
            iscsi.iscsi_interface = "default".to_owned();
        }
        if let Some(host_path) = &mut volume.spec.persistent_volume_source.host_path {
            host_path.type_.get_or_insert_default();
        }
    }

    fn prepare_create(cx: &Context<'_>, volume: &mut PersistentVolume) {
        volume.status.phase = "Pending".to_owned();
        volume.status.last_phase_transition_time = Some(Time(cx.now).truncated());
    }

    fn prepare_status_update(cx: &Context<'_>, volume: &mut PersistentVolume, old: &PersistentVolume) {
        let (new, old) = (&mut volume.status, &old.status);
        let stated = new
            .last_phase_transition_time
            .filter(|_| new.last_phase_transition_time != old.last_phase_transition_time);
        if new.phase != old.phase {
            new.last_phase_transition_time = stated.or(Some(Time(cx.now).truncated()));
        } else if new.last_phase_transition_time.is_none() {
            new.last_phase_transition_time = old.last_phase_transition_time;
        }
    }

    fn validate(volume: &PersistentVolume) -> ErrorList {
        validate_spec(&volume.spec, &Path::new("spec"))
    }

    fn validate_update(_cx: &Context<'_>, volume: &PersistentVolume, old: &PersistentVolume) -> ErrorList {
        let mut errors = Self::validate(volume);
        let mut source = volume.spec.persistent_volume_source.clone();
        // A driver's secret for growing may be added later.
        if let (Some(new), Some(old)) = (&mut source.csi, &old.spec.persistent_volume_source.csi)
            && old.controller_expand_secret_ref.is_none()
        {
            new.controller_expand_secret_ref = None;
        }
        if source != old.spec.persistent_volume_source {
            let path = Path::new("spec").child("persistentvolumesource");
            let change = change(&old.spec.persistent_volume_source, &source);
            let detail = format!("spec.persistentvolumesource is immutable after creation\n{change}");
            errors.push(Error::forbidden(&path, detail));
        }
        if volume.spec.volume_mode != old.spec.volume_mode {
            errors.push(Error::immutable(
                &Path::new("volumeMode"),
                volume.spec.volume_mode.clone(),
            ));
        }
        let affinity = volume.spec.node_affinity.as_deref();
        if old.spec.node_affinity.is_some() && affinity != old.spec.node_affinity.as_deref() {
            let shown = affinity.map_or_else(|| None::<String>.into(), shown);
            let detail = "field is immutable, except for updating from beta label to GA";
            errors.push(Error::invalid(&Path::new("nodeAffinity"), shown, detail));
        }
        let (new, old) = (
            &volume.spec.volume_attributes_class_name,
            &old.spec.volume_attributes_class_name,
        );
        if old.is_some() && new.is_none() {
            let path = Path::new("spec").child("volumeAttributesClassName");
            errors.push(Error::forbidden(
                &path,
                "update from non-nil value to nil is forbidden",
            ));
        }
        errors
    }

    fn warnings(volume: &PersistentVolume, _old: Option<&PersistentVolume>) -> Vec<String> {
        warnings_of(volume)
    }

    fn row(volume: &PersistentVolume, now: Timestamp) -> Vec<Value> {
        table::volume::persistent_volume(volume, now)
    }
}

fn validate_spec(spec: &PersistentVolumeSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if spec.access_modes.is_empty() {
        errors.push(Error::required(&path.child("accessModes"), ""));
    }
    errors.extend(validate_access_modes(
        &spec.access_modes,
        &path.child("accessModes"),
    ));
    errors.extend(validate_capacity(spec, &path.child("capacity")));
    let policy = &spec.persistent_volume_reclaim_policy;
    if !policy.is_empty() && !RECLAIM_POLICIES.contains(&policy.as_str()) {
        let path = path.child("persistentVolumeReclaimPolicy");
        errors.push(Error::not_supported(&path, policy, &RECLAIM_POLICIES));
    }
    if let Some(affinity) = &spec.node_affinity {
        let path = path.child("nodeAffinity").child("required");
        match affinity.required.as_deref() {
            None => errors.push(Error::required(&path, "must specify required node constraints")),
            Some(selector) => errors.extend(validate_node_selector(selector, &path)),
        }
    }
    errors.extend(sources::validate(spec, path));
    errors.extend(validate_recycling(spec, path));
    if !spec.storage_class_name.is_empty() {
        let name = &spec.storage_class_name;
        errors.extend(messages(
            &path.child("storageClassName"),
            name,
            name_is_dns_subdomain(name, false),
        ));
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
    if let Some(name) = &spec.volume_attributes_class_name {
        let path = path.child("volumeAttributesClassName");
        if name.is_empty() {
            errors.push(Error::required(&path, "an empty string is disallowed"));
        } else {
            errors.extend(messages(&path, name, name_is_dns_subdomain(name, false)));
        }
    }
    if spec.volume_attributes_class_name.is_some() && spec.persistent_volume_source.csi.is_none() {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(Error::required(&path.child("csi"), detail));
    }
    errors
}

fn validate_capacity(spec: &PersistentVolumeSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if spec.capacity.is_empty() {
        errors.push(Error::required(path, ""));
    }
    if !spec.capacity.contains_key("storage") || spec.capacity.len() > 1 {
        let shown: serde_json::Map<String, Value> = spec
            .capacity
            .iter()
            .map(|(name, size)| (name.clone(), Value::from(size.to_string())))
            .collect();
        let shown = if shown.is_empty() {
            Value::Null
        } else {
            Value::Object(shown)
        };
        errors.push(Error::not_supported(path, shown, &["storage"]));
    }
    for (name, size) in spec.capacity.iter().filter(|(_, size)| size.sign() <= 0) {
        errors.push(Error::invalid(
            &path.key(name),
            size.to_string(),
            "must be greater than zero",
        ));
    }
    errors
}

/// A path of the host can't be emptied for the next claim if it is the root.
fn validate_recycling(spec: &PersistentVolumeSpec, path: &Path) -> Option<Error> {
    let host_path = spec.persistent_volume_source.host_path.as_deref();
    let is_root = host_path.is_some_and(|own| own.path.trim_matches('/').is_empty());
    (is_root && spec.persistent_volume_reclaim_policy == "Recycle").then(|| {
        let path = path.child("persistentVolumeReclaimPolicy");
        Error::forbidden(&path, "may not be 'recycle' for a hostPath mount of '/'")
    })
}

fn warnings_of(volume: &PersistentVolume) -> Vec<String> {
    let (spec, path) = (&volume.spec, Path::new("spec"));
    let mut all = Vec::new();
    for (key, why) in DEPRECATED_ANNOTATIONS {
        if volume.metadata.annotations.contains_key(key) {
            all.push(format!("metadata.annotations[{key}]: {why}"));
        }
    }
    if spec.persistent_volume_reclaim_policy == "Recycle" {
        all.push(format!(
            "{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
            path.child("persistentVolumeReclaimPolicy")
        ));
    }
    let required = spec
        .node_affinity
        .as_deref()
        .and_then(|own| own.required.as_deref());
    if let Some(required) = required {
        let path = path
            .child("nodeAffinity")
            .child("required")
            .child("nodeSelectorTerms");
        for (index, term) in required.node_selector_terms.iter().enumerate() {
            all.extend(warnings::node_selector_term(term, false, &path.index(index)));
        }
    }
    let source = &spec.persistent_volume_source;
    let (old, newer) = (
        "deprecated in v1.22, non-functional in v1.25+",
        "deprecated in v1.28, non-functional in v1.31+",
    );
    for (there, field, why) in [
        (source.cephfs.is_some(), "cephfs", newer),
        (
            source.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
            "deprecated in v1.11, non-functional in v1.16+",
        ),
        (
            source.scale_io.is_some(),
            "scaleIO",
            "deprecated in v1.16, non-functional in v1.22+",
        ),
        (source.storageos.is_some(), "storageOS", old),
        (
            source.glusterfs.is_some(),
            "glusterfs",
            "deprecated in v1.25, non-functional in v1.26+",
        ),
        (source.rbd.is_some(), "rbd", newer),
    ] {
        if there {
            all.push(format!("{}: {why}", path.child(field)));
        }
    }
    all
}
