//! Names and amounts of resources, as nodes, containers, quotas and limit ranges state them.
//!
//! Upstream: `pkg/apis/core/helper`, the resource parts of `pkg/apis/core/validation`.

use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quantity::Quantity;
use apimachinery::validation::is_qualified_name;

use crate::metadata::messages;

pub const NEGATIVE: &str = "must be greater than or equal to 0";
const NOT_INTEGER: &str = "must be an integer";
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
    "requests.storage",
];
const INTEGER: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_quota_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

/// Resources that Kubernetes itself defines.
pub fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || is_quota_huge_page(name)
}

/// Resources without a domain, or of the project's own domain.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Resources that nodes advertise and Kubernetes knows nothing of.
pub fn is_extended(name: &str) -> bool {
    if is_native(name) || name.starts_with("requests.") {
        return false;
    }
    is_qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether requests may be lower than limits.
pub fn is_overcommit_allowed(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Resources that a container asks for.
pub fn is_standard_container_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

/// Whether amounts are whole numbers.
fn is_integer(name: &str) -> bool {
    INTEGER.contains(&name) || is_extended(name)
}

/// Errors of the name of any resource.
pub fn validate_name(name: &str, path: &Path) -> ErrorList {
    let errors: ErrorList = messages(path, name, is_qualified_name(name)).collect();
    if errors.is_empty() && !name.contains('/') && !is_standard(name) {
        return vec![Error::invalid(
            path,
            name,
            "must be a standard resource type or fully qualified",
        )];
    }
    errors
}

/// Errors of the name of a container's resource.
pub fn validate_container_name(name: &str, path: &Path) -> ErrorList {
    let mut errors = validate_name(name, path);
    if !name.contains('/') {
        if !is_standard_container_resource(name) {
            errors.push(Error::invalid(
                path,
                name,
                "must be a standard resource for containers",
            ));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(Error::invalid(
            path,
            name,
            "doesn't follow extended resource name standard",
        ));
    }
    errors
}

/// Errors of an amount.
pub fn validate_quantity(name: &str, quantity: &Quantity, path: &Path) -> ErrorList {
    let mut errors = validate_nonnegative(quantity, path);
    if is_integer(name) && !quantity.is_integer() {
        errors.push(Error::invalid(path, quantity.to_string(), NOT_INTEGER));
    }
    errors
}

pub fn validate_nonnegative(quantity: &Quantity, path: &Path) -> ErrorList {
    if quantity.sign() >= 0 {
        ErrorList::new()
    } else {
        vec![Error::invalid(path, quantity.to_string(), NEGATIVE)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_kinds_of_resources() {
        for (name, extended, overcommit, ok) in [
            ("cpu", false, true, true),
            ("hugepages-2Mi", false, false, true),
            ("example.com/gpu", true, false, true),
            ("kubernetes.io/x", false, true, true),
            ("gpu", false, true, false),
            ("requests.example.com/x", false, false, false),
        ] {
            assert_eq!(is_extended(name), extended, "{name}");
            assert_eq!(is_overcommit_allowed(name), overcommit, "{name}");
            assert_eq!(
                validate_container_name(name, &Path::new("r")).is_empty(),
                ok,
                "{name}"
            );
        }
    }
}
