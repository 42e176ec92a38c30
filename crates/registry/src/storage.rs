//! Classes of storage, and what CSI drivers say of themselves.

use api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// StorageClasses.
pub struct StorageClasses;

impl Rules for StorageClasses {
    type Object = StorageClass;
    const RETURNS_DELETED: bool = true;

    fn row(object: &StorageClass, now: Timestamp) -> Vec<Value> {
        table::volume::storage_class(object, now)
    }
}

/// VolumeAttributesClasses.
pub struct VolumeAttributesClasses;

impl Rules for VolumeAttributesClasses {
    type Object = VolumeAttributesClass;
    const RETURNS_DELETED: bool = true;

    fn row(object: &VolumeAttributesClass, now: Timestamp) -> Vec<Value> {
        table::volume::volume_attributes_class(object, now)
    }
}

/// VolumeAttachments.
pub struct VolumeAttachments;

impl Rules for VolumeAttachments {
    type Object = VolumeAttachment;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::spec!();
    crate::status!();

    fn row(object: &VolumeAttachment, now: Timestamp) -> Vec<Value> {
        table::volume::volume_attachment(object, now)
    }
}

/// CSINodes.
pub struct CsiNodes;

impl Rules for CsiNodes {
    type Object = CSINode;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn row(object: &CSINode, now: Timestamp) -> Vec<Value> {
        table::volume::csi_node(object, now)
    }
}

/// CSIDrivers.
pub struct CsiDrivers;

impl Rules for CsiDrivers {
    type Object = CSIDriver;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(spec);

    fn row(object: &CSIDriver, now: Timestamp) -> Vec<Value> {
        table::volume::csi_driver(object, now)
    }
}

/// CSIStorageCapacities.
pub struct CsiStorageCapacities;

impl Rules for CsiStorageCapacities {
    type Object = CSIStorageCapacity;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn row(object: &CSIStorageCapacity, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&object.metadata)
    }
}
