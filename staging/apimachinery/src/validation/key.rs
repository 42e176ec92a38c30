//! Keys and values of labels, and keys that have a domain in front.

use super::dns::{SUBDOMAIN_MAX, is_dns1123_subdomain, subdomain_format_error};
use super::message::{empty_error, max_len_bytes_error, regex_error};
use crate::field::{Error, ErrorList, Path};

const KEY_MAX: usize = 63;
const KEY_PATTERN: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const KEY_MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const KEY_EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
const VALUE_PATTERN: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const VALUE_MESSAGE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

fn is_key_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes
                    .iter()
                    .all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        }
        _ => false,
    }
}

/// A name with an optional domain in front, as in `example.com/name`: keys of labels, annotations, taints,
/// extended resources.
pub fn is_qualified_name(value: &str) -> Vec<String> {
    is_label_key(value)
}

pub fn is_label_key(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let format_error = || regex_error(KEY_MESSAGE, KEY_PATTERN, &KEY_EXAMPLES);
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            let detail = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {detail}", format_error())];
        }
        Some(("", name)) => {
            errors.push(format!("prefix part {}", empty_error()));
            name
        }
        Some((prefix, name)) => {
            if prefix.len() > SUBDOMAIN_MAX {
                errors.push(format!("prefix part {}", max_len_bytes_error(SUBDOMAIN_MAX)));
            }
            errors.extend(subdomain_format_error(prefix).map(|error| format!("prefix part {error}")));
            name
        }
    };
    if name.is_empty() {
        errors.push(format!("name part {}", empty_error()));
    } else if name.len() > KEY_MAX {
        errors.push(format!("name part {}", max_len_bytes_error(KEY_MAX)));
    }
    if !is_key_name(name) {
        errors.push(format!("name part {}", format_error()));
    }
    errors
}

pub fn is_valid_label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > KEY_MAX {
        errors.push(max_len_bytes_error(KEY_MAX));
    }
    if !value.is_empty() && !is_key_name(value) {
        errors.push(regex_error(
            VALUE_MESSAGE,
            VALUE_PATTERN,
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

const HTTP_PATH_PATTERN: &str = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

/// A domain and a path, as in `acme.io/foo`.
pub fn is_domain_prefixed_path(path: &Path, value: &str) -> ErrorList {
    if value.is_empty() {
        return vec![Error::required(path, "")];
    }
    let (host, rest) = match value.split_once('/') {
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => (host, rest),
        _ => {
            return vec![Error::invalid(
                path,
                value,
                "must be a domain-prefixed path (such as \"acme.io/foo\")",
            )];
        }
    };
    let mut errors: ErrorList = is_dns1123_subdomain(host)
        .into_iter()
        .map(|message| Error::invalid(path, host, message))
        .collect();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(allowed) {
        errors.push(Error::invalid(
            path,
            rest,
            regex_error("Invalid path", HTTP_PATH_PATTERN, &[]),
        ));
    }
    errors
}

/// A label key whose domain is not optional.
pub fn is_domain_prefixed_key(path: &Path, key: &str) -> ErrorList {
    if key.is_empty() {
        return vec![Error::required(path, "")];
    }
    let errors: ErrorList = is_label_key(key)
        .into_iter()
        .map(|message| Error::invalid(path, key, message))
        .collect();
    if errors.is_empty() && !key.contains('/') {
        return vec![Error::invalid(
            path,
            key,
            "must be a domain-prefixed key (such as \"acme.io/foo\")",
        )];
    }
    errors
}

/// A name that can be a segment of a URL or of a storage key.
pub fn is_valid_path_segment_name(name: &str) -> Vec<String> {
    match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => is_valid_path_segment_prefix(name),
    }
}

/// The start of such a name.
pub fn is_valid_path_segment_prefix(name: &str) -> Vec<String> {
    ["/", "%"]
        .iter()
        .filter(|part| name.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}
