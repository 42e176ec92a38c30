//! Where containers see volumes: as directories, or as block devices.

use std::collections::BTreeSet;

use api::core::v1::{Container, VolumeMount};
use apimachinery::field::{Error, ErrorList, Path};

use super::volumes::Volumes;

pub(super) fn validate(container: &Container, volumes: &Volumes<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut places = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let at = path.index(index);
        let (name, place) = (at.child("name"), at.child("mountPath"));
        if mount.name.is_empty() {
            errors.push(Error::required(&name, ""));
        }
        if !volumes.contains_key(mount.name.as_str()) {
            errors.push(Error::not_found(&name, &mount.name));
        }
        if mount.mount_path.is_empty() {
            errors.push(Error::required(&place, ""));
        }
        if !places.insert(&mount.mount_path) {
            errors.push(Error::invalid(&place, &mount.mount_path, "must be unique"));
        }
        let devices = &container.volume_devices;
        if devices.iter().any(|device| device.name == mount.name) {
            errors.push(Error::invalid(
                &name,
                &mount.name,
                "must not already exist in volumeDevices",
            ));
        }
        if devices
            .iter()
            .any(|device| device.device_path == mount.mount_path)
        {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&place, &mount.mount_path, detail));
        }
        errors.extend(validate_sub_path(mount, &at, path));
        errors.extend(validate_propagation(mount, container, path));
    }
    errors
}

fn validate_sub_path(mount: &VolumeMount, at: &Path, list: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if !mount.sub_path.is_empty() {
        errors.extend(descending_path(&mount.sub_path, &list.child("subPath")));
    }
    if !mount.sub_path_expr.is_empty() {
        if !mount.sub_path.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(
                &at.child("subPathExpr"),
                &mount.sub_path_expr,
                detail,
            ));
        }
        errors.extend(descending_path(&mount.sub_path_expr, &list.child("subPathExpr")));
    }
    errors
}

fn validate_propagation(mount: &VolumeMount, container: &Container, list: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = list.child("mountPropagation");
    let modes = ["Bidirectional", "HostToContainer", "None"];
    let propagation = mount.mount_propagation.as_deref();
    if let Some(mode) = propagation.filter(|mode| !modes.contains(mode)) {
        errors.push(Error::not_supported(&path, mode, &modes));
    }
    let context = container.security_context.as_deref();
    let privileged = context.and_then(|context| context.privileged).unwrap_or(false);
    if propagation == Some("Bidirectional") && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(&path, detail));
    }
    let path = list.child("recursiveReadOnly");
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !mount.read_only {
                errors.push(Error::forbidden(
                    &path,
                    "may only be specified when readOnly is true",
                ));
            }
            if propagation.is_some_and(|mode| mode != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(&path, detail));
            }
        }
        Some(other) => {
            errors.push(Error::not_supported(
                &path,
                other,
                &["Disabled", "Enabled", "IfPossible"],
            ));
        }
    }
    errors
}

pub(super) fn validate_devices(container: &Container, volumes: &Volumes<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in container.volume_devices.iter().enumerate() {
        let path = path.index(index);
        let (name, place) = (path.child("name"), path.child("devicePath"));
        if device.name.is_empty() {
            errors.push(Error::required(&name, ""));
        }
        if !names.insert(&device.name) {
            errors.push(Error::invalid(&name, &device.name, "must be unique"));
        }
        match volumes.get(device.name.as_str()) {
            None => errors.push(Error::not_found(&name, &device.name)),
            Some(source) if source.persistent_volume_claim.is_some() || source.ephemeral.is_some() => {}
            Some(_) => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&name, &device.name, detail));
            }
        }
        if device.device_path.is_empty() {
            errors.push(Error::required(&place, ""));
        }
        if has_backsteps(&device.device_path) {
            errors.push(Error::invalid(
                &place,
                &device.device_path,
                "can not contain backsteps ('..')",
            ));
        } else if !places.insert(&device.device_path) {
            errors.push(Error::invalid(&place, &device.device_path, "must be unique"));
        }
        let mounts = &container.volume_mounts;
        if mounts.iter().any(|mount| mount.name == device.name) {
            errors.push(Error::invalid(
                &name,
                &device.name,
                "must not already exist in volumeMounts",
            ));
        }
        if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.push(Error::invalid(&place, &device.device_path, detail));
        }
    }
    errors
}

pub(super) fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|step| step == "..")
}

/// A relative path that stays below where it starts.
pub(super) fn descending_path(text: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if text.starts_with('/') {
        errors.push(Error::invalid(path, text, "must be a relative path"));
    }
    if has_backsteps(text) {
        errors.push(Error::invalid(path, text, "must not contain '..'"));
    }
    errors
}

/// The same for a file of a volume, whose names with two dots the kubelet keeps for itself.
pub(super) fn file_path(text: &str, path: &Path) -> ErrorList {
    let mut errors = descending_path(text, path);
    if text.starts_with("..") && !text.starts_with("../") && text != ".." {
        errors.push(Error::invalid(path, text, "must not start with '..'"));
    }
    errors
}
