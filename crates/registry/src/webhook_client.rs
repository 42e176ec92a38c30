//! How the server reaches webhooks: parts that webhook configurations and custom resource definitions share.

use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, is_valid_port_num};

/// Where a webhook's service listens by default.
pub const PORT: i32 = 443;
const FORM: &str = "; desired format: https://host[/path]";

/// Errors of a webhook's address.
pub fn validate_url(url: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut wrong = |value: &str, detail: String| errors.push(Error::invalid(path, value, detail));
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let authority = if scheme.is_empty() {
        ""
    } else {
        rest.split('/').next().unwrap_or("")
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !scheme.eq_ignore_ascii_case("https") {
        wrong(scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        wrong(host, format!("host must be specified{FORM}"));
    }
    if !user.is_empty() {
        wrong(user, "user information is not permitted in the URL".to_owned());
    }
    if !fragment.is_empty() {
        wrong(fragment, "fragments are not permitted in the URL".to_owned());
    }
    if !query.is_empty() {
        wrong(query, "query parameters are not permitted in the URL".to_owned());
    }
    errors
}

/// Errors of the reference to a webhook's service.
pub fn validate_service(
    namespace: &str,
    name: &str,
    url_path: Option<&str>,
    port: i32,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    for (text, field) in [(name, "name"), (namespace, "namespace")] {
        errors.extend(text.is_empty().then(|| Error::required(&path.child(field), "")));
    }
    let wrong = is_valid_port_num(port.into());
    if !wrong.is_empty() {
        let detail = format!("port is not valid: {}", wrong.join(", "));
        errors.push(Error::invalid(&path.child("port"), port, detail));
    }
    if let Some(url_path) = url_path {
        let wrong = wrong_path(url_path).into_iter();
        errors.extend(wrong.map(|detail| Error::invalid(&path.child("path"), url_path, detail)));
    }
    errors
}

fn wrong_path(url_path: &str) -> Vec<String> {
    match url_path {
        "" | "/" => return Vec::new(),
        "//" => return vec!["segment[0] may not be empty".to_owned()],
        _ => {}
    }
    let mut wrong = Vec::new();
    if !url_path.starts_with('/') {
        wrong.push("must start with a '/'".to_owned());
    }
    // Whatever it is, the first character counts as the slash.
    let mut steps = url_path.chars();
    steps.next();
    let steps = steps.as_str();
    let steps = steps.strip_suffix('/').unwrap_or(steps);
    for (index, step) in steps.split('/').enumerate() {
        if step.is_empty() {
            wrong.push(format!("segment[{index}] may not be empty"));
            continue;
        }
        let failures = is_dns1123_subdomain(step).into_iter();
        wrong.extend(failures.map(|failure| format!("segment[{index}]: {failure}")));
    }
    wrong
}
