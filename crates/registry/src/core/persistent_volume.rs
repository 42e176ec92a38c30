//! PersistentVolumes.

use api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::time::Time;
use apimachinery::validation::name_is_dns_subdomain;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::persistent_volume_claim::validate_access_modes;
use super::pod::validation::scheduling::validate_node_selector;
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
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
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
            errors.push(Error::forbidden(
                &path,
                "spec.persistentvolumesource is immutable after creation\n",
            ));
        }
        if volume.spec.volume_mode != old.spec.volume_mode {
            errors.push(Error::immutable(
                &Path::new("volumeMode"),
                volume.spec.volume_mode.clone(),
            ));
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
    errors.extend(validate_source(spec, path));
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
        errors.push(Error::not_supported(path, Value::Object(shown), &["storage"]));
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

/// Exactly one kind of volume, with its required fields.
fn validate_source(spec: &PersistentVolumeSpec, path: &Path) -> ErrorList {
    let source = &spec.persistent_volume_source;
    let mut errors = ErrorList::new();
    let set = [
        ("hostPath", source.host_path.is_some()),
        ("gcePersistentDisk", source.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", source.aws_elastic_block_store.is_some()),
        ("glusterfs", source.glusterfs.is_some()),
        ("flocker", source.flocker.is_some()),
        ("nfs", source.nfs.is_some()),
        ("rbd", source.rbd.is_some()),
        ("quobyte", source.quobyte.is_some()),
        ("cephFS", source.cephfs.is_some()),
        ("iscsi", source.iscsi.is_some()),
        ("cinder", source.cinder.is_some()),
        ("fc", source.fc.is_some()),
        ("flexVolume", source.flex_volume.is_some()),
        ("azureFile", source.azure_file.is_some()),
        ("vsphereVolume", source.vsphere_volume.is_some()),
        ("photonPersistentDisk", source.photon_persistent_disk.is_some()),
        ("portworxVolume", source.portworx_volume.is_some()),
        ("azureDisk", source.azure_disk.is_some()),
        ("scaleIO", source.scale_io.is_some()),
        ("local", source.local.is_some()),
        ("storageos", source.storageos.is_some()),
        ("csi", source.csi.is_some()),
    ];
    let kinds: Vec<&'static str> = set
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(kind, _)| kind)
        .collect();
    if kinds.is_empty() {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    for kind in kinds.iter().skip(1) {
        errors.push(Error::forbidden(
            &path.child(*kind),
            "may not specify more than 1 volume type",
        ));
    }
    let mut required = |missing: bool, kind: &'static str, field: &'static str| {
        errors.extend(missing.then(|| Error::required(&path.child(kind).child(field), "")));
    };
    if let Some(host_path) = &source.host_path {
        required(host_path.path.is_empty(), "hostPath", "path");
    }
    if let Some(nfs) = &source.nfs {
        required(nfs.server.is_empty(), "nfs", "server");
        required(nfs.path.is_empty(), "nfs", "path");
    }
    if let Some(csi) = &source.csi {
        required(csi.driver.is_empty(), "csi", "driver");
        required(csi.volume_handle.is_empty(), "csi", "volumeHandle");
    }
    if let Some(local) = &source.local {
        required(local.path.is_empty(), "local", "path");
        if spec.node_affinity.is_none() {
            let detail = "Local volume requires node affinity";
            errors.push(Error::required(&path.child("nodeAffinity"), detail));
        }
    }
    let recycles_root = source
        .host_path
        .as_deref()
        .is_some_and(|host_path| host_path.path.trim_matches('/').is_empty())
        && spec.persistent_volume_reclaim_policy == "Recycle";
    if recycles_root {
        let path = path.child("persistentVolumeReclaimPolicy");
        errors.push(Error::forbidden(
            &path,
            "may not be 'recycle' for a hostPath mount of '/'",
        ));
    }
    errors
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
