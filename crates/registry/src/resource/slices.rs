//! What drivers offer: pools of devices and the counters that these share.

use api::core::v1::NodeSelector;
use api::resource::v1::{CounterSet, Device, ResourceSliceSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, is_qualified_name, is_valid_label_value};

use super::allocation::validate_binding;
use super::attributes;
use super::claims::EFFECTS;
use super::names::{
    MAX_QUALIFIED_NAME, validate_label, validate_list, validate_map, validate_pool, validate_qualified_name,
    validate_set,
};
use crate::core::pod::validation::scheduling::validate_node_selector;
use crate::internal;
use crate::metadata::{immutable_text, messages};
use crate::storage::validate_driver_name;

const MOST_DEVICES: usize = 128;
/// With taints, counters or lists of attributes.
const MOST_ADVANCED_DEVICES: usize = 64;
const MOST_COUNTER_SETS: usize = 8;
const MOST_COUNTERS: usize = 32;
const MOST_CONSUMPTIONS: usize = 2;
const MOST_TAINTS: usize = 16;
const MOST_ENTRIES: usize = 32;
const MOST_VALUES: usize = 48;
const MAX_LABEL: usize = 63;

pub(super) fn validate(spec: &ResourceSliceSpec, old: Option<&ResourceSliceSpec>, path: &Path) -> ErrorList {
    let mut errors = validate_driver_name(&spec.driver, &path.child("driver"));
    let at = path.child("pool");
    errors.extend(validate_pool(&spec.pool.name, &at.child("name")));
    if spec.pool.resource_slice_count <= 0 {
        errors.push(Error::invalid(
            &at.child("resourceSliceCount"),
            spec.pool.resource_slice_count,
            "must be greater than zero",
        ));
    }
    if spec.pool.generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.push(Error::invalid(
            &at.child("generation"),
            spec.pool.generation,
            detail,
        ));
    }
    if let Some(old) = old {
        let name = (&spec.pool.name, &old.pool.name);
        errors.extend(immutable_text(name.0, name.1, &at.child("name")));
        errors.extend(immutable_text(&spec.driver, &old.driver, &path.child("driver")));
        if spec.node_name != old.node_name {
            errors.push(Error::immutable(&path.child("nodeName"), spec.node_name.clone()));
        }
    }
    errors.extend(validate_nodes(spec, path));
    if !spec.shared_counters.is_empty() && !spec.devices.is_empty() {
        let detail = "only one of `sharedCounters` or `devices` is allowed";
        errors.push(Error::invalid(path, "", detail));
    }
    errors.extend(validate_devices(spec, old, &path.child("devices")));
    errors.extend(validate_set(
        &spec.shared_counters,
        MOST_COUNTER_SETS,
        &path.child("sharedCounters"),
        |set| set.name.clone(),
        |set: &CounterSet, path| validate_counters("name", &set.name, &set.counters, path),
    ));
    errors
}

/// One of the ways to say which nodes reach the devices.
fn validate_nodes(spec: &ResourceSliceSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut set = Vec::new();
    if let Some(name) = &spec.node_name {
        let at = path.child("nodeName");
        if name.is_empty() {
            let detail = "must be either unset or set to a non-empty string";
            errors.push(Error::invalid(&at, "", detail));
        } else {
            set.push("`nodeName`");
            errors.extend(messages(&at, name, is_dns1123_subdomain(name)));
        }
    }
    if let Some(selector) = &spec.node_selector {
        set.push("`nodeSelector`");
        errors.extend(validate_one_term(selector, &path.child("nodeSelector")));
    }
    for (flag, field, name) in [
        (spec.all_nodes, "allNodes", "`allNodes`"),
        (
            spec.per_device_node_selection,
            "perDeviceNodeSelection",
            "`perDeviceNodeSelection`",
        ),
    ] {
        match flag {
            Some(true) => set.push(name),
            Some(false) => errors.push(unset_or_true(&path.child(field))),
            None => {}
        }
    }
    let one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 => errors.push(Error::required(path, one)),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", set.join(", "));
            let detail = format!("{one}, but multiple fields are set");
            errors.push(Error::invalid(path, shown, detail));
        }
    }
    errors
}

fn unset_or_true(path: &Path) -> Error {
    Error::invalid(path, false, "must be either unset or set to true")
}

fn validate_one_term(selector: &NodeSelector, path: &Path) -> ErrorList {
    let mut errors = validate_node_selector(selector, path);
    if selector.node_selector_terms.len() != 1 {
        let shown = internal::shown_list(&selector.node_selector_terms);
        let path = path.child("nodeSelectorTerms");
        errors.push(Error::invalid(
            &path,
            shown,
            "must have exactly one node selector term",
        ));
    }
    errors
}

fn validate_devices(spec: &ResourceSliceSpec, old: Option<&ResourceSliceSpec>, path: &Path) -> ErrorList {
    let advanced = |device: &Device| {
        let lists = device.attributes.values().any(attributes::is_list);
        !device.taints.is_empty() || !device.consumes_counters.is_empty() || lists
    };
    let most = match spec.devices.iter().any(advanced) {
        true => MOST_ADVANCED_DEVICES,
        false => MOST_DEVICES,
    };
    let per_device = spec.per_device_node_selection == Some(true);
    validate_set(
        &spec.devices,
        most,
        path,
        |device| device.name.clone(),
        |device, path| {
            let before = old.and_then(|old| old.devices.iter().find(|before| before.name == device.name));
            let mut errors = validate_device(device, path);
            if before.is_none_or(|before| before.taints != device.taints) {
                errors.extend(validate_taints(device, &path.child("taints")));
            }
            errors.extend(validate_set(
                &device.consumes_counters,
                MOST_CONSUMPTIONS,
                &path.child("consumesCounters"),
                |consumption| consumption.counter_set.clone(),
                |consumption, path| {
                    let (set, counters) = (&consumption.counter_set, &consumption.counters);
                    validate_counters("counterSet", set, counters, path)
                },
            ));
            errors.extend(validate_device_nodes(device, per_device, path));
            errors.extend(validate_binding(
                &device.binding_conditions,
                &device.binding_failure_conditions,
                path,
            ));
            errors
        },
    )
}

fn validate_device(device: &Device, path: &Path) -> ErrorList {
    let mut errors = validate_label(&device.name, &path.child("name"));
    let entries = device.attributes.len() + device.capacity.len();
    if entries > MOST_ENTRIES {
        let detail = format!("the total number of attributes and capacities must not exceed {MOST_ENTRIES}");
        errors.push(Error::invalid(path, entries, detail));
    }
    let values: usize = device.attributes.values().map(attributes::count).sum();
    if values > MOST_VALUES {
        let detail = format!("the total number of attribute values must not exceed {MOST_VALUES}");
        errors.push(Error::invalid(path, values, detail));
    }
    let at = path.child("attributes");
    errors.extend(validate_map(
        &device.attributes,
        MAX_QUALIFIED_NAME,
        &at,
        validate_qualified_name,
        attributes::validate,
    ));
    let shared = device.allow_multiple_allocations == Some(true);
    errors.extend(validate_map(
        &device.capacity,
        MAX_QUALIFIED_NAME,
        &path.child("capacity"),
        validate_qualified_name,
        |capacity, path| attributes::validate_capacity(capacity, shared, path),
    ));
    errors
}

fn validate_taints(device: &Device, path: &Path) -> ErrorList {
    validate_list(&device.taints, MOST_TAINTS, path, |taint, path| {
        let key = taint.key.as_str();
        let mut errors: ErrorList = messages(&path.child("key"), key, is_qualified_name(key)).collect();
        let value = taint.value.as_str();
        if !value.is_empty() {
            errors.extend(messages(&path.child("value"), value, is_valid_label_value(value)));
        }
        let (effect, at) = (taint.effect.as_str(), path.child("effect"));
        if effect.is_empty() {
            errors.push(Error::required(&at, ""));
        } else if !EFFECTS.contains(&effect) {
            errors.push(Error::not_supported(&at, effect, &EFFECTS));
        }
        errors
    })
}

/// Errors of a named set of counters.
fn validate_counters<T>(
    field: &'static str,
    name: &str,
    counters: &std::collections::BTreeMap<String, T>,
    path: &Path,
) -> ErrorList {
    let mut errors = match name {
        "" => vec![Error::required(&path.child(field), "")],
        name => validate_label(name, &path.child(field)),
    };
    let at = path.child("counters");
    if counters.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if counters.len() > MOST_COUNTERS {
        errors.push(Error::too_many(&at, counters.len(), MOST_COUNTERS));
    } else {
        // Any amount will do.
        errors.extend(validate_map(counters, MAX_LABEL, &at, validate_label, |_, _| {
            ErrorList::new()
        }));
    }
    errors
}

/// Devices say which nodes reach them if, and only if, the slice leaves it to them.
fn validate_device_nodes(device: &Device, per_device: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if !per_device {
        if device.node_name.is_some() || device.node_selector.is_some() || device.all_nodes.is_some() {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
            errors.push(Error::invalid(path, None::<String>, detail));
        }
        return errors;
    }
    let mut set = Vec::new();
    if let Some(name) = &device.node_name {
        let at = path.child("nodeName");
        if name.is_empty() {
            errors.push(Error::invalid(&at, "", "must not be empty"));
        } else {
            set.push("`nodeName`");
            errors.extend(messages(&at, name, is_dns1123_subdomain(name)));
        }
    }
    if let Some(selector) = &device.node_selector {
        set.push("`nodeSelector`");
        errors.extend(validate_node_selector(selector, &path.child("nodeSelector")));
    }
    match device.all_nodes {
        Some(true) => set.push("`allNodes`"),
        Some(false) => errors.push(unset_or_true(&path.child("allNodes"))),
        None => {}
    }
    let one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    match set.len() {
        0 => errors.push(Error::required(path, one)),
        1 => {}
        _ => errors.push(Error::invalid(path, format!("{{{}}}", set.join(", ")), one)),
    }
    errors
}
