//! Values of a pod's own fields and resources, for environments and downward API volumes.
//! Upstream: `pkg/fieldpath`, `pkg/api/v1/resource`.

use api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector, ResourceRequirements};
use apimachinery::{quantity::Quantity, validation};
use std::collections::BTreeMap;

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("invalid key subscript in {path}: {problems}")]
    Subscript { path: String, problems: String },
    #[error("fieldPath {0:?} does not support subscript")]
    NoSubscript(String),
    #[error("unsupported fieldPath: {0}")]
    UnsupportedPath(String),
    #[error("unsupported container resource : {0}")]
    UnsupportedResource(String),
    #[error("container {0} not found")]
    NoContainer(String),
}

/// What a pod's fields don't say themselves.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Primary address first.
    pub pod_ips: Vec<String>,
    /// Primary address first.
    pub host_ips: Vec<String>,
    /// What the node offers: limits that a container doesn't have default to it.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// The value of a `fieldRef` in an environment.
pub fn field(selector: &ObjectFieldSelector, pod: &Pod, around: &Surroundings) -> Result<String, Error> {
    Ok(match selector.field_path.as_str() {
        "spec.nodeName" => pod.spec.node_name.clone(),
        "spec.serviceAccountName" => pod.spec.service_account_name.clone(),
        "status.hostIP" => around.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => around.host_ips.join(","),
        "status.podIP" => around.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => around.pod_ips.join(","),
        path => metadata_field(path, pod)?,
    })
}

/// The value of a metadata field, the only ones that volumes offer.
pub fn metadata_field(path: &str, pod: &Pod) -> Result<String, Error> {
    let meta = &pod.metadata;
    if let Some((name, key)) = subscript(path) {
        let (map, checked) = match name {
            "metadata.annotations" => (&meta.annotations, key.to_lowercase()),
            "metadata.labels" => (&meta.labels, key.to_owned()),
            _ => return Err(Error::NoSubscript(path.to_owned())),
        };
        let problems = validation::is_qualified_name(&checked);
        if !problems.is_empty() {
            return Err(Error::Subscript {
                path: path.to_owned(),
                problems: problems.join(";"),
            });
        }
        return Ok(map.get(key).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.annotations" => format_map(&meta.annotations),
        "metadata.labels" => format_map(&meta.labels),
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        _ => return Err(Error::UnsupportedPath(path.to_owned())),
    })
}

/// `path['key']` as its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?
        .split_once("['")
        .filter(|(name, _)| !name.is_empty())
}

/// One `key="value"` line an entry, sorted; values quoted as in Go.
fn format_map(map: &BTreeMap<String, String>) -> String {
    map.iter()
        .map(|(key, value)| format!("{key}={}", go_quote(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Go's `%q`, which differs from Rust's `{:?}` in how it writes control characters.
fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The value of a `resourceFieldRef`, in units of its divisor, rounded up.
pub fn resource(
    selector: &ResourceFieldSelector,
    pod: &Pod,
    container: Option<&Container>,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<String, Error> {
    let container = match (selector.container_name.as_str(), container) {
        ("", Some(container)) => container,
        (name, _) => pod
            .spec
            .containers
            .iter()
            .chain(&pod.spec.init_containers)
            .find(|container| container.name == name)
            .ok_or_else(|| Error::NoContainer(name.to_owned()))?,
    };
    let amount = amount(&selector.resource, pod, &container.resources, allocatable)
        .ok_or_else(|| Error::UnsupportedResource(selector.resource.clone()))?;
    let cpu = selector.resource.ends_with(".cpu");
    let scale = |quantity: &Quantity| {
        if cpu {
            quantity.milli_value()
        } else {
            quantity.value()
        }
    };
    let divisor = if selector.divisor.is_zero() {
        if cpu { 1000 } else { 1 }
    } else {
        scale(&selector.divisor)
    };
    let value = scale(&amount);
    Ok(ceil_div(value, divisor.max(1)).to_string())
}

fn ceil_div(value: i64, divisor: i64) -> i64 {
    let quotient = value / divisor;
    if value % divisor > 0 {
        quotient + 1
    } else {
        quotient
    }
}

/// A limit that isn't set is what the node offers; a request that isn't set is nothing.
fn amount(
    name: &str,
    pod: &Pod,
    resources: &ResourceRequirements,
    allocatable: &BTreeMap<String, Quantity>,
) -> Option<Quantity> {
    let overcommitted = |resource: &str| matches!(resource, "cpu" | "memory" | "ephemeral-storage");
    if let Some(resource) = name.strip_prefix("limits.") {
        let limit = resources.limits.get(resource).filter(|limit| !limit.is_zero());
        if resource.starts_with("hugepages-") {
            return Some(limit.cloned().unwrap_or_default());
        }
        let pod_limit = pod
            .spec
            .resources
            .as_ref()
            .and_then(|resources| resources.limits.get(resource));
        return overcommitted(resource).then(|| {
            limit
                .or(pod_limit)
                .or(allocatable.get(resource))
                .cloned()
                .unwrap_or_default()
        });
    }
    let resource = name.strip_prefix("requests.")?;
    (overcommitted(resource) || resource.starts_with("hugepages-"))
        .then(|| resources.requests.get(resource).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = "web".into();
        pod.metadata.labels = [("app".into(), "a\"b".into()), ("z".into(), "1".into())].into();
        pod.metadata.annotations = [("Note".into(), "x\ny".into())].into();
        pod
    }

    #[test]
    fn metadata_fields() {
        let pod = pod();
        let read = |path: &str| metadata_field(path, &pod).map_err(|error| error.to_string());
        assert_eq!(read("metadata.name"), Ok("web".into()));
        assert_eq!(read("metadata.labels"), Ok("app=\"a\\\"b\"\nz=\"1\"".into()));
        assert_eq!(read("metadata.labels['z']"), Ok("1".into()));
        assert_eq!(read("metadata.annotations['Note']"), Ok("x\ny".into()));
        assert_eq!(read("metadata.annotations"), Ok("Note=\"x\\ny\"".into()));
        assert_eq!(
            read("metadata.name['x']"),
            Err("fieldPath \"metadata.name['x']\" does not support subscript".into())
        );
        assert_eq!(read("spec.nope"), Err("unsupported fieldPath: spec.nope".into()));
    }

    #[test]
    fn resources_are_rounded_up_and_default_to_the_node() {
        let quantity = |text: &str| Quantity::parse(text).unwrap();
        let mut container = Container {
            name: "c".into(),
            ..Container::default()
        };
        container.resources.limits.insert("cpu".into(), quantity("250m"));
        container
            .resources
            .requests
            .insert("memory".into(), quantity("100Mi"));
        let allocatable = [("memory".to_owned(), quantity("8Gi"))].into();
        let read = |resource_name: &str, divisor: &str| {
            let selector = ResourceFieldSelector {
                resource: resource_name.into(),
                divisor: quantity(divisor),
                ..ResourceFieldSelector::default()
            };
            resource(&selector, &pod(), Some(&container), &allocatable).map_err(|error| error.to_string())
        };
        assert_eq!(read("limits.cpu", "0"), Ok("1".into()));
        assert_eq!(read("limits.cpu", "1m"), Ok("250".into()));
        assert_eq!(read("requests.memory", "1Mi"), Ok("100".into()));
        assert_eq!(read("requests.memory", "1Gi"), Ok("1".into()));
        assert_eq!(read("limits.memory", "1Gi"), Ok("8".into()));
        assert_eq!(read("requests.cpu", "1"), Ok("0".into()));
        assert_eq!(
            read("limits.gpu", "1"),
            Err("unsupported container resource : limits.gpu".into())
        );
    }
}
