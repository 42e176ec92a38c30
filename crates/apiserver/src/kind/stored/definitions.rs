//! CustomResourceDefinitions between v1, which is served, and v1beta1, which is stored. Pure: JSON to JSON.
//!
//! v1beta1 says once, above its versions, what all of them have in common; and it names a few fields otherwise.
//!
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/{v1,v1beta1}/conversion.go`.

use serde_json::{Map, Value};

use crate::kind::Error;

pub const KIND: &str = "CustomResourceDefinition";
const V1: &str = "apiextensions.k8s.io/v1";
const V1BETA1: &str = "apiextensions.k8s.io/v1beta1";

/// What versions may have in common: the field of a version, and the one above the versions.
const SHARED: [(&str, &str); 4] = [
    ("schema", "validation"),
    ("subresources", "subresources"),
    ("additionalPrinterColumns", "additionalPrinterColumns"),
    ("selectableFields", "selectableFields"),
];

type Fields = Map<String, Value>;

/// A document of v1 as v1beta1.
pub fn to_v1beta1(v1: &[u8]) -> Result<Vec<u8>, Error> {
    let mut document = parse(v1)?;
    document.insert("apiVersion".into(), V1BETA1.into());
    if let Some(Value::Object(spec)) = document.get_mut("spec") {
        // The stored field says what v1 takes for granted.
        spec.entry("preserveUnknownFields").or_insert(Value::Bool(false));
        hoist(spec);
        rename_columns(spec, "jsonPath", "JSONPath");
        if let Some(Value::Object(conversion)) = spec.get_mut("conversion")
            && let Some(Value::Object(webhook)) = conversion.remove("webhook")
        {
            for (name, value) in webhook {
                let name = if name == "clientConfig" {
                    "webhookClientConfig"
                } else {
                    &name
                };
                conversion.insert(name.to_owned(), value);
            }
        }
    }
    write(&document)
}

/// A document of v1beta1 as v1; `None`: it is one already.
pub fn to_v1(stored: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut document = parse(stored)?;
    if document.get("apiVersion").and_then(Value::as_str) != Some(V1BETA1) {
        return Ok(None);
    }
    document.insert("apiVersion".into(), V1.into());
    if let Some(Value::Object(spec)) = document.get_mut("spec") {
        name_single_version(spec);
        spread(spec);
        rename_columns(spec, "JSONPath", "jsonPath");
        match spec.get("preserveUnknownFields") {
            // v1beta1's default is v1's exception.
            None => drop(spec.insert("preserveUnknownFields".into(), Value::Bool(true))),
            Some(Value::Bool(false)) => drop(spec.remove("preserveUnknownFields")),
            Some(_) => {}
        }
        if let Some(Value::Object(conversion)) = spec.get_mut("conversion") {
            gather_webhook(conversion);
        }
    }
    write(&document).map(Some)
}

fn parse(json: &[u8]) -> Result<Fields, Error> {
    serde_json::from_slice(json).map_err(Error::Document)
}

fn write(document: &Fields) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(document).map_err(Error::Document)
}

fn versions(spec: &mut Fields) -> Vec<&mut Fields> {
    let versions = spec.get_mut("versions").and_then(Value::as_array_mut);
    versions
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .collect()
}

/// Moves what all versions have in common above them.
fn hoist(spec: &mut Fields) {
    let Some(first) = versions(spec)
        .first()
        .and_then(|first| first.get("name").cloned())
    else {
        return;
    };
    for (of_version, above) in SHARED {
        let all: Vec<Option<Value>> = versions(spec)
            .iter()
            .map(|version| version.get(of_version).cloned())
            .collect();
        if all.windows(2).any(|pair| pair[0] != pair[1]) {
            continue;
        }
        for version in versions(spec) {
            version.remove(of_version);
        }
        if let Some(Some(value)) = all.into_iter().next() {
            spec.insert(above.to_owned(), value);
        }
    }
    spec.insert("version".into(), first);
}

/// Gives each version what stands above all of them.
fn spread(spec: &mut Fields) {
    spec.remove("version");
    for (of_version, above) in SHARED {
        let Some(value) = spec.remove(above).filter(|value| !value.is_null()) else {
            continue;
        };
        for version in versions(spec) {
            version.insert(of_version.to_owned(), value.clone());
        }
    }
}

/// The oldest definitions name one version and no list of them.
fn name_single_version(spec: &mut Fields) {
    if versions(spec).is_empty()
        && let Some(name) = spec.get("version").cloned()
    {
        let only = serde_json::json!({ "name": name, "served": true, "storage": true });
        spec.insert("versions".into(), Value::Array(vec![only]));
    }
}

/// Printer columns, above the versions and in them.
fn rename_columns(spec: &mut Fields, from: &str, to: &str) {
    let rename = |owner: &mut Fields| {
        let columns = owner
            .get_mut("additionalPrinterColumns")
            .and_then(Value::as_array_mut);
        for column in columns.into_iter().flatten().filter_map(Value::as_object_mut) {
            if let Some(path) = column.remove(from) {
                column.insert(to.to_owned(), path);
            }
        }
    };
    rename(spec);
    versions(spec).into_iter().for_each(rename);
}

fn gather_webhook(conversion: &mut Fields) {
    let mut webhook = Fields::new();
    for (from, to) in [
        ("webhookClientConfig", "clientConfig"),
        ("conversionReviewVersions", "conversionReviewVersions"),
    ] {
        if let Some(value) = conversion.remove(from).filter(|value| !value.is_null()) {
            webhook.insert(to.to_owned(), value);
        }
    }
    if !webhook.is_empty() {
        conversion.insert("webhook".into(), Value::Object(webhook));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(v1: &Value, v1beta1: &Value) {
        let document = |version: &str, spec: &Value| {
            json!({ "apiVersion": format!("apiextensions.k8s.io/{version}"), "kind": KIND, "spec": spec })
                .to_string()
        };
        let stored = to_v1beta1(document("v1", v1).as_bytes()).expect("a document");
        let stored: Value = serde_json::from_slice(&stored).expect("JSON");
        assert_eq!(stored["spec"], *v1beta1);
        let back = to_v1(stored.to_string().as_bytes())
            .expect("a document")
            .expect("converted");
        let back: Value = serde_json::from_slice(&back).expect("JSON");
        assert_eq!((&back["spec"], &back["apiVersion"]), (v1, &V1.into()));
    }

    #[test]
    fn what_versions_share_is_said_once() {
        let schema = json!({ "openAPIV3Schema": { "type": "object" } });
        check(
            &json!({ "versions": [
                { "name": "v2", "schema": schema, "subresources": { "status": {} }, "additionalPrinterColumns": [{ "name": "A", "jsonPath": ".a" }] },
                { "name": "v1", "schema": schema, "additionalPrinterColumns": [{ "name": "B", "jsonPath": ".b" }] },
            ] }),
            &json!({
                "version": "v2", "validation": schema, "preserveUnknownFields": false,
                "versions": [
                    { "name": "v2", "subresources": { "status": {} }, "additionalPrinterColumns": [{ "name": "A", "JSONPath": ".a" }] },
                    { "name": "v1", "additionalPrinterColumns": [{ "name": "B", "JSONPath": ".b" }] },
                ],
            }),
        );
    }

    #[test]
    fn webhooks_are_flat_in_the_stored_version() {
        check(
            &json!({ "versions": [{ "name": "v1" }], "preserveUnknownFields": true, "conversion": { "strategy": "Webhook", "webhook": { "clientConfig": { "url": "https://x" }, "conversionReviewVersions": ["v1"] } } }),
            &json!({ "version": "v1", "versions": [{ "name": "v1" }], "preserveUnknownFields": true, "conversion": { "strategy": "Webhook", "webhookClientConfig": { "url": "https://x" }, "conversionReviewVersions": ["v1"] } }),
        );
    }

    #[test]
    fn the_oldest_definitions_are_read() {
        let old = json!({ "apiVersion": V1BETA1, "kind": KIND, "spec": { "version": "v1", "validation": { "a": 1 } } });
        let read = to_v1(old.to_string().as_bytes())
            .expect("a document")
            .expect("converted");
        let read: Value = serde_json::from_slice(&read).expect("JSON");
        assert_eq!(
            read["spec"],
            json!({ "preserveUnknownFields": true, "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "a": 1 } }] })
        );
    }
}
