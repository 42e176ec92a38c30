//! Dynamic resource allocation: classes of devices, claims to them, and what drivers offer.
//!
//! Expressions of selectors are taken as they are: nothing here compiles CEL.
//!
//! Upstream: `pkg/apis/resource/validation`, `pkg/registry/resource`.

mod allocation;
mod attributes;
mod claims;
mod names;
mod slices;

use api::resource::v1::{
    Device, DeviceClass, DeviceClassSpec, ResourceClaim, ResourceClaimTemplate, ResourceSlice,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::time::Time;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use self::claims::Stored;
use crate::metadata::validate_template_metadata;
use crate::resources::is_extended;
use crate::rules::{MetadataChecks, Rules};
use crate::{internal, table};

/// DeviceClasses.
pub struct DeviceClasses;

impl Rules for DeviceClasses {
    type Object = DeviceClass;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    crate::generation!(spec);

    fn validate_create(_cx: &Context<'_>, class: &DeviceClass) -> ErrorList {
        validate_class(&class.spec, None)
    }

    fn validate_update(_cx: &Context<'_>, class: &DeviceClass, old: &DeviceClass) -> ErrorList {
        validate_class(&class.spec, Some(&old.spec))
    }

    fn row(object: &DeviceClass, now: Timestamp) -> Vec<Value> {
        table::name_and_age(&object.metadata, now)
    }
}

/// What was stored as it is counts as valid, whatever its size.
fn validate_class(spec: &DeviceClassSpec, old: Option<&DeviceClassSpec>) -> ErrorList {
    let stored = |same: bool| if same { Stored::Yes } else { Stored::No };
    let path = Path::new("spec");
    let selectors = stored(old.is_some_and(|old| old.selectors == spec.selectors));
    let mut errors = claims::validate_selectors(&spec.selectors, &path.child("selectors"), selectors);
    let config = stored(old.is_some_and(|old| old.config == spec.config));
    errors.extend(names::validate_list(
        &spec.config,
        claims::MOST_CONFIGS,
        &path.child("config"),
        |own, path| claims::validate_configuration(&own.device_configuration, config, path),
    ));
    if let Some(name) = spec
        .extended_resource_name
        .as_deref()
        .filter(|name| !is_extended(name))
    {
        let path = path.child("extendedResourceName");
        errors.push(Error::invalid(
            &path,
            name,
            "must be a valid extended resource name",
        ));
    }
    errors
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

    fn default(claim: &mut ResourceClaim) {
        claims::default(&mut claim.spec.devices);
        if let Some(allocation) = &mut claim.status.allocation {
            for result in &mut allocation.devices.results {
                claims::default_tolerations(&mut result.tolerations);
            }
        }
    }

    fn prepare_status_update(_cx: &Context<'_>, claim: &mut ResourceClaim, old: &ResourceClaim) {
        allocation::drop_deallocated(&mut claim.status, &old.status);
    }

    fn validate(claim: &ResourceClaim) -> ErrorList {
        claims::validate(&claim.spec.devices, &Path::new("spec").child("devices"))
    }

    /// Nothing of the spec changes, so that nothing else is said of it.
    fn validate_update(_cx: &Context<'_>, claim: &ResourceClaim, old: &ResourceClaim) -> ErrorList {
        if claim.spec == old.spec {
            return ErrorList::new();
        }
        vec![Error::immutable(&Path::new("spec"), internal::shown(&claim.spec))]
    }

    fn validate_status_update(claim: &ResourceClaim, old: &ResourceClaim) -> ErrorList {
        allocation::validate_update(claim, old)
    }

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

    fn default(template: &mut ResourceClaimTemplate) {
        claims::default(&mut template.spec.spec.devices);
    }

    fn validate(template: &ResourceClaimTemplate) -> ErrorList {
        let (spec, path) = (&template.spec, Path::new("spec"));
        let mut errors = validate_template_metadata(&spec.metadata, &path.child("metadata"));
        let path = path.child("spec").child("devices");
        errors.extend(claims::validate(&spec.spec.devices, &path));
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        template: &ResourceClaimTemplate,
        old: &ResourceClaimTemplate,
    ) -> ErrorList {
        let mut errors = Self::validate(template);
        if template.spec != old.spec {
            let shown = internal::shown(&template.spec);
            errors.push(Error::immutable(&Path::new("spec"), shown));
        }
        errors
    }

    fn row(object: &ResourceClaimTemplate, now: Timestamp) -> Vec<Value> {
        table::name_and_age(&object.metadata, now)
    }
}

/// ResourceSlices.
pub struct ResourceSlices;

impl Rules for ResourceSlices {
    type Object = ResourceSlice;
    const RETURNS_DELETED: bool = true;
    const FIELDS: &'static [&'static str] = &["spec.driver", "spec.nodeName"];

    crate::generation!(spec);

    fn prepare_create(cx: &Context<'_>, slice: &mut ResourceSlice) {
        prepare_devices(cx, slice, None);
    }

    fn prepare_update(cx: &Context<'_>, slice: &mut ResourceSlice, old: &ResourceSlice) {
        prepare_devices(cx, slice, Some(old));
    }

    fn validate_create(_cx: &Context<'_>, slice: &ResourceSlice) -> ErrorList {
        slices::validate(&slice.spec, None, &Path::new("spec"))
    }

    fn validate_update(_cx: &Context<'_>, slice: &ResourceSlice, old: &ResourceSlice) -> ErrorList {
        slices::validate(&slice.spec, Some(&old.spec), &Path::new("spec"))
    }

    fn warnings(slice: &ResourceSlice, _old: Option<&ResourceSlice>) -> Vec<String> {
        let driver = &slice.spec.driver;
        if *driver == driver.to_lowercase() {
            return Vec::new();
        }
        vec![format!(
            "spec.driver: driver names should be lowercase; {driver:?} contains uppercase characters"
        )]
    }

    fn field(slice: &ResourceSlice, field: &str) -> Option<String> {
        match field {
            "spec.driver" => Some(slice.spec.driver.clone()),
            "spec.nodeName" => Some(slice.spec.node_name.clone().unwrap_or_default()),
            _ => None,
        }
    }

    fn row(object: &ResourceSlice, now: Timestamp) -> Vec<Value> {
        table::policy::resource_slice(object, now)
    }
}

/// Dates taints, and drops what is off by default unless it is in use already.
fn prepare_devices(cx: &Context<'_>, slice: &mut ResourceSlice, old: Option<&ResourceSlice>) {
    let used = |what: fn(&Device) -> bool| old.is_some_and(|old| old.spec.devices.iter().any(what));
    let lists = used(|device| device.attributes.values().any(attributes::is_list));
    let mappings = used(|device| !device.node_allocatable_resource_mappings.is_empty());
    for device in &mut slice.spec.devices {
        for taint in &mut device.taints {
            taint.time_added.get_or_insert(Time(cx.now).truncated());
        }
        if !lists {
            device.attributes.values_mut().for_each(attributes::drop_lists);
        }
        if !mappings {
            device.node_allocatable_resource_mappings.clear();
        }
    }
}

#[cfg(test)]
mod tests;
