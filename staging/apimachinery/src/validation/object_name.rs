//! What the name of an object may be, which each kind chooses from these.

use super::{dns, key};

/// Checks a name. With `prefix` it is a `generateName`, to which letters and digits will be appended.
pub type NameCheck = fn(name: &str, prefix: bool) -> Vec<String>;

/// A prefix may end in a dash: the suffix makes it valid.
fn mask_trailing_dash(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => name.to_owned(),
    }
}

fn masked(check: fn(&str) -> Vec<String>, name: &str, prefix: bool) -> Vec<String> {
    if prefix {
        check(&mask_trailing_dash(name))
    } else {
        check(name)
    }
}

pub fn name_is_dns_subdomain(name: &str, prefix: bool) -> Vec<String> {
    masked(dns::is_dns1123_subdomain, name, prefix)
}

pub fn name_is_dns_label(name: &str, prefix: bool) -> Vec<String> {
    masked(dns::is_dns1123_label, name, prefix)
}

pub fn name_is_dns1035_label(name: &str, prefix: bool) -> Vec<String> {
    masked(dns::is_dns1035_label, name, prefix)
}

pub fn name_is_path_segment(name: &str, prefix: bool) -> Vec<String> {
    if prefix {
        key::is_valid_path_segment_prefix(name)
    } else {
        key::is_valid_path_segment_name(name)
    }
}
