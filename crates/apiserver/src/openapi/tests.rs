//! The documents against those that upstream serves, reduced to stable versions. Descriptions are words of our own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::{Documents, Form};

fn reference(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("OXIKUBE_REFERENCE").map(PathBuf::from);
    if found.is_none() {
        eprintln!("{test}: skipped, OXIKUBE_REFERENCE is not set");
    }
    found
}

fn load(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn parse(served: &super::Served) -> Value {
    serde_json::from_slice(&served.identity().unwrap()).unwrap()
}

/// Drops what differs: descriptions, unions, the wrapping of a reference, kinds of versions not served.
fn comparable(value: &Value, is_properties: bool) -> Value {
    match value {
        Value::Object(members) => {
            if let Some([only]) = members.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
                && members
                    .keys()
                    .all(|key| matches!(key.as_str(), "allOf" | "description"))
            {
                return comparable(only, false);
            }
            let skipped = |key: &str| !is_properties && matches!(key, "description" | "x-kubernetes-unions");
            let kept = members.iter().filter(|(key, _)| !skipped(key));
            kept.map(|(key, value)| (key.clone(), comparable(value, key == "properties")))
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| comparable(item, false)).collect(),
        other => other.clone(),
    }
}

/// Kinds that every group registers differ by the versions that are compiled in.
fn without_kinds(name: &str, schema: &mut Value) {
    if name.ends_with(".DeleteOptions") || name.ends_with(".WatchEvent") || name.ends_with("meta.v1.Status") {
        schema
            .as_object_mut()
            .unwrap()
            .remove("x-kubernetes-group-version-kind");
    }
}

fn stable(path: &str) -> bool {
    !path.contains("alpha") && !path.contains("beta")
}

fn report(mismatches: &[String]) {
    let shown: Vec<&str> = mismatches.iter().take(12).map(String::as_str).collect();
    assert!(
        mismatches.is_empty(),
        "{} mismatches, the first:\n{}",
        mismatches.len(),
        shown.join("\n")
    );
}

fn compare_schemas(found: &Value, recorded: &Value, mismatches: &mut Vec<String>) {
    let (found, recorded) = (found.as_object().unwrap(), recorded.as_object().unwrap());
    for (name, schema) in found {
        let Some(expected) = recorded.get(name) else {
            mismatches.push(format!("{name}: not upstream's"));
            continue;
        };
        let (mut found, mut expected) = (comparable(schema, false), comparable(expected, false));
        without_kinds(name, &mut found);
        without_kinds(name, &mut expected);
        if found != expected {
            mismatches.push(format!("{name}\n  found    {found}\n  expected {expected}"));
        }
    }
}

/// What `kubectl explain` prints.
#[test]
fn types_values_and_fields_are_described() {
    let document = parse(&Documents::new(|_, _| true).v2(Form::Json));
    for pointer in [
        "io.k8s.api.core.v1.PodSpec",
        "io.k8s.api.core.v1.PodSpec/properties/restartPolicy",
        "io.k8s.api.core.v1.ConfigMapKeySelector/properties/name",
        "io.k8s.api.core.v1.EphemeralContainer/properties/image",
        "io.k8s.api.apps.v1.Deployment/properties/spec",
        "io.k8s.api.apps.v1.Deployment/properties/apiVersion",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    ] {
        let words = document.pointer(&format!("/definitions/{pointer}/description"));
        assert!(
            words
                .and_then(Value::as_str)
                .is_some_and(|words| words.ends_with('.')),
            "{pointer}: {words:?}"
        );
    }
}

#[test]
fn definitions_are_upstreams() {
    let Some(reference) = reference("definitions_are_upstreams") else {
        return;
    };
    let recorded = load(reference.join("swagger.json"));
    let found = parse(&Documents::new(|_, _| true).v2(Form::Json));
    let mut mismatches = Vec::new();
    compare_schemas(&found["definitions"], &recorded["definitions"], &mut mismatches);
    // Whatever is missing must be of a version that is not served.
    for (name, _) in recorded["definitions"].as_object().unwrap() {
        let of_unstable = name.ends_with(".GroupResource");
        if stable(name) && !of_unstable && found["definitions"].get(name).is_none() {
            mismatches.push(format!("{name}: missing"));
        }
    }
    report(&mismatches);
}

#[test]
fn version_three_schemas_are_upstreams() {
    let Some(reference) = reference("version_three_schemas_are_upstreams") else {
        return;
    };
    let documents = Documents::new(|_, _| true);
    let mut mismatches = Vec::new();
    let index = parse(&documents.v3_index());
    for (path, location) in index["paths"].as_object().unwrap() {
        let served = documents.v3(path).unwrap();
        let expected = format!("/openapi/v3/{path}?hash={}", served.hash());
        assert_eq!(location["serverRelativeURL"], expected.as_str());
        let recorded = load(reference.join(format!("openapi-v3/{}_openapi.json", path.replace('/', "__"))));
        let schemas = |document: &Value| document["components"]["schemas"].clone();
        compare_schemas(&schemas(&parse(&served)), &schemas(&recorded), &mut mismatches);
    }
    report(&mismatches);
}

/// An operation as a line: what identifies it, its parameters, what it answers.
fn operations(document: &Value) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "parameters")
        {
            let lists = [&item["parameters"], &operation["parameters"]];
            let parameters = lists
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .map(|parameter| {
                    let shared = parameter["$ref"]
                        .as_str()
                        .and_then(|target| target.split(['/', '-']).nth(2));
                    shared
                        .or(parameter["name"].as_str())
                        .unwrap_or_default()
                        .to_owned()
                });
            let mut parameters: BTreeSet<String> = parameters.collect();
            // An alpha field that upstream lists while its gate is off.
            parameters.remove("shardSelector");
            let responses = operation["responses"].as_object().unwrap().iter();
            let responses: Vec<String> = responses
                .map(|(code, r)| format!("{code}:{}", r["schema"]["$ref"].as_str().unwrap_or("-")))
                .collect();
            let line = format!(
                "{} {} {} {} {parameters:?} {responses:?}",
                operation["operationId"],
                operation["tags"],
                operation["x-kubernetes-action"],
                operation["x-kubernetes-group-version-kind"],
            );
            lines.insert(format!("{method} {path}"), line);
        }
    }
    lines
}

#[test]
fn operations_are_upstreams() {
    let Some(reference) = reference("operations_are_upstreams") else {
        return;
    };
    let recorded = operations(&load(reference.join("swagger.json")));
    let found = operations(&parse(&Documents::new(|_, _| true).v2(Form::Json)));
    let mut mismatches = Vec::new();
    for (name, expected) in &recorded {
        // Logs and key sets are documented by other parts of upstream; groups without stable versions are not served.
        let foreign = [
            "/logs/",
            "/openid/",
            "/.well-known/",
            "internal.apiserver",
            "storagemigration",
        ];
        if !stable(name) || foreign.iter().any(|part| name.contains(part)) {
            continue;
        }
        match found.get(name) {
            None => mismatches.push(format!("{name}: missing")),
            Some(line) if line != expected => {
                mismatches.push(format!("{name}\n  found    {line}\n  expected {expected}"));
            }
            Some(_) => {}
        }
    }
    mismatches.extend(
        found
            .keys()
            .filter(|name| !recorded.contains_key(*name))
            .map(|n| format!("{n}: not upstream's")),
    );
    report(&mismatches);
}

#[test]
fn documents_are_compressed_and_tagged() {
    let documents = Documents::new(|group, _| group == "apps");
    let served = documents.v2(Form::Protobuf);
    let identity = served.identity().unwrap();
    assert!(served.gzip().len() * 4 < identity.len());
    assert_eq!(served.etag().len(), 66);
    assert!(documents.v3("api/v1").is_none());
    assert!(documents.v3("apis/apps/v1").is_some());
}
