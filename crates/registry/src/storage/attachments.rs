//! Volumes attached to nodes.

use api::core::v1::PersistentVolumeSpec;
use api::storage::v1::{VolumeAttachment, VolumeAttachmentStatus, VolumeError};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, name_is_dns_subdomain};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::validate_driver_name;
use crate::core::persistent_volume_claim::validate_access_modes;
use crate::internal::shown;
use crate::metadata::messages;
use crate::rules::Rules;
use crate::table;

const MAX_METADATA_BYTES: usize = 256 * 1024;
const MAX_MESSAGE_BYTES: usize = 1024;

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
        let exactly_one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        let name = spec.source.persistent_volume_name.as_deref();
        match (spec.source.inline_volume_spec.as_deref(), name) {
            (None, None) => errors.push(Error::required(&source, exactly_one)),
            (Some(_), Some(_)) => errors.push(Error::forbidden(&source, exactly_one)),
            (None, Some("")) => {
                let detail = "must specify non empty persistentVolumeName";
                errors.push(Error::required(&source.child("persistentVolumeName"), detail));
            }
            (None, Some(_)) => {}
            (Some(inline), None) => errors.extend(validate_inline(inline, &source.child("inlineVolumeSpec"))),
        }
        let node = spec.node_name.as_str();
        errors.extend(messages(
            &path.child("nodeName"),
            node,
            is_dns1123_subdomain(node),
        ));
        errors.extend(validate_status(&attachment.status, &Path::new("status")));
        if let Some(name) = name {
            let path = source.child("persistentVolumeName");
            errors.extend(messages(&path, name, name_is_dns_subdomain(name, false)));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, new: &VolumeAttachment, old: &VolumeAttachment) -> ErrorList {
        Self::validate_status_update(new, old)
    }

    fn validate_status_update(new: &VolumeAttachment, old: &VolumeAttachment) -> ErrorList {
        let mut errors = Self::validate(new);
        if new.spec != old.spec {
            errors.push(Error::immutable(&Path::new("spec"), shown(&new.spec)));
        }
        errors
    }

    fn row(attachment: &VolumeAttachment, now: Timestamp) -> Vec<Value> {
        table::volume::volume_attachment(attachment, now)
    }
}

/// A volume without a PersistentVolume: of a CSI driver, and nothing that binds it.
fn validate_inline(spec: &PersistentVolumeSpec, path: &Path) -> ErrorList {
    let context = "may not be specified in the context of inline volumes";
    let csi = spec.persistent_volume_source.csi.as_deref();
    let mut errors = ErrorList::new();
    if spec.claim_ref.is_some() {
        errors.push(Error::forbidden(&path.child("claimRef"), context));
    }
    if !spec.capacity.is_empty() {
        errors.push(Error::forbidden(&path.child("capacity"), context));
    }
    if csi.is_none() {
        let detail = "has to be specified in the context of inline volumes";
        errors.push(Error::required(&path.child("csi"), detail));
    }
    let at = path.child("accessModes");
    if spec.access_modes.is_empty() {
        errors.push(Error::required(&at, ""));
    }
    errors.extend(validate_access_modes(&spec.access_modes, &at));
    if !matches!(spec.persistent_volume_reclaim_policy.as_str(), "" | "Retain") {
        let detail = "may only be Retain in the context of inline volumes";
        errors.push(Error::forbidden(
            &path.child("persistentVolumeReclaimPolicy"),
            detail,
        ));
    }
    if spec.node_affinity.is_some() {
        errors.push(Error::forbidden(&path.child("nodeAffinity"), context));
    }
    match csi {
        Some(csi) => {
            let path = path.child("csi");
            errors.extend(validate_driver_name(&csi.driver, &path.child("driver")));
            if csi.volume_handle.is_empty() {
                errors.push(Error::required(&path.child("volumeHandle"), ""));
            }
        }
        None => errors.push(Error::required(path, "must specify a volume type")),
    }
    if !spec.storage_class_name.is_empty() {
        errors.push(Error::forbidden(&path.child("storageClassName"), context));
    }
    if spec
        .volume_mode
        .as_deref()
        .is_some_and(|mode| mode != "Filesystem")
    {
        let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        errors.push(Error::forbidden(&path.child("volumeMode"), detail));
    }
    errors
}

fn validate_status(status: &VolumeAttachmentStatus, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let entries = status.attachment_metadata.iter();
    if entries.map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA_BYTES {
        errors.push(Error::too_long(
            &path.child("attachmentMetadata"),
            MAX_METADATA_BYTES,
        ));
    }
    for (error, field) in [
        (status.attach_error.as_deref(), "attachError"),
        (status.detach_error.as_deref(), "detachError"),
    ] {
        if let Some(error) = error {
            errors.extend(validate_error(error, &path.child(field)));
        }
    }
    errors
}

fn validate_error(error: &VolumeError, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if error.message.len() > MAX_MESSAGE_BYTES {
        // Upstream names the bound of the metadata here.
        errors.push(Error::too_long(&path.child("message"), MAX_METADATA_BYTES));
    }
    if let Some(code) = error.error_code.filter(|code| *code < 0) {
        let detail = "must be between 0 and 2147483647, inclusive";
        errors.push(Error::invalid(&path.child("errorCode"), code, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::json;

    #[test]
    fn says_what_is_wrong() {
        let check = |object: Value, expected: &[&str]| {
            let errors = VolumeAttachments::validate(&parse(&object));
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected);
        };
        check(
            json!({"spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "p"}}}),
            &[],
        );
        check(
            json!({"spec": {"attacher": "a", "nodeName": "n", "source": {"inlineVolumeSpec": {"capacity": {"storage": "1"}}}},
                "status": {"attachError": {"errorCode": -1}}}),
            &[
                "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.accessModes: Required value",
                "spec.source.inlineVolumeSpec: Required value: must specify a volume type",
                "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ],
        );
    }
}
