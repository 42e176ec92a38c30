//! Volumes of a pod: each of one kind, under a name of its own.

use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::{Volume, VolumeSource};
use api::meta::v1::ObjectMeta;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quote::quote;
use apimachinery::validation::{is_dns1123_label, name_is_dns_subdomain};

use super::volume_sources as sources;
use crate::metadata::messages;

/// The volumes that containers may mount, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a VolumeSource>;

pub(super) fn validate<'a>(
    volumes: &'a [Volume],
    metadata: Option<&ObjectMeta>,
    path: &Path,
) -> (Volumes<'a>, ErrorList) {
    let mut errors = ErrorList::new();
    let mut valid = Volumes::new();
    let mut names = BTreeSet::new();
    let pod = metadata
        .map(|metadata| metadata.name.as_str())
        .filter(|name| !name.is_empty());
    let created = |claim: &str| {
        let ephemeral = volumes
            .iter()
            .filter(|volume| volume.volume_source.ephemeral.is_some());
        pod.is_some_and(|pod| {
            ephemeral
                .clone()
                .any(|volume| claim == format!("{pod}-{}", volume.name))
        })
    };
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let mut wrong = validate_source(volume, pod, &path);
        let name = path.child("name");
        if volume.name.is_empty() {
            wrong.push(Error::required(&name, ""));
        } else {
            wrong.extend(messages(&name, &volume.name, is_dns1123_label(&volume.name)));
        }
        if names.contains(volume.name.as_str()) {
            wrong.push(Error::duplicate(&name, &volume.name));
        }
        if wrong.is_empty() {
            names.insert(volume.name.as_str());
            valid.insert(&volume.name, &volume.volume_source);
        }
        errors.extend(wrong);
        if let Some(claim) = &volume.volume_source.persistent_volume_claim
            && created(&claim.claim_name)
        {
            let path = path.child("persistentVolumeClaim").child("claimName");
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.push(Error::invalid(&path, &claim.claim_name, detail));
        }
    }
    (valid, errors)
}

/// Exactly one kind of source, and what is wrong with it.
fn validate_source(volume: &Volume, pod: Option<&str>, path: &Path) -> ErrorList {
    let source = &volume.volume_source;
    let mut errors = ErrorList::new();
    let mut count = 0;
    if let Some(empty) = &source.empty_dir {
        count += 1;
        if empty.size_limit.as_ref().is_some_and(|limit| limit.sign() < 0) {
            let path = path.child("emptyDir").child("sizeLimit");
            errors.push(Error::forbidden(
                &path,
                "SizeLimit field must be a valid resource quantity",
            ));
        }
    }
    for (field, wrong) in sources::validate_each(source, path) {
        count += 1;
        if count > 1 {
            errors.push(Error::forbidden(
                &path.child(field),
                "may not specify more than 1 volume type",
            ));
        } else {
            errors.extend(wrong);
        }
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    if let (Some(pod), Some(_), false) = (pod, &source.ephemeral, volume.name.is_empty()) {
        let claim = format!("{pod}-{}", volume.name);
        for message in name_is_dns_subdomain(&claim, false) {
            let detail = format!("PVC name {}: {message}", quote(&claim));
            errors.push(Error::invalid(&path.child("name"), &volume.name, detail));
        }
    }
    errors
}
