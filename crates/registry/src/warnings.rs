//! What clients are warned of, though it is taken: deprecated, ambiguous or useless fields.
//!
//! Parts that many kinds have stand here; [`pod`] has what pods and templates say, [`ports`] and [`volumes`] parts of
//! it. Upstream: `pkg/api/*/warnings.go`, `k8s.io/apimachinery/pkg/util/validation`.

pub mod pod;
mod ports;
mod volumes;

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::core::v1::{NodeSelectorTerm, PersistentVolumeClaimSpec};
use apimachinery::field::Path;
use apimachinery::quantity::Quantity;
use apimachinery::quote::quote;
use apimachinery::validation::{
    canonical_ip, is_dns1123_label, is_valid_label_value, masked, parse_cidr_sloppy, parse_ip_sloppy,
};

const NODE_LABELS: [(&str, &str); 8] = [
    (
        "beta.kubernetes.io/arch",
        r#"deprecated since v1.14; use "kubernetes.io/arch" instead"#,
    ),
    (
        "beta.kubernetes.io/os",
        r#"deprecated since v1.14; use "kubernetes.io/os" instead"#,
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        r#"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#,
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        r#"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#,
    ),
    (
        "beta.kubernetes.io/instance-type",
        r#"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#,
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    (
        "node-role.kubernetes.io/master",
        r#"use "node-role.kubernetes.io/control-plane" instead"#,
    ),
];

/// Why a label of nodes should not be used any more.
pub(crate) fn deprecated_node_label(key: &str) -> Option<&'static str> {
    NODE_LABELS
        .iter()
        .find(|(label, _)| *label == key)
        .map(|(_, why)| *why)
}

/// A name that becomes part of the names of pods. `used` says of what.
pub(crate) fn pod_name(name: &str, used: &str) -> Option<String> {
    let wrong = is_dns1123_label(name);
    (!wrong.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in {used}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            wrong.join(" ")
        )
    })
}

/// The name of a workload, after which its pods are named.
pub(crate) fn workload_name(name: &str) -> Option<String> {
    pod_name(name, "Pod names and hostnames")
}

/// An address that other programs may read as another one.
pub(crate) fn address(value: &str, path: &Path) -> Option<String> {
    let sloppy = parse_ip_sloppy(value)?;
    let plain = canonical_ip(sloppy);
    if value.parse::<IpAddr>().is_err() || plain != sloppy {
        let plain = quote(&plain.to_string());
        return Some(format!(
            "{path}: non-standard IP address {} is invalid: use {plain}",
            quote(value)
        ));
    }
    let canonical = sloppy.to_string();
    (sloppy.is_ipv6() && canonical != value).then(|| {
        format!(
            "{path}: IPv6 address {} should be in RFC 5952 canonical format ({})",
            quote(value),
            quote(&canonical)
        )
    })
}

/// The same of a prefix, which may also have bits beyond its length.
pub(crate) fn cidr(value: &str, path: &Path) -> Vec<String> {
    let Some((sloppy, length)) = parse_cidr_sloppy(value) else {
        return Vec::new();
    };
    let (plain, mapped) = (canonical_ip(sloppy), canonical_ip(sloppy) != sloppy);
    let first = canonical_ip(masked(sloppy, length));
    let length = if mapped { length.saturating_sub(96) } else { length };
    let network = format!("{first}/{length}");
    let mut warnings = Vec::new();
    if plain != first {
        let bits = if plain.is_ipv4() { 32 } else { 128 };
        warnings.push(format!(
            "{path}: CIDR value {} is ambiguous in this context (should be {} or {}?)",
            quote(value),
            quote(&network),
            quote(&format!("{plain}/{bits}"))
        ));
    }
    let strict = value.split_once('/').is_some_and(|(address, text)| {
        address.parse::<IpAddr>().is_ok() && (text == "0" || !text.starts_with('0'))
    });
    if !strict || mapped {
        warnings.push(format!(
            "{path}: non-standard CIDR value {} is invalid: use {}",
            quote(value),
            quote(&network)
        ));
    }
    let canonical = format!("{sloppy}/{length}");
    if warnings.is_empty() && sloppy.is_ipv6() && canonical != value {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {} should be in RFC 5952 canonical format ({})",
            quote(value),
            quote(&canonical)
        ));
    }
    warnings
}

/// Labels of nodes in one of the terms that a node must meet. Values of preferred terms may be no labels.
pub(crate) fn node_selector_term(term: &NodeSelectorTerm, check_values: bool, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, expression) in term.match_expressions.iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let key = &expression.key;
        if let Some(why) = deprecated_node_label(key) {
            warnings.push(format!("{}: {key} is {why}", path.child("key")));
        }
        for (index, value) in expression.values.iter().enumerate().filter(|_| check_values) {
            let path = path.child("values").index(index);
            let wrong = is_valid_label_value(value).into_iter();
            warnings.extend(wrong.map(|why| format!("{path}: {value} is invalid, {why}")));
        }
    }
    warnings
}

/// An amount of bytes that is no whole number.
pub(crate) fn fractional(amounts: &BTreeMap<String, Quantity>, name: &str, path: &Path) -> Option<String> {
    let amount = amounts.get(name)?;
    (amount.milli_value() % 1000 != 0).then(|| {
        format!(
            "{}: fractional byte value {} is invalid, must be an integer",
            path.key(name),
            quote(&amount.to_string())
        )
    })
}

/// A claim, or the template of one.
pub(crate) fn claim(spec: &PersistentVolumeClaimSpec, path: &Path) -> Vec<String> {
    let path = path.child("resources");
    let (requests, limits) = (&spec.resources.requests, &spec.resources.limits);
    fractional(requests, "storage", &path.child("requests"))
        .into_iter()
        .chain(fractional(limits, "storage", &path.child("limits")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: impl IntoIterator<Item = String>, expected: &[&str]) {
        assert_eq!(given.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn addresses_that_are_read_in_two_ways() {
        let path = Path::new("ip");
        check(address("10.1.2.3", &path), &[]);
        check(address("no address", &path), &[]);
        check(
            address("010.1.2.3", &path),
            &[r#"ip: non-standard IP address "010.1.2.3" is invalid: use "10.1.2.3""#],
        );
        check(
            address("::ffff:1.2.3.4", &path),
            &[r#"ip: non-standard IP address "::ffff:1.2.3.4" is invalid: use "1.2.3.4""#],
        );
        check(
            address("2001:DB8:0::1", &path),
            &[r#"ip: IPv6 address "2001:DB8:0::1" should be in RFC 5952 canonical format ("2001:db8::1")"#],
        );
    }

    #[test]
    fn prefixes_that_are_read_in_two_ways() {
        let path = Path::new("cidr");
        check(cidr("10.0.0.0/8", &path), &[]);
        check(
            cidr("10.1.0.0/8", &path),
            &[
                r#"cidr: CIDR value "10.1.0.0/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.1.0.0/32"?)"#,
            ],
        );
        check(
            cidr("10.0.0.0/08", &path),
            &[r#"cidr: non-standard CIDR value "10.0.0.0/08" is invalid: use "10.0.0.0/8""#],
        );
        check(
            cidr("2001:DB8::/64", &path),
            &[
                r#"cidr: IPv6 CIDR value "2001:DB8::/64" should be in RFC 5952 canonical format ("2001:db8::/64")"#,
            ],
        );
    }

    #[test]
    fn names_that_pods_take_over() {
        check(workload_name("web"), &[]);
        let warning = workload_name("web.1").unwrap_or_default();
        assert!(
            warning
                .starts_with("metadata.name: this is used in Pod names and hostnames, which can result in"),
            "{warning}"
        );
    }
}
