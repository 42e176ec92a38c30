//! What volume claims use, in all and by storage class.

use apimachinery::quantity::{Format, Quantity};

use super::ResourceList;
use crate::core::v1::PersistentVolumeClaim;

const CLASS_INFIX: &str = ".storageclass.storage.k8s.io/";
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn is_resource(name: &str) -> bool {
    name == "persistentvolumeclaims" || name == "requests.storage" || name.contains(CLASS_INFIX)
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

/// What was asked for, or what is allocated by an expansion that was taken back, whichever is more.
fn size(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requested = claim.spec.resources.requests.get("storage")?;
    let allocated = claim.status.allocated_resources.get("storage");
    Some(
        allocated
            .filter(|allocated| *allocated > requested)
            .unwrap_or(requested)
            .clone(),
    )
}
