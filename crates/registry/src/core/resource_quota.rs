//! ResourceQuotas.

use std::collections::BTreeSet;

use api::core::v1::{ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quantity::Quantity;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::pod::defaults::round_up;
use crate::internal::shown;
use crate::resources::{is_standard, validate_name, validate_quantity};
use crate::rules::Rules;
use crate::table;

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
const COMPUTE: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "storage"];

/// ResourceQuotas.
pub struct ResourceQuotas;

impl Rules for ResourceQuotas {
    type Object = ResourceQuota;
    const RETURNS_DELETED: bool = true;

    crate::spec!();
    crate::status!();

    fn default(quota: &mut ResourceQuota) {
        round_up(&mut quota.spec.hard);
        round_up(&mut quota.status.hard);
        round_up(&mut quota.status.used);
    }

    fn validate(quota: &ResourceQuota) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = validate_amounts(&quota.spec.hard, &path.child("hard"));
        errors.extend(validate_scopes(&quota.spec, &path));
        errors
    }

    fn validate_update(_cx: &Context<'_>, quota: &ResourceQuota, old: &ResourceQuota) -> ErrorList {
        let mut errors = Self::validate(quota);
        let set = |quota: &ResourceQuota| quota.spec.scopes.iter().cloned().collect::<BTreeSet<_>>();
        if set(quota) != set(old) {
            let path = Path::new("spec").child("scopes");
            errors.push(Error::immutable(&path, quota.spec.scopes.as_slice()));
        }
        errors
    }

    fn validate_status_update(quota: &ResourceQuota, _old: &ResourceQuota) -> ErrorList {
        let path = Path::new("status");
        let mut errors = validate_amounts(&quota.status.hard, &path.child("hard"));
        errors.extend(validate_amounts(&quota.status.used, &path.child("used")));
        errors
    }

    fn warnings(quota: &ResourceQuota, old: Option<&ResourceQuota>) -> Vec<String> {
        if old.is_some() {
            return Vec::new();
        }
        COMPUTE
            .iter()
            .filter_map(|name| requests_above_limits(&quota.spec, name))
            .collect()
    }

    fn row(quota: &ResourceQuota, now: Timestamp) -> Vec<Value> {
        table::cluster::resource_quota(quota, now)
    }
}

fn requests_above_limits(spec: &ResourceQuotaSpec, name: &str) -> Option<String> {
    let (request_name, limit_name) = (format!("requests.{name}"), format!("limits.{name}"));
    let limit = spec.hard.get(&limit_name)?;
    let plain = || {
        spec.hard
            .get(name)
            .filter(|_| matches!(name, "cpu" | "memory"))
            .map(|amount| (name, amount))
    };
    let stated = spec
        .hard
        .get(&request_name)
        .map(|amount| (request_name.as_str(), amount));
    let (request_name, request) = stated.or_else(plain)?;
    let above = request > limit;
    above.then(|| {
        format!("ResourceQuota {request_name} ({request}) should be less than {limit_name} ({limit})")
    })
}

fn validate_amounts(amounts: &std::collections::BTreeMap<String, Quantity>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (name, amount) in amounts {
        let path = path.key(name);
        errors.extend(validate_name(name, &path));
        if !name.contains('/') && !is_quota_resource(name) {
            let detail = "must be a standard resource for quota";
            errors.push(Error::invalid(&path, name, detail));
        }
        errors.extend(validate_quantity(name, amount, &path));
    }
    errors
}

fn validate_scopes(spec: &ResourceQuotaSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let at = path.child("scopes");
    let known = |scope: &String| SCOPES.contains(&scope.as_str());
    for scope in &spec.scopes {
        if !known(scope) {
            errors.push(Error::invalid(&at, spec.scopes.as_slice(), "unsupported scope"));
        }
        for _ in spec.hard.keys().filter(|name| !applies(scope, name)) {
            let detail = "unsupported scope applied to resource";
            errors.push(Error::invalid(&at, spec.scopes.as_slice(), detail));
        }
    }
    let has = |scope: &str| spec.scopes.iter().any(|own| own == scope);
    if (has("BestEffort") && has("NotBestEffort")) || (has("Terminating") && has("NotTerminating")) {
        errors.push(Error::invalid(&at, spec.scopes.as_slice(), "conflicting scopes"));
    }
    let Some(selector) = &spec.scope_selector else {
        return errors;
    };
    let path = path.child("scopeSelector").child("matchExpressions");
    for requirement in &selector.match_expressions {
        errors.extend(validate_requirement(spec, requirement, &path));
    }
    errors
}

fn is_quota_resource(name: &str) -> bool {
    name != "storage" && is_standard(name)
}

/// Whether a scope can narrow down the count of a resource.
fn applies(scope: &str, resource: &str) -> bool {
    let compute = || {
        let plain = resource
            .strip_prefix("requests.")
            .or(resource.strip_prefix("limits."));
        matches!(plain.unwrap_or(resource), "cpu" | "memory")
    };
    if !is_quota_resource(resource) {
        return true;
    }
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => resource == "pods" || compute(),
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

fn validate_requirement(
    spec: &ResourceQuotaSpec,
    requirement: &ScopedResourceSelectorRequirement,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, operator) = (requirement.scope_name.as_str(), requirement.operator.as_str());
    if !SCOPES.contains(&name) {
        errors.push(Error::invalid(
            &path.child("scopeName"),
            name,
            "unsupported scope",
        ));
    }
    for _ in spec.hard.keys().filter(|resource| !applies(name, resource)) {
        let selector = spec.scope_selector.as_deref();
        let value = selector.map_or_else(|| None::<String>.into(), shown);
        let detail = "unsupported scope applied to resource";
        errors.push(Error::invalid(path, value, detail));
    }
    let takes_values = matches!(name, "PriorityClass" | "VolumeAttributesClass") || !SCOPES.contains(&name);
    if !takes_values && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(Error::invalid(&path.child("operator"), operator, detail));
    }
    let values = path.child("values");
    match operator {
        "In" | "NotIn" if requirement.values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(Error::required(&values, detail));
        }
        "Exists" | "DoesNotExist" if !requirement.values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(Error::invalid(&values, requirement.values.as_slice(), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        )),
    }
    errors
}
