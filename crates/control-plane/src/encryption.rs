//! `--encryption-provider-config`: which resources are kept encrypted, and with which keys.
//!
//! This file reads the configuration; [`reload`] follows its changes.
//!
//! Upstream: `apiserver/pkg/server/options/encryptionconfig`, of whose providers the deprecated KMS v1 is not there.

pub mod reload;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::catalogue::{RESOURCES, Resource};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use component_base::config::{Document, Error, Object};
use storage::encryption::kms::{Kms, KmsMetrics, KmsOptions, socket};
use storage::encryption::{Algorithm, Provider, Rules, SecretKey};
use storage::{Key, rooted};

const KIND: &str = "EncryptionConfiguration";
const VERSIONS: &[&str] = &["apiserver.config.k8s.io/v1", "v1"];

/// Upstream's default bound of a call to a key management service.
const DEFAULT_KMS_TIMEOUT: Duration = Duration::from_secs(3);

/// What a configuration is read for.
pub struct Reader<'a> {
    /// What keys of the store begin with.
    pub root: &'a str,
    pub metrics: &'a Arc<KmsMetrics>,
}

/// The rules of a configuration file. Key management services that it names are reached at once.
pub fn rules(document: Document, reader: &Reader<'_>) -> Result<Rules, Error> {
    let keys_root = rooted::full(reader.root);
    let mut names_of_services = HashSet::new();
    let mut root = document.expect(KIND, VERSIONS)?;
    let mut rules = Rules::default();
    for mut rule in required(&mut root, "resources")? {
        let names = rule.strings("resources")?.unwrap_or_default();
        let mut prefixes = Vec::new();
        for name in &names {
            let rows = RESOURCES
                .iter()
                .filter(|row| row.storage.is_some() && names_resource(name, row));
            let before = prefixes.len();
            prefixes.extend(rows.map(|row| Key::from(format!("{keys_root}{}/", row.prefix))));
            if prefixes.len() == before {
                return Err(rule.invalid("resources", format!("{name:?} is no resource of this server")));
            }
        }
        let providers = required(&mut rule, "providers")?
            .into_iter()
            .map(|object| provider(object, reader, &mut names_of_services))
            .collect::<Result<_, _>>()?;
        rule.finish()?;
        rules.add(prefixes, providers);
    }
    root.finish()?;
    Ok(rules)
}

fn required(object: &mut Object, name: &str) -> Result<Vec<Object>, Error> {
    let items = object.objects(name)?.unwrap_or_default();
    if items.is_empty() {
        Err(object.invalid(name, "must not be empty"))
    } else {
        Ok(items)
    }
}

/// `secrets`, `deployments.apps`, `*.apps`, `*.` (the core group), `*.*`.
fn names_resource(name: &str, row: &Resource) -> bool {
    match name.split_once('.') {
        None => row.group.is_empty() && row.plural == name,
        Some(("*", "*")) => true,
        Some(("*", group)) => row.group == group,
        Some((plural, group)) => row.group == group && row.plural == plural,
    }
}

fn provider(
    mut object: Object,
    reader: &Reader<'_>,
    names_of_services: &mut HashSet<String>,
) -> Result<Provider, Error> {
    let algorithms = [Algorithm::AesGcm, Algorithm::AesCbc, Algorithm::SecretBox];
    for algorithm in algorithms {
        if let Some(mut configured) = object.object(algorithm.name())? {
            let keys = required(&mut configured, "keys")?;
            let keys = keys
                .into_iter()
                .map(|key| secret_key(algorithm, key))
                .collect::<Result<_, _>>()?;
            configured.finish()?;
            object.finish()?;
            return Ok(Provider::Keys { algorithm, keys });
        }
    }
    if let Some(identity) = object.object("identity")? {
        identity.finish()?;
        object.finish()?;
        return Ok(Provider::Identity);
    }
    if let Some(configured) = object.object("kms")? {
        object.finish()?;
        return service(configured, reader, names_of_services);
    }
    Err(object.invalid(
        "",
        "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity",
    ))
}

fn service(mut object: Object, reader: &Reader<'_>, names: &mut HashSet<String>) -> Result<Provider, Error> {
    match object.string("apiVersion")?.unwrap_or_default().as_str() {
        "v2" => {}
        "" | "v1" => {
            return Err(object.invalid(
                "apiVersion",
                "KMSv1 is deprecated and not available. Use KMSv2 instead.",
            ));
        }
        other => {
            return Err(object.invalid(
                "apiVersion",
                format!("unsupported apiVersion {other} for KMS provider, only v2 is supported"),
            ));
        }
    }
    let name = object.string("name")?.unwrap_or_default();
    if name.is_empty() || name.contains(':') {
        let why = format!("invalid KMS provider name {name}, must not be empty or contain ':'");
        return Err(object.invalid("name", why));
    }
    if !names.insert(name.clone()) {
        let why = format!("duplicate KMS provider name {name}, names must be unique");
        return Err(object.invalid("name", why));
    }
    let endpoint = object.string("endpoint")?.unwrap_or_default();
    let socket = socket(&endpoint).ok_or_else(|| {
        object.invalid(
            "endpoint",
            format!("unsupported endpoint {endpoint:?} for KMS provider: unix:///PATH"),
        )
    })?;
    let timeout = object.duration("timeout")?.unwrap_or(DEFAULT_KMS_TIMEOUT);
    if timeout.is_zero() {
        return Err(object.invalid("timeout", "should be a positive value"));
    }
    if object.int("cachesize")?.is_some() {
        return Err(object.invalid("cachesize", "cachesize is not supported in v2"));
    }
    let started = Kms::start(KmsOptions {
        name,
        socket,
        timeout,
        metrics: Some(reader.metrics.clone()),
    });
    let kms = started.map_err(|error| object.invalid("", error.to_string()))?;
    object.finish()?;
    Ok(Provider::Kms(kms))
}

fn secret_key(algorithm: Algorithm, mut object: Object) -> Result<SecretKey, Error> {
    let name = object.string("name")?.unwrap_or_default();
    if name.is_empty() || name.contains(':') {
        return Err(object.invalid("name", "must not be empty or contain a colon"));
    }
    let encoded = object.string("secret")?.unwrap_or_default();
    let secret = STANDARD
        .decode(encoded.trim())
        .map_err(|_| object.invalid("secret", "must be base64"))?;
    let key = SecretKey::new(algorithm, &name, &secret)
        .map_err(|error| object.invalid("secret", error.to_string()))?;
    object.finish()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn check(resources: &str, providers: &str) -> Result<(), String> {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: {resources}\n  providers: {providers}\n"
        );
        let document = Document::parse(&text).map_err(|error| error.to_string())?;
        let reader = Reader {
            root: "/registry",
            metrics: &KmsMetrics::new(&component_base::metrics::Registry::new(), ""),
        };
        rules(document, &reader)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn configurations_are_read_strictly() {
        let keys = format!("{{keys: [{{name: one, secret: {SECRET}}}]}}");
        for name in ["aesgcm", "aescbc", "secretbox"] {
            assert_eq!(
                check(
                    "[secrets, '*.apps']",
                    &format!("[{{{name}: {keys}}}, {{identity: {{}}}}]")
                ),
                Ok(())
            );
        }
        let wrong = |resources: &str, providers: &str| check(resources, providers).expect_err("wrong");
        assert!(wrong("[nothing]", "[{identity: {}}]").contains("is no resource"));
        assert!(wrong("[secrets]", "[]").contains("must not be empty"));
        for (kms, why) in [
            ("{}", "KMSv1 is deprecated"),
            ("{apiVersion: v3, name: a}", "only v2 is supported"),
            ("{apiVersion: v2, name: 'a:b'}", "must not be empty or contain"),
            (
                "{apiVersion: v2, name: a, endpoint: 'http://x'}",
                "unsupported endpoint",
            ),
            (
                "{apiVersion: v2, name: a, endpoint: 'unix:///x', timeout: 0s}",
                "positive",
            ),
            (
                "{apiVersion: v2, name: a, endpoint: 'unix:///x', cachesize: 1}",
                "not supported in v2",
            ),
        ] {
            assert!(
                wrong("[secrets]", &format!("[{{kms: {kms}}}]")).contains(why),
                "{kms}"
            );
        }
        let absent =
            "{kms: {apiVersion: v2, name: a, endpoint: 'unix:///nonexistent/kms.sock', timeout: 100ms}}";
        assert_eq!(
            check("[secrets]", &format!("[{absent}]")),
            Ok(()),
            "it may come later"
        );
        assert!(wrong("[secrets]", &format!("[{absent}, {absent}]")).contains("duplicate KMS provider name"));
        assert!(wrong("[secrets]", "[{}]").contains("expected providers"));
        assert!(
            wrong("[secrets]", "[{aesgcm: {keys: [{name: a, secret: YWJj}]}}]").contains("a key of 3 bytes")
        );
        assert!(wrong("[secrets]", "[{aesgcm: {keys: [{name: a, secret: '?'}]}}]").contains("base64"));
        assert!(wrong("[secrets]", "[{identity: {}, other: {}}]").contains("unknown field"));
    }

    #[test]
    fn names_with_stars() {
        let row = |group: &str, plural: &str| {
            RESOURCES
                .iter()
                .find(|row| row.group == group && row.plural == plural)
                .expect("a row of the catalogue")
        };
        for (name, secrets, deployments) in [
            ("secrets", true, false),
            ("deployments.apps", false, true),
            ("*.apps", false, true),
            ("*.", true, false),
            ("*.*", true, true),
        ] {
            assert_eq!(names_resource(name, row("", "secrets")), secrets, "{name}");
            assert_eq!(
                names_resource(name, row("apps", "deployments")),
                deployments,
                "{name}"
            );
        }
    }
}
