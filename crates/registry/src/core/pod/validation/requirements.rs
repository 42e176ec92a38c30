//! Resources: requests and limits of containers and of the pod, overhead, resize policies, device claims.

use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::{Container, PodResourceClaim, PodSpec, ResourceRequirements};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quantity::Quantity;
use apimachinery::validation::{is_dns1123_label, name_is_dns_subdomain};

use crate::metadata::messages;
use crate::resources::{
    is_huge_page, is_overcommit_allowed, validate_container_name, validate_name, validate_quantity,
};

type NameRule = fn(&str, &Path) -> ErrorList;

pub(super) fn validate_container(
    resources: &ResourceRequirements,
    claims: &[PodResourceClaim],
    path: &Path,
) -> ErrorList {
    let mut errors = validate(resources, validate_container_name, path);
    errors.extend(validate_claim_names(resources, claims, &path.child("claims")));
    errors
}

/// Amounts for the pod as a whole bound those of its containers (KEP-2837).
pub(super) fn validate_pod(spec: &PodSpec, path: &Path) -> ErrorList {
    let Some(own) = spec.resources.as_deref() else {
        return ErrorList::new();
    };
    let path = path.child("resources");
    let mut errors = validate(own, validate_pod_name, &path);
    if !own.claims.is_empty() {
        errors.push(Error::forbidden(
            &path.child("claims"),
            "may not be set for Resources at pod-level",
        ));
    }
    let pod = api::core::v1::Pod {
        spec: PodSpec {
            resources: None,
            overhead: BTreeMap::new(),
            ..spec.clone()
        },
        ..Default::default()
    };
    for (name, needed) in api::pod_requests::spec_requests(&pod) {
        if let Some(request) = own.requests.get(&name).filter(|request| needed > **request) {
            let detail = format!("must be greater than or equal to aggregate container requests of {needed}");
            errors.push(Error::invalid(
                &path.child("requests").key(&name),
                request.to_string(),
                detail,
            ));
        }
    }
    errors
}

fn validate_pod_name(name: &str, path: &Path) -> ErrorList {
    let mut errors = validate_name(name, path);
    if !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
        errors.push(Error::not_supported(path, name, &["cpu", "hugepages-", "memory"]));
    }
    errors
}

fn validate(resources: &ResourceRequirements, name_rule: NameRule, path: &Path) -> ErrorList {
    let (limits, requests) = (path.child("limits"), path.child("requests"));
    let mut errors = ErrorList::new();
    for (name, limit) in &resources.limits {
        errors.extend(validate_amount(name, limit, name_rule, &limits.key(name)));
    }
    for (name, request) in &resources.requests {
        let path = requests.key(name);
        errors.extend(name_rule(name, &path));
        errors.extend(validate_quantity(name, request, &path));
        let limit = resources.limits.get(name);
        errors.extend(validate_request(name, request, limit, &requests, &limits));
        errors.extend(validate_huge_page(name, request, &path));
    }
    let all = || resources.limits.keys().chain(resources.requests.keys());
    let computes = all().any(|name| matches!(name.as_str(), "cpu" | "memory"));
    if !computes && all().any(|name| is_huge_page(name)) {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
    errors
}

fn validate_amount(name: &str, quantity: &Quantity, name_rule: NameRule, path: &Path) -> ErrorList {
    let mut errors = name_rule(name, path);
    errors.extend(validate_quantity(name, quantity, path));
    errors.extend(validate_huge_page(name, quantity, path));
    errors
}

fn validate_request(
    name: &str,
    request: &Quantity,
    limit: Option<&Quantity>,
    requests: &Path,
    limits: &Path,
) -> Option<Error> {
    let overcommit = is_overcommit_allowed(name);
    match limit {
        Some(limit) if request != limit && !overcommit => {
            let detail = format!("must be equal to {name} limit of {limit}");
            Some(Error::invalid(requests, request.to_string(), detail))
        }
        Some(limit) if request > limit => {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            Some(Error::invalid(requests, request.to_string(), detail))
        }
        None if !overcommit => Some(Error::required(
            limits,
            "Limit must be set for non overcommitable resources",
        )),
        _ => None,
    }
}

/// Huge pages come in whole pages.
fn validate_huge_page(name: &str, quantity: &Quantity, path: &Path) -> Option<Error> {
    let size = Quantity::parse(name.strip_prefix("hugepages-")?).ok()?.value();
    let whole = size > 0 && quantity.value() % size == 0;
    let detail = format!("quantity {quantity} is not an integer multiple of page size {size}");
    (!whole).then(|| Error::invalid(path, quantity.to_string(), detail))
}

pub(crate) fn validate_overhead(overhead: &BTreeMap<String, Quantity>, path: &Path) -> ErrorList {
    let amounts = overhead.iter();
    amounts
        .flat_map(|(name, amount)| validate_amount(name, amount, validate_container_name, &path.key(name)))
        .collect()
}

pub(super) fn validate_resize_policy(container: &Container, restart_policy: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = BTreeSet::new();
    for (index, policy) in container.resize_policy.iter().enumerate() {
        if !seen.insert(&policy.resource_name) {
            errors.push(Error::duplicate(&path.index(index), &policy.resource_name));
        }
        errors.extend(super::one_of(&policy.resource_name, &["cpu", "memory"], path));
        errors.extend(super::one_of(
            &policy.restart_policy,
            &["NotRequired", "RestartContainer"],
            path,
        ));
        if restart_policy == "Never" && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, &policy.restart_policy, detail));
        }
    }
    errors
}

/// The claims of a pod, which containers then name.
pub(super) fn validate_claims(spec: &PodSpec, path: &Path) -> ErrorList {
    let path = path.child("resourceClaims");
    let mut errors = ErrorList::new();
    let mut names = BTreeSet::new();
    for (index, claim) in spec.resource_claims.iter().enumerate() {
        let path = path.index(index);
        if claim.name.is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        } else if !names.insert(&claim.name) {
            errors.push(Error::duplicate(&path.child("name"), &claim.name));
        } else {
            errors.extend(messages(
                &path.child("name"),
                &claim.name,
                is_dns1123_label(&claim.name),
            ));
        }
        let sources = [
            ("resourceClaimName", &claim.resource_claim_name),
            ("resourceClaimTemplateName", &claim.resource_claim_template_name),
        ];
        match sources.iter().filter(|(_, source)| source.is_some()).count() {
            0 => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(Error::invalid(&path, crate::internal::shown(claim), detail));
            }
            1 => {}
            _ => {
                let detail =
                    "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(Error::invalid(&path, crate::internal::shown(claim), detail));
            }
        }
        for (field, name) in sources {
            if let Some(name) = name {
                errors.extend(messages(
                    &path.child(field),
                    name,
                    name_is_dns_subdomain(name, false),
                ));
            }
        }
    }
    errors
}

fn validate_claim_names(
    resources: &ResourceRequirements,
    claims: &[PodResourceClaim],
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = BTreeSet::new();
    for (index, claim) in resources.claims.iter().enumerate() {
        let path = path.index(index).child("name");
        if claim.name.is_empty() {
            errors.push(Error::required(&path, ""));
            continue;
        }
        if !seen.insert((&claim.name, &claim.request)) {
            errors.push(Error::duplicate(&path, &claim.name));
        }
        if !claims.iter().any(|own| own.name == claim.name) {
            errors.push(Error::not_found(&path, &claim.name));
        }
    }
    errors
}
