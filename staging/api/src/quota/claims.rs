//! What volume claims use, in all and by storage class.

use std::collections::BTreeSet;

use apimachinery::quantity::{Format, Quantity};

use super::ResourceList;
use crate::core::v1::PersistentVolumeClaim;

const PLAIN: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
const CLASS_INFIX: &str = ".storageclass.storage.k8s.io/";
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// `requests.storage`, or the same of one class: `gold.storageclass.storage.k8s.io/requests.storage`
pub(super) fn is_resource(name: &str) -> bool {
    let of_class = |(_, rest): (&str, &str)| PLAIN.contains(&rest);
    PLAIN.contains(&name) || name.rsplit_once(CLASS_INFIX).is_some_and(of_class)
}

/// The volume attributes classes that the claim has, wants or is on its way to.
pub fn attributes_classes(claim: &PersistentVolumeClaim) -> BTreeSet<&str> {
    let target = claim
        .status
        .modify_volume_status
        .as_ref()
        .map(|status| status.target_volume_attributes_class_name.as_str());
    let named = [
        claim.spec.volume_attributes_class_name.as_deref(),
        claim.status.current_volume_attributes_class_name.as_deref(),
        target,
    ];
    named
        .into_iter()
        .flatten()
        .filter(|name| !name.is_empty())
        .collect()
}

pub(super) fn usage(claim: &PersistentVolumeClaim) -> ResourceList {
    let one = || Quantity::from_i64(1, Format::DecimalSi);
    let class = claim
        .metadata
        .annotations
        .get(CLASS_ANNOTATION)
        .or(claim.spec.storage_class_name.as_ref());
    let class = class.filter(|class| !class.is_empty());
    let mut usage: ResourceList = [("persistentvolumeclaims".to_owned(), one())].into();
    if let Some(class) = class {
        usage.insert(format!("{class}{CLASS_INFIX}persistentvolumeclaims"), one());
    }
    if let Some(size) = size(claim) {
        usage.insert("requests.storage".to_owned(), size.clone());
        if let Some(class) = class {
            usage.insert(format!("{class}{CLASS_INFIX}requests.storage"), size);
        }
    }
    usage
}

/// What was asked for, or what is allocated by an expansion that was taken back, whichever is more; in whole bytes.
pub(super) fn size(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requested = claim.spec.resources.requests.get("storage")?;
    let allocated = claim.status.allocated_resources.get("storage");
    let size = allocated
        .filter(|allocated| *allocated > requested)
        .unwrap_or(requested);
    Some(if size.is_integer() {
        size.clone()
    } else {
        Quantity::from_i64(size.value(), size.format())
    })
}
