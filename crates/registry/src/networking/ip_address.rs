//! The addresses of services, and the ranges that they come from.

use api::networking::v1::{IPAddress, ParentReference, ServiceCIDR};
use apimachinery::field::{self, Error, ErrorList, IMMUTABLE, Path};
use apimachinery::validation::{
    is_cidr, is_dns1123_subdomain, is_ip, is_valid_path_segment_name, parse_cidr_sloppy,
};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::internal::shown;
use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::table;

/// IPAddresses.
pub struct IpAddresses;

impl Rules for IpAddresses {
    type Object = IPAddress;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::WholeFirst;

    fn check_name(name: &str, _prefix: bool) -> Vec<String> {
        let errors = is_ip(&Path::new(""), name);
        errors.into_iter().map(|error| error.detail).collect()
    }

    fn validate(address: &IPAddress) -> ErrorList {
        let path = Path::new("spec").child("parentRef");
        match &address.spec.parent_ref {
            Some(parent) => validate_parent(parent, &path),
            None => vec![Error::required(&path, "")],
        }
    }

    fn validate_update(_cx: &Context<'_>, address: &IPAddress, old: &IPAddress) -> ErrorList {
        let (new, old) = (&address.spec.parent_ref, &old.spec.parent_ref);
        if new == old {
            return ErrorList::new();
        }
        let shown = new
            .as_deref()
            .map_or(field::Value::Json("null".to_owned()), shown);
        vec![Error::immutable(&Path::new("spec").child("parentRef"), shown)]
    }

    fn row(object: &IPAddress, _now: Timestamp) -> Vec<Value> {
        table::network::ip_address(object)
    }
}

fn validate_parent(parent: &ParentReference, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if !parent.group.is_empty() {
        let wrong = is_dns1123_subdomain(&parent.group);
        errors.extend(messages(&path.child("group"), &parent.group, wrong));
    }
    for (text, field) in [(&parent.resource, "resource"), (&parent.name, "name")] {
        let at = path.child(field);
        if text.is_empty() {
            errors.push(Error::required(&at, ""));
        } else {
            errors.extend(messages(&at, text, is_valid_path_segment_name(text)));
        }
    }
    if !parent.namespace.is_empty() {
        let wrong = is_valid_path_segment_name(&parent.namespace);
        errors.extend(messages(&path.child("namespace"), &parent.namespace, wrong));
    }
    errors
}

/// ServiceCIDRs.
pub struct ServiceCidrs;

impl Rules for ServiceCidrs {
    type Object = ServiceCIDR;
    const STATUS_KEEPS_METADATA: bool = true;

    crate::spec!();
    crate::status!();

    fn validate(range: &ServiceCIDR) -> ErrorList {
        let (cidrs, path) = (&range.spec.cidrs, Path::new("spec").child("cidrs"));
        if cidrs.is_empty() {
            return vec![Error::required(&path, "at least one CIDR required")];
        }
        if cidrs.len() > 2 {
            let detail = "may only hold up to 2 values";
            return vec![Error::invalid(&path, shown(&range.spec), detail)];
        }
        let mut errors = ErrorList::new();
        for (index, cidr) in cidrs.iter().enumerate() {
            errors.extend(is_cidr(&path.index(index), cidr));
        }
        let families: Vec<Option<bool>> = cidrs
            .iter()
            .map(|cidr| parse_cidr_sloppy(cidr).map(|(address, _)| address.is_ipv6()))
            .collect();
        if families.len() == 2 && families[0] == families[1] && families[0].is_some() {
            let detail =
                "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            errors.push(Error::invalid(&path, cidrs.as_slice(), detail));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, range: &ServiceCIDR, old: &ServiceCIDR) -> ErrorList {
        let path = Path::new("spec").child("cidrs");
        let (new, old) = (&range.spec.cidrs, &old.spec.cidrs);
        let grows = old.len() == 1 && new.len() == 2;
        if new.len() != old.len() && !grows {
            return vec![Error::invalid(&path, new.as_slice(), IMMUTABLE)];
        }
        let pairs = new
            .iter()
            .zip(old)
            .enumerate()
            .filter(|(_, (new, old))| new != old);
        let mut errors: ErrorList = pairs
            .map(|(index, (new, _))| Error::invalid(&path.index(index), new.as_str(), IMMUTABLE))
            .collect();
        if grows {
            errors.extend(Self::validate(range));
        }
        errors
    }

    fn row(object: &ServiceCIDR, now: Timestamp) -> Vec<Value> {
        table::network::service_cidr(object, now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::tests::parse;

    #[test]
    fn names_of_addresses_are_canonical() {
        assert!(IpAddresses::check_name("10.0.0.1", false).is_empty());
        assert_eq!(
            IpAddresses::check_name("2001:DB8::1", false),
            ["must be in canonical form (\"2001:db8::1\")"]
        );
    }

    #[test]
    fn says_what_is_wrong_with_ranges() {
        let check = |cidrs: Value, expected: &[&str]| {
            let range: ServiceCIDR = parse(&json!({"spec": {"cidrs": cidrs}}));
            let errors: Vec<String> = ServiceCidrs::validate(&range)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(errors, expected);
        };
        check(json!(["10.0.0.0/16", "fd00::/64"]), &[]);
        check(
            json!([]),
            &["spec.cidrs: Required value: at least one CIDR required"],
        );
        check(
            json!(["10.0.0.0/16", "10.1.0.0/16"]),
            &[
                "spec.cidrs: Invalid value: [\"10.0.0.0/16\",\"10.1.0.0/16\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ],
        );
    }
}
