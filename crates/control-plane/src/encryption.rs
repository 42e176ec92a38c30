//! `--encryption-provider-config`: which resources are kept encrypted, and with which keys.
//!
//! Upstream: `apiserver/pkg/server/options/encryptionconfig`, of whose providers `kms` is not there yet.

use api::catalogue::{RESOURCES, Resource};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use component_base::config::{Document, Error, Object};
use storage::encryption::{Algorithm, Provider, Rules, SecretKey};
use storage::{Key, rooted};

const KIND: &str = "EncryptionConfiguration";
const VERSIONS: &[&str] = &["apiserver.config.k8s.io/v1", "v1"];

/// The rules of a configuration file, for keys under a root.
pub fn rules(document: Document, keys_root: &str) -> Result<Rules, Error> {
    let keys_root = rooted::full(keys_root);
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
            .map(provider)
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

fn provider(mut object: Object) -> Result<Provider, Error> {
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
    if object.value("kms").is_some() {
        return Err(object.invalid("kms", "this provider is not available"));
    }
    Err(object.invalid(
        "",
        "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity",
    ))
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
        rules(document, "/registry")
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
        assert!(wrong("[secrets]", "[{kms: {}}]").contains("not available"));
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
