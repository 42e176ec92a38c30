//! The kinds of volumes.

use std::collections::BTreeSet;

use api::core::v1::{
    CSIVolumeSource, ClusterTrustBundleProjection, DownwardAPIVolumeFile, EphemeralVolumeSource,
    HostPathVolumeSource, KeyToPath, NFSVolumeSource, ProjectedVolumeSource, ServiceAccountTokenProjection,
    VolumeProjection, VolumeSource,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::name_is_dns_subdomain;

use super::containers::validate_pull_policy;
use super::env::{FILE_FIELDS, validate_field, validate_resource};
use super::mounts::{file_path, has_backsteps};
use crate::internal::shown;
use crate::label_selector;
use crate::metadata::messages;

const MODE_MESSAGE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const MAX_MODE: i32 = 0o777;
const MIN_TOKEN_SECONDS: i64 = 600;
const MAX_TOKEN_SECONDS: i64 = 1 << 32;
const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// Each kind that is set, besides emptyDir, with its errors; in upstream's order.
pub(super) fn validate_each(source: &VolumeSource, path: &Path) -> Vec<(&'static str, ErrorList)> {
    let mut found = Vec::new();
    let mut add = |set: bool, field: &'static str, errors: &dyn Fn(Path) -> ErrorList| {
        if set {
            found.push((field, errors(path.child(field))));
        }
    };
    let required = |value: &str, field: &'static str, path: &Path| -> ErrorList {
        value
            .is_empty()
            .then(|| Error::required(&path.child(field), ""))
            .into_iter()
            .collect()
    };
    let nothing = |_: Path| ErrorList::new();
    if let Some(host_path) = &source.host_path {
        add(true, "hostPath", &|path| validate_host_path(host_path, &path));
    }
    if let Some(repo) = &source.git_repo {
        add(true, "gitRepo", &|path| {
            required(&repo.repository, "repository", &path)
        });
    }
    if let Some(disk) = &source.gce_persistent_disk {
        add(true, "gcePersistentDisk", &|path| {
            required(&disk.pd_name, "pdName", &path)
        });
    }
    if let Some(disk) = &source.aws_elastic_block_store {
        add(true, "awsElasticBlockStore", &|path| {
            required(&disk.volume_id, "volumeID", &path)
        });
    }
    if let Some(secret) = &source.secret {
        add(true, "secret", &|path| {
            let mut errors = required(&secret.secret_name, "secretName", &path);
            errors.extend(validate_items(&secret.items, secret.default_mode, &path));
            errors
        });
    }
    if let Some(nfs) = &source.nfs {
        add(true, "nfs", &|path| validate_nfs(nfs, &path));
    }
    if let Some(iscsi) = &source.iscsi {
        add(true, "iscsi", &|path| {
            let mut errors = required(&iscsi.target_portal, "targetPortal", &path);
            errors.extend(required(&iscsi.iqn, "iqn", &path));
            errors
        });
    }
    add(source.glusterfs.is_some(), "glusterfs", &nothing);
    add(source.flocker.is_some(), "flocker", &nothing);
    if let Some(claim) = &source.persistent_volume_claim {
        add(true, "persistentVolumeClaim", &|path| {
            required(&claim.claim_name, "claimName", &path)
        });
    }
    if let Some(rbd) = &source.rbd {
        add(true, "rbd", &|path| required(&rbd.image, "image", &path));
    }
    if let Some(cinder) = &source.cinder {
        add(true, "cinder", &|path| {
            required(&cinder.volume_id, "volumeID", &path)
        });
    }
    add(source.cephfs.is_some(), "cephFS", &nothing);
    add(source.quobyte.is_some(), "quobyte", &nothing);
    if let Some(downward) = &source.downward_api {
        add(true, "downwardAPI", &|path| {
            let mut errors = validate_mode(downward.default_mode, &path.child("defaultMode"));
            errors.extend(downward.items.iter().flat_map(|file| validate_file(file, &path)));
            errors
        });
    }
    add(source.fc.is_some(), "fc", &nothing);
    if let Some(flex) = &source.flex_volume {
        add(true, "flexVolume", &|path| {
            required(&flex.driver, "driver", &path)
        });
    }
    if let Some(config_map) = &source.config_map {
        add(true, "configMap", &|path| {
            let mut errors = required(&config_map.local_object_reference.name, "name", &path);
            errors.extend(validate_items(&config_map.items, config_map.default_mode, &path));
            errors
        });
    }
    if let Some(file) = &source.azure_file {
        add(true, "azureFile", &|path| {
            let mut errors = required(&file.secret_name, "secretName", &path);
            errors.extend(required(&file.share_name, "shareName", &path));
            errors
        });
    }
    if let Some(vsphere) = &source.vsphere_volume {
        add(true, "vsphereVolume", &|path| {
            required(&vsphere.volume_path, "volumePath", &path)
        });
    }
    if let Some(photon) = &source.photon_persistent_disk {
        add(true, "photonPersistentDisk", &|path| {
            required(&photon.pd_id, "pdID", &path)
        });
    }
    if let Some(portworx) = &source.portworx_volume {
        add(true, "portworxVolume", &|path| {
            required(&portworx.volume_id, "volumeID", &path)
        });
    }
    if let Some(disk) = &source.azure_disk {
        add(true, "azureDisk", &|path| {
            let mut errors = required(&disk.disk_name, "diskName", &path);
            errors.extend(required(&disk.disk_uri, "diskURI", &path));
            errors
        });
    }
    add(source.storageos.is_some(), "storageos", &nothing);
    if let Some(projected) = &source.projected {
        add(true, "projected", &|path| validate_projected(projected, &path));
    }
    add(source.scale_io.is_some(), "scaleIO", &nothing);
    if let Some(csi) = &source.csi {
        add(true, "csi", &|path| validate_csi(csi, &path));
    }
    if let Some(ephemeral) = &source.ephemeral {
        add(true, "ephemeral", &|path| validate_ephemeral(ephemeral, &path));
    }
    if let Some(image) = &source.image {
        add(true, "image", &|path| {
            let mut errors = required(&image.reference, "reference", &path);
            errors.extend(validate_pull_policy(
                &image.pull_policy,
                &path.child("pullPolicy"),
            ));
            errors
        });
    }
    found
}

fn validate_mode(mode: Option<i32>, path: &Path) -> ErrorList {
    let wrong = mode.filter(|mode| !(0..=MAX_MODE).contains(mode));
    wrong
        .map(|mode| Error::invalid(path, mode, MODE_MESSAGE))
        .into_iter()
        .collect()
}

fn validate_items(items: &[KeyToPath], default_mode: Option<i32>, path: &Path) -> ErrorList {
    let mut errors = validate_mode(default_mode, &path.child("defaultMode"));
    let items = items.iter().enumerate();
    errors.extend(items.flat_map(|(index, item)| validate_item(item, &path.child("items").index(index))));
    errors
}

fn validate_item(item: &KeyToPath, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (field, value) in [("key", &item.key), ("path", &item.path)] {
        errors.extend(value.is_empty().then(|| Error::required(&path.child(field), "")));
    }
    errors.extend(file_path(&item.path, &path.child("path")));
    errors.extend(validate_mode(item.mode, &path.child("mode")));
    errors
}

pub(crate) fn validate_host_path(source: &HostPathVolumeSource, path: &Path) -> ErrorList {
    let at = path.child("path");
    if source.path.is_empty() {
        return vec![Error::required(&at, "")];
    }
    let mut errors = ErrorList::new();
    if has_backsteps(&source.path) {
        errors.push(Error::invalid(&at, &source.path, "must not contain '..'"));
    }
    if let Some(type_) = source
        .type_
        .as_deref()
        .filter(|type_| !HOST_PATH_TYPES.contains(type_))
    {
        errors.push(Error::not_supported(&path.child("type"), type_, &HOST_PATH_TYPES));
    }
    errors
}

pub(crate) fn validate_nfs(source: &NFSVolumeSource, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.extend(
        source
            .server
            .is_empty()
            .then(|| Error::required(&path.child("server"), "")),
    );
    let path = path.child("path");
    errors.extend(source.path.is_empty().then(|| Error::required(&path, "")));
    let absolute = source.path.starts_with('/');
    errors.extend((!absolute).then(|| Error::invalid(&path, &source.path, "must be an absolute path")));
    errors
}

fn validate_file(file: &DownwardAPIVolumeFile, path: &Path) -> ErrorList {
    let at = path.child("path");
    let mut errors: ErrorList = file
        .path
        .is_empty()
        .then(|| Error::required(&at, ""))
        .into_iter()
        .collect();
    errors.extend(file_path(&file.path, &at));
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            errors.extend(validate_field(field, &FILE_FIELDS, &path.child("fieldRef")));
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", detail));
            }
        }
        (None, Some(resource)) => {
            errors.extend(validate_resource(resource, true, &path.child("resourceFieldRef")));
        }
        (None, None) => errors.push(Error::required(
            path,
            "one of fieldRef and resourceFieldRef is required",
        )),
    }
    errors.extend(validate_mode(file.mode, &path.child("mode")));
    errors
}

fn validate_projected(projected: &ProjectedVolumeSource, path: &Path) -> ErrorList {
    let mut errors = validate_mode(projected.default_mode, &path.child("defaultMode"));
    let mut files = Files {
        seen: BTreeSet::new(),
        volume: path,
    };
    for (index, source) in projected.sources.iter().enumerate() {
        errors.extend(files.validate(source, &path.child("sources").index(index)));
    }
    errors
}

/// The files that the sources of one volume put into it: each path once.
struct Files<'a> {
    seen: BTreeSet<String>,
    volume: &'a Path,
}

impl Files<'_> {
    fn validate(&mut self, source: &VolumeProjection, path: &Path) -> ErrorList {
        let mut errors = ErrorList::new();
        let mut count = 0;
        if let Some(secret) = &source.secret {
            count += 1;
            let name = &secret.local_object_reference.name;
            errors.extend(self.validate_items(name, &secret.items, &path.child("secret")));
        }
        if let Some(config_map) = &source.config_map {
            count += 1;
            let name = &config_map.local_object_reference.name;
            errors.extend(self.validate_items(name, &config_map.items, &path.child("configMap")));
        }
        if let Some(downward) = &source.downward_api {
            count += 1;
            for file in &downward.items {
                errors.extend(validate_file(file, &path.child("downwardAPI")));
                errors.extend(self.add(&file.path, &file.path));
            }
        }
        if let Some(token) = &source.service_account_token {
            count += 1;
            errors.extend(self.validate_token(token, &path.child("serviceAccountToken")));
        }
        if let Some(bundle) = &source.cluster_trust_bundle {
            count += 1;
            errors.extend(validate_bundle(bundle, &path.child("clusterTrustBundle")));
            errors.extend(self.add(&bundle.path, &bundle.path));
        }
        count += usize::from(source.pod_certificate.is_some());
        if count > 1 {
            errors.push(Error::forbidden(
                path,
                "may not specify more than 1 volume type per source",
            ));
        }
        errors
    }

    fn validate_items(&mut self, name: &str, items: &[KeyToPath], path: &Path) -> ErrorList {
        let mut errors = ErrorList::new();
        errors.extend(name.is_empty().then(|| Error::required(&path.child("name"), "")));
        for (index, item) in items.iter().enumerate() {
            errors.extend(validate_item(item, &path.child("items").index(index)));
            errors.extend(self.add(&item.path, name));
        }
        errors
    }

    fn validate_token(&self, token: &ServiceAccountTokenProjection, path: &Path) -> ErrorList {
        let mut errors = ErrorList::new();
        let seconds = token.expiration_seconds.unwrap_or(0);
        let at = path.child("expirationSeconds");
        if seconds < MIN_TOKEN_SECONDS {
            errors.push(Error::invalid(
                &at,
                seconds,
                "may not specify a duration less than 10 minutes",
            ));
        }
        if seconds > MAX_TOKEN_SECONDS {
            errors.push(Error::invalid(
                &at,
                seconds,
                "may not specify a duration larger than 2^32 seconds",
            ));
        }
        // The path of the volume, not that of the source, is upstream's.
        let at = self.volume.child("path");
        if token.path.is_empty() {
            errors.push(Error::required(&at, ""));
        } else {
            errors.extend(file_path(&token.path, &at));
        }
        errors
    }

    fn add(&mut self, file: &str, shown: &str) -> Option<Error> {
        let repeated = !file.is_empty() && !self.seen.insert(file.to_owned());
        repeated.then(|| Error::invalid(self.volume, shown, "conflicting duplicate paths"))
    }
}

fn validate_bundle(bundle: &ClusterTrustBundleProjection, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    match (&bundle.name, &bundle.signer_name) {
        (Some(_), Some(_)) => {
            errors.push(Error::invalid(
                path,
                shown(bundle),
                "only one of name and signerName may be used",
            ));
        }
        (Some(name), None) => {
            errors.extend(
                name.is_empty()
                    .then(|| Error::required(&path.child("name"), "must be a valid object name")),
            );
            if let Some(selector) = &bundle.label_selector {
                let detail = "labelSelector must be unset if name is specified";
                errors.push(Error::invalid(
                    &path.child("labelSelector"),
                    shown(&**selector),
                    detail,
                ));
            }
        }
        (None, Some(signer)) => {
            let required = || Error::required(&path.child("signerName"), "must be a valid signer name");
            errors.extend(signer.is_empty().then(required));
            if let Some(selector) = &bundle.label_selector {
                errors.extend(label_selector::validate(selector, &path.child("labelSelector")));
            }
        }
        (None, None) => errors.push(Error::required(
            path,
            "either name or signerName must be specified",
        )),
    }
    let at = path.child("path");
    errors.extend(bundle.path.is_empty().then(|| Error::required(&at, "")));
    errors.extend(file_path(&bundle.path, &at));
    errors
}

fn validate_csi(csi: &CSIVolumeSource, path: &Path) -> ErrorList {
    let mut errors = crate::storage::validate_driver_name(&csi.driver, &path.child("driver"));
    if let Some(secret) = &csi.node_publish_secret_ref {
        if secret.name.is_empty() {
            errors.push(Error::required(
                &path.child("nodePublishSecretRef").child("name"),
                "",
            ));
        } else {
            errors.extend(messages(
                &path.child("name"),
                &secret.name,
                name_is_dns_subdomain(&secret.name, false),
            ));
        }
    }
    errors
}

fn validate_ephemeral(source: &EphemeralVolumeSource, path: &Path) -> ErrorList {
    let path = path.child("volumeClaimTemplate");
    match source.volume_claim_template.as_deref() {
        None => vec![Error::required(&path, "")],
        Some(template) => {
            let mut errors = crate::metadata::validate_labels(
                &template.metadata.labels,
                &path.child("metadata").child("labels"),
            );
            errors.extend(crate::core::persistent_volume_claim::validate_spec(
                &template.spec,
                &path.child("spec"),
            ));
            errors
        }
    }
}
