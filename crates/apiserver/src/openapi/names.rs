//! Names of definitions, tags and operations.

use api::types::{Base, Type};

/// `k8s.io/api/core/v1` and `Pod` -> `io.k8s.api.core.v1.Pod`
pub fn definition(ty: &Type) -> String {
    let (domain, rest) = ty.package.path.split_once('/').unwrap_or((ty.package.path, ""));
    let reversed: Vec<&str> = domain.split('.').rev().collect();
    format!("{}.{}.{}", reversed.join("."), rest.replace('/', "."), ty.name)
}

pub const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The definition of a type that is not a struct in JSON; `None`: it is written in place.
pub fn built_in(base: Base) -> Option<&'static str> {
    Some(match base {
        Base::Quantity => "io.k8s.apimachinery.pkg.api.resource.Quantity",
        Base::IntOrString => "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        Base::Time => "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
        Base::MicroTime => "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
        Base::Duration => "io.k8s.apimachinery.pkg.apis.meta.v1.Duration",
        Base::FieldsV1 => "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        Base::RawExtension => "io.k8s.apimachinery.pkg.runtime.RawExtension",
        Base::Json => "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
        _ => return None,
    })
}

/// A group in camel case, without the common suffix: `rbac.authorization.k8s.io` -> `rbacAuthorization`.
pub fn group(group: &str) -> String {
    let mut name = String::new();
    for label in group.trim_end_matches(".k8s.io").split('.') {
        name.push_str(&if name.is_empty() {
            label.to_owned()
        } else {
            capitalized(label)
        });
    }
    if name.is_empty() { "core".to_owned() } else { name }
}

/// `apps_v1`
pub fn tag(group_name: &str, version: &str) -> String {
    format!("{}_{version}", group(group_name))
}

/// `AppsV1`
pub fn group_version(group_name: &str, version: &str) -> String {
    format!("{}{}", capitalized(&group(group_name)), capitalized(version))
}

pub fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
