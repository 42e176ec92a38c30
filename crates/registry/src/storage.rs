//! Classes of storage, and what CSI drivers say of themselves.

use api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, is_qualified_name};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::validation::one_of;
use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::table;

const MAX_DRIVER_NAME: usize = 63;
const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_BYTES: usize = 256 * 1024;
const RECLAIM_POLICIES: [&str; 2] = ["Delete", "Retain"];
const BINDING_MODES: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];
const FS_GROUP_POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];

/// Errors of the name of a CSI driver.
pub(crate) fn validate_driver_name(name: &str, path: &Path) -> ErrorList {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = ErrorList::new();
    if name.len() > MAX_DRIVER_NAME {
        errors.push(Error::too_long(path, MAX_DRIVER_NAME));
    }
    errors.extend(messages(path, name, is_dns1123_subdomain(&name.to_lowercase())));
    errors
}

/// Errors of what makes volumes of a class.
fn validate_provisioner(name: &str, path: &Path) -> ErrorList {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    messages(path, name, is_qualified_name(&name.to_lowercase())).collect()
}

/// StorageClasses.
pub struct StorageClasses;

impl Rules for StorageClasses {
    type Object = StorageClass;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    fn default(class: &mut StorageClass) {
        class.reclaim_policy.get_or_insert_with(|| "Delete".to_owned());
        class
            .volume_binding_mode
            .get_or_insert_with(|| "Immediate".to_owned());
    }

    fn validate(class: &StorageClass) -> ErrorList {
        let mut errors = ErrorList::new();
        errors.extend(validate_provisioner(
            &class.provisioner,
            &Path::new("provisioner"),
        ));
        errors.extend(validate_parameters(class));
        if let Some(policy) = class
            .reclaim_policy
            .as_deref()
            .filter(|policy| !RECLAIM_POLICIES.contains(policy))
        {
            errors.push(Error::not_supported(
                &Path::new("reclaimPolicy"),
                policy,
                &RECLAIM_POLICIES,
            ));
        }
        let mode = class.volume_binding_mode.as_deref().unwrap_or_default();
        errors.extend(one_of(mode, &BINDING_MODES, &Path::new("volumeBindingMode")));
        errors
    }

    fn validate_update(_cx: &Context<'_>, class: &StorageClass, old: &StorageClass) -> ErrorList {
        let mut errors = ErrorList::new();
        let forbidden = "updates to parameters are forbidden.";
        if class.parameters != old.parameters {
            errors.push(Error::forbidden(&Path::new("parameters"), forbidden));
        }
        if class.provisioner != old.provisioner {
            errors.push(Error::forbidden(
                &Path::new("provisioner"),
                "updates to provisioner are forbidden.",
            ));
        }
        if class.reclaim_policy != old.reclaim_policy {
            errors.push(Error::forbidden(
                &Path::new("reclaimPolicy"),
                "updates to reclaimPolicy are forbidden.",
            ));
        }
        if class.volume_binding_mode != old.volume_binding_mode {
            errors.push(Error::immutable(
                &Path::new("volumeBindingMode"),
                class.volume_binding_mode.clone(),
            ));
        }
        errors
    }

    fn row(class: &StorageClass, now: Timestamp) -> Vec<Value> {
        table::volume::storage_class(class, now)
    }
}

fn validate_parameters(class: &StorageClass) -> ErrorList {
    let path = Path::new("parameters");
    let mut errors = ErrorList::new();
    if class.parameters.len() > MAX_PARAMETERS {
        errors.push(Error::too_long(&path, MAX_PARAMETERS));
        return errors;
    }
    if class.parameters.contains_key("") {
        errors.push(Error::invalid(&path, "", "field can not be empty."));
    }
    let size: usize = class
        .parameters
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > MAX_PARAMETERS_BYTES {
        errors.push(Error::too_long(&path, MAX_PARAMETERS_BYTES));
    }
    errors
}

/// VolumeAttributesClasses.
pub struct VolumeAttributesClasses;

impl Rules for VolumeAttributesClasses {
    type Object = VolumeAttributesClass;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    fn validate(class: &VolumeAttributesClass) -> ErrorList {
        let mut errors = validate_provisioner(&class.driver_name, &Path::new("driverName"));
        if class.parameters.is_empty() {
            errors.push(Error::required(
                &Path::new("parameters"),
                "must contain at least one key/value pair",
            ));
        }
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        class: &VolumeAttributesClass,
        old: &VolumeAttributesClass,
    ) -> ErrorList {
        let mut errors = ErrorList::new();
        if class.driver_name != old.driver_name {
            let detail = "updates to driverName are forbidden.";
            errors.push(Error::forbidden(&Path::new("driverName"), detail));
        }
        if class.parameters != old.parameters {
            let detail = "updates to parameters are forbidden.";
            errors.push(Error::forbidden(&Path::new("parameters"), detail));
        }
        errors.extend(Self::validate(class));
        errors
    }

    fn row(class: &VolumeAttributesClass, now: Timestamp) -> Vec<Value> {
        table::volume::volume_attributes_class(class, now)
    }
}

/// VolumeAttachments.
pub struct VolumeAttachments;

impl Rules for VolumeAttachments {
    type Object = VolumeAttachment;
    const STATUS_KEEPS_METADATA: bool = true;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::spec!();
    crate::status!();

    fn validate(attachment: &VolumeAttachment) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &attachment.spec);
        let mut errors = validate_driver_name(&spec.attacher, &path.child("attacher"));
        let source = path.child("source");
        match (
            &spec.source.inline_volume_spec,
            spec.source.persistent_volume_name.as_deref(),
        ) {
            (None, None) => errors.push(Error::required(
                &source,
                "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            )),
            (Some(_), Some(_)) => errors.push(Error::forbidden(
                &source,
                "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            )),
            (None, Some("")) => {
                let detail = "must specify non empty persistentVolumeName";
                errors.push(Error::required(&source.child("persistentVolumeName"), detail));
            }
            _ => {}
        }
        let node = path.child("nodeName");
        if spec.node_name.is_empty() {
            errors.push(Error::required(&node, ""));
        } else {
            errors.extend(messages(
                &node,
                &spec.node_name,
                is_dns1123_subdomain(&spec.node_name),
            ));
        }
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        attachment: &VolumeAttachment,
        old: &VolumeAttachment,
    ) -> ErrorList {
        let mut errors = Self::validate(attachment);
        if attachment.spec != old.spec {
            let spec = crate::metadata::shown(&attachment.spec);
            errors.push(Error::invalid(&Path::new("spec"), spec, "field is immutable"));
        }
        errors
    }

    fn row(attachment: &VolumeAttachment, now: Timestamp) -> Vec<Value> {
        table::volume::volume_attachment(attachment, now)
    }
}

/// CSINodes.
pub struct CsiNodes;

impl Rules for CsiNodes {
    type Object = CSINode;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(node: &CSINode) -> ErrorList {
        let path = Path::new("spec").child("drivers");
        let mut errors = ErrorList::new();
        for (index, driver) in node.spec.drivers.iter().enumerate() {
            let path = path.index(index);
            errors.extend(validate_driver_name(&driver.name, &path.child("name")));
            if driver.node_id.is_empty() {
                errors.push(Error::required(&path.child("nodeID"), ""));
            }
            if node.spec.drivers[..index]
                .iter()
                .any(|other| other.name == driver.name)
            {
                errors.push(Error::duplicate(&path.child("name"), &driver.name));
            }
        }
        errors
    }

    fn row(node: &CSINode, now: Timestamp) -> Vec<Value> {
        table::volume::csi_node(node, now)
    }
}

/// CSIDrivers.
pub struct CsiDrivers;

impl Rules for CsiDrivers {
    type Object = CSIDriver;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn default(driver: &mut CSIDriver) {
        let spec = &mut driver.spec;
        spec.attach_required.get_or_insert(true);
        spec.pod_info_on_mount.get_or_insert(false);
        spec.storage_capacity.get_or_insert(false);
        spec.fs_group_policy
            .get_or_insert_with(|| "ReadWriteOnceWithFSType".to_owned());
        if spec.volume_lifecycle_modes.is_empty() {
            spec.volume_lifecycle_modes.push("Persistent".to_owned());
        }
        spec.requires_republish.get_or_insert(false);
        spec.se_linux_mount.get_or_insert(false);
    }

    fn prepare_update(_cx: &Context<'_>, driver: &mut CSIDriver, old: &CSIDriver) {
        // Counts changes, though new objects start without a generation.
        driver.metadata.generation = old.metadata.generation + i64::from(driver.spec != old.spec);
    }

    fn validate(driver: &CSIDriver) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &driver.spec);
        let mut errors = ErrorList::new();
        if driver.metadata.name.len() > MAX_DRIVER_NAME {
            errors.push(Error::too_long(
                &Path::new("metadata").child("name"),
                MAX_DRIVER_NAME,
            ));
        }
        for mode in spec
            .volume_lifecycle_modes
            .iter()
            .filter(|mode| !matches!(mode.as_str(), "Persistent" | "Ephemeral"))
        {
            let path = path.child("volumeLifecycleModes");
            errors.push(Error::not_supported(&path, mode, &["Ephemeral", "Persistent"]));
        }
        if let Some(policy) = spec
            .fs_group_policy
            .as_deref()
            .filter(|policy| !FS_GROUP_POLICIES.contains(policy))
        {
            errors.push(Error::not_supported(
                &path.child("fsGroupPolicy"),
                policy,
                &FS_GROUP_POLICIES,
            ));
        }
        for (index, request) in spec.token_requests.iter().enumerate() {
            let path = path.child("tokenRequests").index(index);
            if spec.token_requests[..index]
                .iter()
                .any(|other| other.audience == request.audience)
            {
                errors.push(Error::duplicate(&path.child("audience"), &request.audience));
            }
            if let Some(seconds) = request.expiration_seconds.filter(|seconds| *seconds < 600) {
                let detail = "may not specify a duration less than 10 minutes";
                errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
            }
        }
        errors
    }

    fn row(driver: &CSIDriver, now: Timestamp) -> Vec<Value> {
        table::volume::csi_driver(driver, now)
    }
}

/// CSIStorageCapacities.
pub struct CsiStorageCapacities;

impl Rules for CsiStorageCapacities {
    type Object = CSIStorageCapacity;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(capacity: &CSIStorageCapacity) -> ErrorList {
        let path = Path::new("storageClassName");
        let name = &capacity.storage_class_name;
        messages(&path, name, is_dns1123_subdomain(name)).collect()
    }

    fn row(capacity: &CSIStorageCapacity, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&capacity.metadata)
    }
}
