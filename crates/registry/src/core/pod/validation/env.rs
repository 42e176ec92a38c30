//! Environment variables and where their values come from.

use api::core::v1::{EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{
    is_config_map_key, is_qualified_name, is_relaxed_env_var_name, name_is_dns_subdomain,
};

use crate::metadata::messages;

/// Fields of the pod that a variable may have as its value.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields of the pod that a file of a volume may show.
pub(super) const FILE_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// All fields that the API version knows under one name or another.
const KNOWN_FIELDS: [&str; 13] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const BYTE_DIVISORS: [&str; 13] = [
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

pub(super) fn validate(variables: &[EnvVar], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        let name = path.child("name");
        if variable.name.is_empty() {
            errors.push(Error::required(&name, ""));
        } else {
            errors.extend(messages(
                &name,
                &variable.name,
                is_relaxed_env_var_name(&variable.name),
            ));
        }
        if let Some(source) = &variable.value_from {
            errors.extend(validate_source(source, &variable.value, &path.child("valueFrom")));
        }
    }
    errors
}

fn validate_source(source: &EnvVarSource, value: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut count = 0;
    if let Some(field) = &source.field_ref {
        count += 1;
        errors.extend(validate_field(field, &ENV_FIELDS, &path.child("fieldRef")));
    }
    if let Some(resource) = &source.resource_field_ref {
        count += 1;
        errors.extend(validate_resource(
            resource,
            false,
            &path.child("resourceFieldRef"),
        ));
    }
    if let Some(key) = &source.config_map_key_ref {
        count += 1;
        errors.extend(validate_key(
            &key.local_object_reference.name,
            &key.key,
            &path.child("configMapKeyRef"),
        ));
    }
    if let Some(key) = &source.secret_key_ref {
        count += 1;
        errors.extend(validate_key(
            &key.local_object_reference.name,
            &key.key,
            &path.child("secretKeyRef"),
        ));
    }
    if let Some(file) = &source.file_key_ref {
        count += 1;
        let path = path.child("fileKeyRef");
        errors.extend((file.key.is_empty()).then(|| Error::required(&path.child("key"), "")));
        errors.extend((file.path.is_empty()).then(|| Error::required(&path.child("path"), "")));
        errors.extend((file.volume_name.is_empty()).then(|| Error::required(&path.child("volumeName"), "")));
    }
    let detail = match count {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !value.is_empty() => "may not be specified when `value` is not empty",
        1 => return errors,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(Error::invalid(path, "", detail));
    errors
}

/// A field of the pod, one of `supported`, or a label or annotation by its key.
pub(super) fn validate_field(field: &ObjectFieldSelector, supported: &[&str], path: &Path) -> ErrorList {
    if field.api_version.is_empty() {
        return vec![Error::required(&path.child("apiVersion"), "")];
    }
    let at = path.child("fieldPath");
    if field.field_path.is_empty() {
        return vec![Error::required(&at, "")];
    }
    let unknown = |detail: String| {
        vec![Error::invalid(
            &at,
            &field.field_path,
            format!("error converting fieldPath: {detail}"),
        )]
    };
    if field.api_version != "v1" {
        return unknown(format!("unsupported pod version: {}", field.api_version));
    }
    let text = field.field_path.as_str();
    if let Some((name, key)) = text.strip_suffix("']").and_then(|rest| rest.split_once("['")) {
        return match name {
            "metadata.annotations" => messages(path, key, is_qualified_name(&key.to_lowercase())).collect(),
            "metadata.labels" => messages(path, key, is_qualified_name(key)).collect(),
            _ => unknown(format!("field label does not support subscript: {text}")),
        };
    }
    // An old name of the same field.
    let name = if text == "spec.host" {
        "spec.nodeName"
    } else {
        text
    };
    if !KNOWN_FIELDS.contains(&name) {
        return unknown(format!("field label not supported: {text}"));
    }
    if supported.contains(&name) {
        Vec::new()
    } else {
        vec![Error::not_supported(&at, name, supported)]
    }
}

/// An amount of a container's resources, as a multiple of a divisor.
pub(super) fn validate_resource(selector: &ResourceFieldSelector, in_volume: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = selector.resource.as_str();
    let huge = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if in_volume && selector.container_name.is_empty() {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if name.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else if !RESOURCES.contains(&name) && !huge {
        errors.push(Error::not_supported(&path.child("resource"), name, &RESOURCES));
    }
    if selector.divisor.is_zero() {
        return errors;
    }
    let divisor = selector.divisor.to_string();
    let what = match name.split_once('.') {
        Some((_, "cpu")) => {
            if !matches!(divisor.as_str(), "1m" | "1") {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                errors.push(Error::invalid(&path.child("divisor"), name, detail));
            }
            return errors;
        }
        Some((_, "memory")) => "memory",
        Some((_, "ephemeral-storage")) => "local ephemeral storage",
        _ if huge => "hugepages",
        _ => return errors,
    };
    if !BYTE_DIVISORS.contains(&divisor.as_str()) {
        let values = BYTE_DIVISORS.join(", ");
        let detail = format!("only divisor's values {values} are supported with the {what} resource");
        errors.push(Error::invalid(&path.child("divisor"), name, detail));
    }
    errors
}

fn validate_key(name: &str, key: &str, path: &Path) -> ErrorList {
    let mut errors: ErrorList =
        messages(&path.child("name"), name, name_is_dns_subdomain(name, false)).collect();
    let path = path.child("key");
    if key.is_empty() {
        errors.push(Error::required(&path, ""));
    } else {
        errors.extend(messages(&path, key, is_config_map_key(key)));
    }
    errors
}

pub(super) fn validate_from(sources: &[EnvFromSource], list: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, source) in sources.iter().enumerate() {
        let path = list.index(index);
        if !source.prefix.is_empty() {
            errors.extend(messages(
                &path.child("prefix"),
                &source.prefix,
                is_relaxed_env_var_name(&source.prefix),
            ));
        }
        let config_map = source
            .config_map_ref
            .as_deref()
            .map(|source| &source.local_object_reference.name);
        let secret = source
            .secret_ref
            .as_deref()
            .map(|source| &source.local_object_reference.name);
        for (field, name) in [("configMapRef", config_map), ("secretRef", secret)] {
            let Some(name) = name else { continue };
            let path = path.child(field).child("name");
            if name.is_empty() {
                errors.push(Error::required(&path, ""));
            } else {
                errors.extend(messages(&path, name, name_is_dns_subdomain(name, false)));
            }
        }
        match (config_map, secret) {
            (None, None) => {
                errors.push(Error::invalid(
                    list,
                    "",
                    "must specify one of: `configMapRef` or `secretRef`",
                ));
            }
            (Some(_), Some(_)) => {
                errors.push(Error::invalid(
                    list,
                    "",
                    "may not have more than one field specified at a time",
                ));
            }
            _ => {}
        }
    }
    errors
}
