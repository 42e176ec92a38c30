//! Secrets.

use api::core::v1::Secret;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_config_map_key;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata::{immutable_text, messages};
use crate::rules::{MetadataChecks, Rules};
use crate::table;

/// What the data of a Secret or ConfigMap may take.
pub(super) const MAX_DATA_BYTES: usize = 1024 * 1024;
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

const PEM: &[u8] = b"-----BEGIN ";

/// Secrets.
pub struct Secrets;

impl Rules for Secrets {
    type Object = Secret;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const FIELDS: &'static [&'static str] = &["type"];
    const UNSELECTED: &'static [&'static str] = &["data"];

    fn default(secret: &mut Secret) {
        // Strings that the client wrote in the clear are data like any other.
        for (key, value) in std::mem::take(&mut secret.string_data) {
            secret.data.insert(key, value.into_bytes());
        }
        if secret.type_.is_empty() {
            secret.type_ = "Opaque".to_owned();
        }
    }

    fn validate(secret: &Secret) -> ErrorList {
        let path = Path::new("data");
        let mut errors = ErrorList::new();
        for key in secret.data.keys() {
            errors.extend(messages(&path.key(key), key, is_config_map_key(key)));
        }
        if secret.data.values().map(Vec::len).sum::<usize>() > MAX_DATA_BYTES {
            errors.push(Error::too_long(&path, MAX_DATA_BYTES));
        }
        errors.extend(validate_type(secret, &path));
        errors
    }

    fn validate_update(_cx: &Context<'_>, secret: &Secret, old: &Secret) -> ErrorList {
        let mut errors: ErrorList = immutable_text(&secret.type_, &old.type_, &Path::new("type"))
            .into_iter()
            .collect();
        if old.immutable == Some(true) {
            errors.extend((secret.immutable != Some(true)).then(|| frozen("immutable")));
            errors.extend((secret.data != old.data).then(|| frozen("data")));
        }
        errors.extend(Self::validate(secret));
        errors
    }

    fn field(secret: &Secret, field: &str) -> Option<String> {
        (field == "type").then(|| secret.type_.clone())
    }

    fn warnings(secret: &Secret, _old: Option<&Secret>) -> Vec<String> {
        if secret.type_ != "kubernetes.io/tls" {
            return Vec::new();
        }
        // Whether the two belong together is not judged.
        let has_pem = |key: &str| {
            let data = secret.data.get(key).map(Vec::as_slice).unwrap_or_default();
            data.windows(PEM.len()).any(|part| part == PEM)
        };
        let missing = [("tls.crt", "certificate"), ("tls.key", "key")]
            .into_iter()
            .find(|(key, _)| !has_pem(key));
        missing
            .map(|(_, what)| format!("tls: failed to find any PEM data in {what} input"))
            .into_iter()
            .collect()
    }

    fn row(secret: &Secret, now: Timestamp) -> Vec<Value> {
        table::cluster::secret(secret, now)
    }
}

/// A change of an object that was made immutable.
pub(super) fn frozen(field: &'static str) -> Error {
    Error::forbidden(&Path::new(field), "field is immutable when `immutable` is set")
}

/// The keys that a well-known type needs.
fn validate_type(secret: &Secret, path: &Path) -> ErrorList {
    let missing = |key: &str| (!secret.data.contains_key(key)).then(|| Error::required(&path.key(key), ""));
    match secret.type_.as_str() {
        "kubernetes.io/service-account-token" => {
            let name = secret.metadata.annotations.get(SERVICE_ACCOUNT_NAME);
            let path = Path::new("metadata")
                .child("annotations")
                .key(SERVICE_ACCOUNT_NAME);
            let absent = name.is_none_or(String::is_empty);
            absent.then(|| Error::required(&path, "")).into_iter().collect()
        }
        "kubernetes.io/dockercfg" => validate_json_object(secret, ".dockercfg", path),
        "kubernetes.io/dockerconfigjson" => validate_json_object(secret, ".dockerconfigjson", path),
        "kubernetes.io/basic-auth" => match (missing("username"), missing("password")) {
            (Some(username), Some(password)) => vec![username, password],
            _ => Vec::new(),
        },
        "kubernetes.io/ssh-auth" => {
            let empty = secret.data.get("ssh-privatekey").is_none_or(Vec::is_empty);
            empty
                .then(|| Error::required(&path.key("ssh-privatekey"), ""))
                .into_iter()
                .collect()
        }
        "kubernetes.io/tls" => missing("tls.crt").into_iter().chain(missing("tls.key")).collect(),
        _ => Vec::new(),
    }
}

fn validate_json_object(secret: &Secret, key: &str, path: &Path) -> ErrorList {
    let path = path.key(key);
    let Some(bytes) = secret.data.get(key) else {
        return vec![Error::required(&path, "")];
    };
    match serde_json::from_slice::<serde_json::Map<String, Value>>(bytes) {
        Ok(_) => Vec::new(),
        Err(error) => vec![Error::invalid(
            &path,
            "<secret contents redacted>",
            error.to_string(),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[track_caller]
    fn check(json: &str, expected: &[&str]) {
        let mut secret = Secret::from_json(json.as_bytes()).unwrap();
        Secrets::default(&mut secret);
        let fields: Vec<String> = Secrets::validate(&secret)
            .into_iter()
            .map(|error| error.field)
            .collect();
        assert_eq!(fields, expected, "{json}");
    }

    #[test]
    fn types_need_their_keys() {
        check(r#"{"stringData":{"a":"b"}}"#, &[]);
        check(r#"{"stringData":{"a/b":"c"}}"#, &["data[a/b]"]);
        check(
            r#"{"type":"kubernetes.io/tls"}"#,
            &["data[tls.crt]", "data[tls.key]"],
        );
        check(
            r#"{"type":"kubernetes.io/basic-auth","stringData":{"password":"x"}}"#,
            &[],
        );
        check(
            r#"{"type":"kubernetes.io/basic-auth"}"#,
            &["data[username]", "data[password]"],
        );
        check(
            r#"{"type":"kubernetes.io/dockerconfigjson","stringData":{".dockerconfigjson":"[]"}}"#,
            &["data[.dockerconfigjson]"],
        );
        check(
            r#"{"type":"kubernetes.io/service-account-token"}"#,
            &["metadata.annotations[kubernetes.io/service-account.name]"],
        );
    }
}
