//! What a claim was given, who uses it, and what drivers say of the devices.

use api::meta::v1::Condition;
use api::resource::v1::{
    AllocatedDeviceStatus, AllocationResult, DeviceAllocationConfiguration, DeviceRequestAllocationResult,
    NetworkDeviceData, ResourceClaim, ResourceClaimConsumerReference, ResourceClaimStatus,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_interface_address, is_qualified_name};
use serde_json::json;

use super::claims::{MOST_CONFIGS, Names, Stored, validate_configuration};
use super::names::{
    validate_label, validate_list, validate_parameters, validate_pool, validate_set, validate_uid,
};
use crate::core::pod::validation::scheduling::validate_node_selector;
use crate::internal;
use crate::metadata::messages;
use crate::storage::validate_driver_name;

const MOST_RESULTS: usize = 32;
const MOST_USERS: usize = 256;
const MOST_BINDING_CONDITIONS: usize = 4;
const MOST_CONDITIONS: usize = 8;
const MAX_DATA: usize = 10 * 1024;
const MOST_IPS: usize = 16;
const MAX_INTERFACE: usize = 256;
const MAX_HARDWARE_ADDRESS: usize = 128;
const MAX_REASON: usize = 1024;
const MAX_MESSAGE: usize = 32 * 1024;

/// A device, or a share of one: driver, pool, device, share.
type DeviceId<'a> = [&'a str; 4];

fn id_of_result(result: &DeviceRequestAllocationResult) -> DeviceId<'_> {
    let share = result.share_id.as_deref().unwrap_or_default();
    [&result.driver, &result.pool, &result.device, share]
}

fn id_of_status(status: &AllocatedDeviceStatus) -> DeviceId<'_> {
    let share = status.share_id.as_deref().unwrap_or_default();
    [&status.driver, &status.pool, &status.device, share]
}

fn shown_id([driver, pool, device, share]: DeviceId<'_>) -> apimachinery::field::Value {
    let text = |text: &str| json!(text).to_string();
    apimachinery::field::Value::Json(format!(
        r#"{{"Driver":{},"Pool":{},"Device":{},"ShareID":{}}}"#,
        text(driver),
        text(pool),
        text(device),
        text(share)
    ))
}

fn results(status: &ResourceClaimStatus) -> &[DeviceRequestAllocationResult] {
    let allocation = status.allocation.as_deref();
    allocation.map_or(&[], |allocation| &allocation.devices.results)
}

/// What drivers said of devices that are no longer allocated goes.
pub(super) fn drop_deallocated(status: &mut ResourceClaimStatus, old: &ResourceClaimStatus) {
    let allocated = |status: &ResourceClaimStatus, id: DeviceId<'_>| {
        results(status).iter().any(|result| id_of_result(result) == id)
    };
    let mut devices = std::mem::take(&mut status.devices);
    devices.retain(|device| {
        let id = id_of_status(device);
        !allocated(old, id) || allocated(status, id)
    });
    status.devices = devices;
}

/// Errors of a change of a claim's status.
pub(super) fn validate_update(claim: &ResourceClaim, old: &ResourceClaim) -> ErrorList {
    let (status, path) = (&claim.status, Path::new("status"));
    let names = Names::of(&claim.spec.devices);
    let reserved = path.child("reservedFor");
    let mut errors = validate_set(
        &status.reserved_for,
        MOST_USERS,
        &reserved,
        |user| user.uid.clone(),
        validate_user,
    );
    errors.extend(validate_device_statuses(status, &path.child("devices")));
    errors.extend(validate_reservations(claim, old, &reserved));
    let at = path.child("allocation");
    match (&status.allocation, &old.status.allocation) {
        (Some(new), Some(old)) if new != old => {
            errors.push(Error::immutable(&at, internal::shown(&**new)));
        }
        (Some(new), None) => errors.extend(validate_allocation(new, &names, &at)),
        _ => {}
    }
    errors
}

fn validate_user(user: &ResourceClaimConsumerReference, path: &Path) -> ErrorList {
    [
        ("resource", &user.resource),
        ("name", &user.name),
        ("uid", &user.uid),
    ]
    .into_iter()
    .filter(|(_, value)| value.is_empty())
    .map(|(field, _)| Error::required(&path.child(field), ""))
    .collect()
}

/// Only what is allocated can be reserved, and nothing new of a claim that goes away.
fn validate_reservations(claim: &ResourceClaim, old: &ResourceClaim, path: &Path) -> Option<Error> {
    let users = &claim.status.reserved_for;
    if users.is_empty() {
        return None;
    }
    if claim.status.allocation.is_none() {
        let detail = "may not be specified when `allocated` is not set";
        return Some(Error::forbidden(path, detail));
    }
    let deleted = claim.metadata.deletion_timestamp.is_some();
    let grows = users.iter().any(|user| !old.status.reserved_for.contains(user));
    (deleted && grows).then(|| {
        let detail =
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        Error::forbidden(path, detail)
    })
}

fn validate_allocation(allocation: &AllocationResult, names: &Names<'_>, path: &Path) -> ErrorList {
    let at = path.child("devices");
    let mut errors = validate_list(
        &allocation.devices.results,
        MOST_RESULTS,
        &at.child("results"),
        |result, path| validate_result(result, names, path),
    );
    errors.extend(validate_list(
        &allocation.devices.config,
        2 * MOST_CONFIGS,
        &at.child("config"),
        |config, path| validate_config(config, names, path),
    ));
    if let Some(selector) = &allocation.node_selector {
        errors.extend(validate_node_selector(selector, &path.child("nodeSelector")));
    }
    errors
}

fn validate_result(result: &DeviceRequestAllocationResult, names: &Names<'_>, path: &Path) -> ErrorList {
    let mut errors = names.validate(&result.request, &path.child("request"));
    errors.extend(validate_driver_name(&result.driver, &path.child("driver")));
    errors.extend(validate_pool(&result.pool, &path.child("pool")));
    errors.extend(validate_label(&result.device, &path.child("device")));
    errors.extend(validate_binding(
        &result.binding_conditions,
        &result.binding_failure_conditions,
        path,
    ));
    if let Some(share) = &result.share_id {
        errors.extend(validate_uid(share, &path.child("shareID")));
    }
    errors
}

/// Conditions that bind a pod to its node, or keep it from there: both or none of them, and none twice.
pub(super) fn validate_binding(bind: &[String], fail: &[String], path: &Path) -> ErrorList {
    let (bind_path, fail_path) = (
        path.child("bindingConditions"),
        path.child("bindingFailureConditions"),
    );
    let name = |name: &String, path: &Path| messages(path, name, is_qualified_name(name)).collect();
    let mut errors = validate_list(bind, MOST_BINDING_CONDITIONS, &bind_path, name);
    errors.extend(validate_list(fail, MOST_BINDING_CONDITIONS, &fail_path, name));
    for (index, condition) in bind.iter().enumerate() {
        if bind[..index].contains(condition) {
            errors.push(Error::duplicate(&bind_path.index(index), condition));
        }
    }
    for (index, condition) in fail.iter().enumerate() {
        let path = fail_path.index(index);
        if fail[..index].contains(condition) {
            errors.push(Error::duplicate(&path, condition));
        }
        if bind.contains(condition) {
            let detail = "bindingFailureConditions must not overlap with bindingConditions";
            errors.push(Error::invalid(&path, condition, detail));
        }
    }
    let none = apimachinery::field::Value::Json("null".to_owned());
    if bind.is_empty() && !fail.is_empty() {
        let detail = "bindingConditions are required to use bindingFailureConditions";
        errors.push(Error::invalid(&bind_path, none, detail));
    } else if fail.is_empty() && !bind.is_empty() {
        let detail = "bindingFailureConditions are required to use bindingConditions";
        errors.push(Error::invalid(&fail_path, none, detail));
    }
    errors
}

fn validate_config(config: &DeviceAllocationConfiguration, names: &Names<'_>, path: &Path) -> ErrorList {
    let (source, at) = (config.source.as_str(), path.child("source"));
    let sources = ["FromClaim", "FromClass"];
    let mut errors = ErrorList::new();
    if source.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !sources.contains(&source) {
        errors.push(Error::not_supported(&at, source, &sources));
    }
    errors.extend(names.validate_all(&config.requests, &path.child("requests")));
    errors.extend(validate_configuration(
        &config.device_configuration,
        Stored::No,
        path,
    ));
    errors
}

fn validate_device_statuses(status: &ResourceClaimStatus, path: &Path) -> ErrorList {
    let devices = &status.devices;
    let mut errors = validate_list(devices, usize::MAX, path, |device, path| {
        validate_device_status(device, results(status), path)
    });
    for (index, device) in devices.iter().enumerate() {
        let id = id_of_status(device);
        if devices[..index].iter().any(|other| id_of_status(other) == id) {
            errors.push(Error::duplicate(&path.index(index), shown_id(id)));
        }
    }
    errors
}

fn validate_device_status(
    device: &AllocatedDeviceStatus,
    results: &[DeviceRequestAllocationResult],
    path: &Path,
) -> ErrorList {
    let mut errors = validate_driver_name(&device.driver, &path.child("driver"));
    errors.extend(validate_pool(&device.pool, &path.child("pool")));
    errors.extend(validate_label(&device.device, &path.child("device")));
    if let Some(share) = &device.share_id {
        errors.extend(validate_uid(share, &path.child("shareID")));
    }
    let id = id_of_status(device);
    if !results.iter().any(|result| id_of_result(result) == id) {
        let detail = "must be an allocated device in the claim";
        errors.push(Error::invalid(path, shown_id(id), detail));
    }
    let at = path.child("conditions");
    if device.conditions.len() > MOST_CONDITIONS {
        errors.push(Error::too_many(&at, device.conditions.len(), MOST_CONDITIONS));
    }
    errors.extend(validate_conditions(&device.conditions, &at));
    if let Some(data) = device.data.as_ref().filter(|data| !data.raw.is_empty()) {
        errors.extend(validate_parameters(
            &data.raw,
            Some(MAX_DATA),
            &path.child("data"),
        ));
    }
    if let Some(network) = &device.network_data {
        errors.extend(validate_network(network, &path.child("networkData")));
    }
    errors
}

fn validate_network(network: &NetworkDeviceData, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (text, field, most) in [
        (&network.interface_name, "interfaceName", MAX_INTERFACE),
        (&network.hardware_address, "hardwareAddress", MAX_HARDWARE_ADDRESS),
    ] {
        if text.len() > most {
            errors.push(Error::too_long(&path.child(field), most));
        }
    }
    errors.extend(validate_set(
        &network.ips,
        MOST_IPS,
        &path.child("ips"),
        String::clone,
        |address, path| is_interface_address(path, address),
    ));
    errors
}

/// Errors of conditions in the form that all newer kinds share.
fn validate_conditions(conditions: &[Condition], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, condition) in conditions.iter().enumerate() {
        let (kind, path) = (condition.type_.as_str(), path.index(index));
        if conditions[..index].iter().any(|other| other.type_ == kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        errors.extend(messages(&path.child("type"), kind, is_qualified_name(kind)));
        let statuses = ["False", "True", "Unknown"];
        if !statuses.contains(&condition.status.as_str()) {
            let at = path.child("status");
            errors.push(Error::not_supported(&at, condition.status.as_str(), &statuses));
        }
        if condition.observed_generation < 0 {
            let at = path.child("observedGeneration");
            let detail = "must be greater than or equal to zero";
            errors.push(Error::invalid(&at, condition.observed_generation, detail));
        }
        if condition.last_transition_time.is_none() {
            errors.push(Error::required(&path.child("lastTransitionTime"), ""));
        }
        errors.extend(validate_reason(&condition.reason, &path.child("reason")));
        if condition.message.len() > MAX_MESSAGE {
            errors.push(Error::too_long(&path.child("message"), MAX_MESSAGE));
        }
    }
    errors
}

fn validate_reason(reason: &str, path: &Path) -> ErrorList {
    if reason.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = ErrorList::new();
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ':');
    let well_formed = reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && reason.chars().all(inner);
    if !well_formed {
        let detail = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
        errors.push(Error::invalid(path, reason, detail));
    }
    if reason.len() > MAX_REASON {
        errors.push(Error::too_long(path, MAX_REASON));
    }
    errors
}
