//! Names and lists of device claims and slices.

use std::collections::BTreeMap;

use apimachinery::field::{Error, ErrorList, Path, Value as Shown};
use apimachinery::validation::{is_c_identifier, is_dns1123_label, is_dns1123_subdomain};

use crate::metadata::messages;
use crate::storage::validate_driver_name;

const MAX_POOL_NAME: usize = 253;
const MAX_ID: usize = 32;
/// The longest key of attributes and capacities that errors show whole: a domain, a slash and an identifier.
pub(super) const MAX_QUALIFIED_NAME: usize = 63 + 1 + MAX_ID;
/// What errors show of a longer key at least.
const MIN_SHOWN_KEY: usize = 16;
const UUID: usize = 36;

/// Errors of a list: too many items, which is all that is said then, or those of its items.
pub(super) fn validate_list<T>(
    items: &[T],
    most: usize,
    path: &Path,
    validate: impl Fn(&T, &Path) -> ErrorList,
) -> ErrorList {
    if items.len() > most {
        return vec![Error::too_many(path, items.len(), most)];
    }
    let items = items.iter().enumerate();
    items
        .flat_map(|(index, item)| validate(item, &path.index(index)))
        .collect()
}

/// The same for a list whose items differ in a key.
pub(super) fn validate_set<T, K: PartialEq + Into<Shown>>(
    items: &[T],
    most: usize,
    path: &Path,
    key: impl Fn(&T) -> K,
    validate: impl Fn(&T, &Path) -> ErrorList,
) -> ErrorList {
    let mut errors = validate_list(items, most, path, validate);
    if items.len() > most {
        return errors;
    }
    for (index, item) in items.iter().enumerate() {
        let key_of = key(item);
        if items[..index].iter().any(|other| key(other) == key_of) {
            errors.push(Error::duplicate(&path.index(index), key_of));
        }
    }
    errors
}

/// Errors of keys and values of a map, whose paths shorten keys that are too long.
pub(super) fn validate_map<T>(
    map: &BTreeMap<String, T>,
    longest: usize,
    path: &Path,
    validate_key: impl Fn(&str, &Path) -> ErrorList,
    validate: impl Fn(&T, &Path) -> ErrorList,
) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, item) in map {
        errors.extend(validate_key(key, path));
        errors.extend(validate(item, &path.key(shortened(key, longest))));
    }
    errors
}

/// A key without its middle if it is too long.
fn shortened(key: &str, longest: usize) -> String {
    let longest = longest.max(MIN_SHOWN_KEY);
    if key.len() <= longest {
        return key.to_owned();
    }
    let kept = longest - "...".len();
    let bytes = key.as_bytes();
    let (head, tail) = (&bytes[..kept.div_ceil(2)], &bytes[bytes.len() - kept / 2..]);
    format!(
        "{}...{}",
        String::from_utf8_lossy(head),
        String::from_utf8_lossy(tail)
    )
}

pub(super) fn validate_label(name: &str, path: &Path) -> ErrorList {
    messages(path, name, is_dns1123_label(name)).collect()
}

/// Parts of a pool's name are subdomains, slashes between them.
pub(super) fn validate_pool(name: &str, path: &Path) -> ErrorList {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = ErrorList::new();
    if name.len() > MAX_POOL_NAME {
        errors.push(Error::too_long(path, MAX_POOL_NAME));
    }
    for part in name.split('/') {
        errors.extend(messages(path, part, is_dns1123_subdomain(part)));
    }
    errors
}

/// An identifier, or one after the domain of who defined it. More slashes go unnoticed, as upstream has it.
pub(super) fn validate_qualified_name(name: &str, path: &Path) -> ErrorList {
    let parts: Vec<&str> = name.split('/').collect();
    let mut errors = ErrorList::new();
    match parts.as_slice() {
        [id] => errors.extend(validate_identifier(id, path)),
        [domain, id] => {
            if domain.is_empty() {
                errors.push(Error::invalid(path, "", "the domain must not be empty"));
            } else {
                errors.extend(validate_driver_name(domain, path));
            }
            if id.is_empty() {
                errors.push(Error::invalid(path, "", "the name must not be empty"));
            } else {
                errors.extend(validate_identifier(id, path));
            }
        }
        _ => {}
    }
    errors
}

/// The same, and with a domain.
pub(super) fn validate_fully_qualified_name(name: &str, path: &Path) -> ErrorList {
    let mut errors = validate_qualified_name(name, path);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(Error::invalid(path, name, detail));
    }
    errors
}

fn validate_identifier(id: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if id.len() > MAX_ID {
        errors.push(Error::too_long(path, MAX_ID));
    }
    errors.extend(messages(path, id, is_c_identifier(id)));
    errors
}

/// An identity in the one form that is stored.
pub(super) fn validate_uid(uid: &str, path: &Path) -> Option<Error> {
    if let Some(wrong) = wrong_uuid(uid) {
        let detail = format!("error validating uid: {wrong}");
        return Some(Error::invalid(path, uid, detail));
    }
    if uid.len() == UUID && uid == uid.to_lowercase() {
        return None;
    }
    let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
    Some(Error::invalid(path, uid, detail))
}

/// What keeps a text from being an identity in any of the known forms.
fn wrong_uuid(text: &str) -> Option<String> {
    const PREFIX: &str = "urn:uuid:";
    let bytes = text.as_bytes();
    let is_hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    let plain = match bytes.len() {
        UUID => bytes,
        45 if bytes[..9].eq_ignore_ascii_case(PREFIX.as_bytes()) => &bytes[9..],
        45 => {
            return Some(format!(
                "invalid urn prefix: {:?}",
                String::from_utf8_lossy(&bytes[..9])
            ));
        }
        38 if bytes.starts_with(b"{") && bytes.ends_with(b"}") => &bytes[1..37],
        38 => return Some("invalid bracketed UUID format".to_owned()),
        32 => return (!is_hex(bytes)).then(|| "invalid UUID format".to_owned()),
        length => return Some(format!("invalid UUID length: {length}")),
    };
    let well_formed = plain.iter().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (!well_formed).then(|| "invalid UUID format".to_owned())
}

/// Parameters of a driver: a JSON object of a bounded size.
pub(super) fn validate_parameters(raw: &[u8], most: Option<usize>, path: &Path) -> Option<Error> {
    if raw.is_empty() {
        return Some(Error::required(path, ""));
    }
    if let Some(most) = most.filter(|most| raw.len() > *most) {
        return Some(Error::too_long(path, most));
    }
    match serde_json::from_slice(raw) {
        Ok(serde_json::Value::Object(_)) => None,
        Ok(serde_json::Value::Null) => Some(Error::required(path, "")),
        Ok(_) => Some(Error::invalid(
            path,
            "<value omitted>",
            "must be a valid JSON object",
        )),
        Err(error) => {
            let detail = format!("error parsing data as JSON: {error}");
            Some(Error::invalid(path, "<value omitted>", detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let path = Path::new("p");
        let texts = |errors: ErrorList| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(validate_pool("a/b.c", &path).is_empty());
        assert_eq!(texts(validate_pool("", &path)), ["p: Required value"]);
        assert!(validate_qualified_name("example.com/id", &path).is_empty());
        assert_eq!(
            texts(validate_qualified_name("/id", &path)),
            ["p: Invalid value: \"\": the domain must not be empty"]
        );
        assert_eq!(validate_fully_qualified_name("id", &path).len(), 1);
        for (uid, valid) in [
            ("0b2f2f4e-8a4c-4f5d-9f6a-111122223333", true),
            ("0B2f2f4e-8a4c-4f5d-9f6a-111122223333", false),
            ("0b2f2f4e8a4c4f5d9f6a111122223333", false),
            ("nope", false),
        ] {
            assert_eq!(validate_uid(uid, &path).is_none(), valid, "{uid}");
        }
        assert_eq!(shortened("abcdefghijklmnopqrstuvwxyz", 16), "abcdefg...uvwxyz");
    }
}
