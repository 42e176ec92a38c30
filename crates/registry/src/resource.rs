//! Device claims.

use api::resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{MetadataChecks, Rules};
use crate::table;

/// DeviceClasses.
pub struct DeviceClasses;

impl Rules for DeviceClasses {
    type Object = DeviceClass;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    crate::generation!(spec);

    fn row(object: &DeviceClass, now: Timestamp) -> Vec<Value> {
        table::name_and_age(&object.metadata, now)
    }
}

/// ResourceClaims.
pub struct ResourceClaims;

impl Rules for ResourceClaims {
    type Object = ResourceClaim;
    const STATUS_KEEPS_METADATA: bool = true;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn row(object: &ResourceClaim, now: Timestamp) -> Vec<Value> {
        table::policy::resource_claim(object, now)
    }
}

/// ResourceClaimTemplates.
pub struct ResourceClaimTemplates;

impl Rules for ResourceClaimTemplates {
    type Object = ResourceClaimTemplate;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    fn row(object: &ResourceClaimTemplate, now: Timestamp) -> Vec<Value> {
        table::name_and_age(&object.metadata, now)
    }
}

/// ResourceSlices.
pub struct ResourceSlices;

impl Rules for ResourceSlices {
    type Object = ResourceSlice;
    const RETURNS_DELETED: bool = true;

    crate::generation!(spec);

    fn row(object: &ResourceSlice, now: Timestamp) -> Vec<Value> {
        table::policy::resource_slice(object, now)
    }
}
