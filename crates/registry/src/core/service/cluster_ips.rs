//! What `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` may say together.

use std::collections::BTreeSet;

use api::core::v1::Service;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_ip_legacy;

use super::families::Family;
use super::fields::{NONE, is_headless, needs_cluster_ip};

pub fn validate(service: &Service, old: Option<&Service>) -> ErrorList {
    let mut errors = ErrorList::new();
    if !needs_cluster_ip(service) {
        return errors;
    }
    let (path, spec) = (Path::new("spec").child("clusterIPs"), &service.spec);
    let shown = || spec.cluster_ips.as_slice();
    match (spec.cluster_ip.as_str(), spec.cluster_ips.first()) {
        ("", Some(_)) => {
            errors.push(Error::invalid(
                &path,
                shown(),
                "must be empty when `clusterIP` is not specified",
            ));
        }
        ("", None) => {}
        (_, None) => errors.push(Error::required(&path, "")),
        (one, Some(first)) if one != first => {
            errors.push(Error::invalid(
                &path,
                shown(),
                "first value must match `clusterIP`",
            ));
        }
        _ => {}
    }
    errors.extend(validate_families(service));
    let known = old.map(|old| old.spec.cluster_ips.as_slice()).unwrap_or_default();
    let invalid = validate_addresses(service, known);
    let all_valid = invalid.is_empty();
    errors.extend(invalid);
    if spec.cluster_ips.len() > 2 {
        errors.push(Error::invalid(&path, shown(), "may only hold up to 2 values"));
    }
    if all_valid {
        errors.extend(validate_address_families(service));
    }
    errors
}

fn validate_families(service: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), &service.spec);
    let mut seen = BTreeSet::new();
    for (index, family) in spec.ip_families.iter().enumerate() {
        let path = path.child("ipFamilies").index(index);
        if !matches!(family.as_str(), "IPv4" | "IPv6") {
            errors.push(Error::not_supported(&path, family, &["IPv4", "IPv6"]));
        }
        if !seen.insert(family) {
            errors.push(Error::duplicate(&path, family));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if let Some(policy) = spec
        .ip_family_policy
        .as_ref()
        .filter(|policy| !policies.contains(&policy.as_str()))
    {
        errors.push(Error::not_supported(
            &path.child("ipFamilyPolicy"),
            policy,
            &policies,
        ));
    }
    errors
}

fn validate_addresses(service: &Service, known: &[String]) -> ErrorList {
    let path = Path::new("spec").child("clusterIPs");
    let ips = &service.spec.cluster_ips;
    let mut errors = ErrorList::new();
    for (index, ip) in ips.iter().enumerate() {
        if index == 0 && ip == NONE {
            if ips.len() > 1 {
                errors.push(Error::invalid(
                    &path,
                    ips.as_slice(),
                    "'None' must be the first and only value",
                ));
            }
        } else {
            errors.extend(is_ip_legacy(&path.index(index), ip, known));
        }
    }
    errors
}

fn validate_address_families(service: &Service) -> ErrorList {
    let path = Path::new("spec").child("clusterIPs");
    let (ips, families) = (&service.spec.cluster_ips, &service.spec.ip_families);
    let mut errors = ErrorList::new();
    if ips.len() > 1 {
        let has = |family| ips.iter().any(|ip| Family::of(ip) == family);
        if !(has(Family::V4) && has(Family::V6)) {
            let detail = "may specify no more than one IP for each IP family";
            errors.push(Error::invalid(&path, ips.as_slice(), detail));
        }
    }
    if is_headless(service) {
        return errors;
    }
    for (index, (ip, family)) in ips.iter().zip(families).enumerate() {
        let known = matches!(family.as_str(), "IPv4" | "IPv6");
        if known && Family::of(ip).name() != family {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&path.index(index), ip, detail));
        }
    }
    errors
}

/// Addresses stay as long as the service has any: only the second may come and go.
pub fn validate_change(service: &Service, old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    if !needs_cluster_ip(service) || !needs_cluster_ip(old) || (is_headless(service) && is_headless(old)) {
        return errors;
    }
    let path = Path::new("spec").child("clusterIPs");
    let (new, old) = (&service.spec.cluster_ips, &old.spec.cluster_ips);
    if new.len() == old.len() {
        for (index, _) in new
            .iter()
            .zip(old)
            .enumerate()
            .filter(|(_, (new, old))| new != old)
        {
            errors.push(Error::invalid(
                &path.index(index),
                new.as_slice(),
                "may not change once set",
            ));
        }
        return errors;
    }
    if new.is_empty() {
        errors.push(Error::invalid(
            &path.index(0),
            new.as_slice(),
            "primary clusterIP can not be unset",
        ));
    }
    if let (Some(first), Some(before)) = (new.first(), old.first())
        && first != before
    {
        errors.push(Error::invalid(
            &path.index(0),
            new.as_slice(),
            "may not change once set",
        ));
    }
    let single = service.spec.ip_family_policy.as_deref() == Some("SingleStack");
    if new.len() < old.len() && new.len() == 1 && !single {
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        let path = Path::new("spec").child("ipFamilyPolicy");
        errors.push(Error::invalid(
            &path,
            service.spec.ip_family_policy.clone(),
            detail,
        ));
    }
    errors
}

/// The same for families.
pub fn validate_family_change(service: &Service, old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    let headless = is_headless(service) || is_headless(old);
    if !needs_cluster_ip(service) || !needs_cluster_ip(old) || headless {
        return errors;
    }
    let path = Path::new("spec").child("ipFamilies").index(0);
    let (new, before) = (&service.spec.ip_families, &old.spec.ip_families);
    let changed = |errors: &mut ErrorList| {
        errors.push(Error::invalid(&path, new.as_slice(), "may not change once set"))
    };
    if new.len() == before.len() {
        new.iter()
            .zip(before)
            .filter(|(new, old)| new != old)
            .for_each(|_| changed(&mut errors));
        return errors;
    }
    if new.len() < before.len() && service.spec.cluster_ips.is_empty() {
        errors.push(Error::invalid(
            &path,
            new.as_slice(),
            "primary ipFamily can not be unset",
        ));
    }
    if let (Some(first), Some(old)) = (new.first(), before.first())
        && first != old
    {
        errors.push(Error::invalid(
            &path,
            service.spec.cluster_ips.as_slice(),
            "may not change once set",
        ));
    }
    let single = service.spec.ip_family_policy.as_deref() == Some("SingleStack");
    if new.len() < before.len() && new.len() == 1 && !single {
        let detail = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        let path = Path::new("spec").child("ipFamilyPolicy");
        errors.push(Error::invalid(
            &path,
            service.spec.ip_family_policy.clone(),
            detail,
        ));
    }
    errors
}
