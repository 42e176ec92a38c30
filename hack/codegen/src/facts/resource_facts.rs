//! Discovery documents and table columns -> `api/resources.txt`.

use super::{load, text};
use crate::{Output, Result};
use base64::Engine;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "\
# The resource catalogue, in discovery order; written by `codegen facts`.
#   group GROUP VERSION...                    versions in order of preference
#   resource GROUP VERSION PLURAL KIND SCOPE  then singular=, short=, categories=, verbs=, storage=GROUP/VERSION
#     sub NAME GROUP VERSION KIND VERBS
#     column PRIORITY TYPE FORMAT NAME
";

/// The catalogue as one file.
pub fn resources(reference: &Path, facts: &Value) -> Result<Output> {
    let aggregated = load(&reference.join("discovery/aggregated_v2.json"))?;
    let columns = load(&reference.join("tables.json"))?;
    let versions = versions_by_hash(facts);
    let mut out = HEAD.to_owned();
    let mut groups = vec![core()];
    groups.extend(aggregated["items"].as_array().ok_or("no groups")?.iter().cloned());
    for group in &groups {
        let name = text(&group["metadata"], "name");
        let items = group["versions"].as_array().ok_or("no versions")?;
        let listed: Vec<&str> = items.iter().map(|v| text(v, "version")).collect();
        let _ = writeln!(out, "\ngroup {} {}", shown(name), listed.join(" "));
        for item in items {
            let version = text(item, "version");
            let (file, prefix) = match name {
                "" => ("api__v1.json".to_owned(), "/api/v1".to_owned()),
                _ => (
                    format!("apis__{name}__{version}.json"),
                    format!("/apis/{name}/{version}"),
                ),
            };
            let legacy = load(&reference.join("discovery").join(file))?;
            Legacy {
                group: name,
                version,
                prefix: &prefix,
                columns: &columns,
                versions: &versions,
            }
            .print(&legacy, &mut out)?;
        }
    }
    Ok(Output {
        path: "api/resources.txt".into(),
        text: out,
    })
}

fn core() -> Value {
    serde_json::json!({"metadata": {"name": ""}, "versions": [{"version": "v1"}]})
}

struct Legacy<'a> {
    group: &'a str,
    version: &'a str,
    prefix: &'a str,
    columns: &'a Value,
    versions: &'a BTreeMap<String, String>,
}

impl Legacy<'_> {
    fn print(&self, document: &Value, out: &mut String) -> Result<()> {
        let resources = document["resources"].as_array().ok_or("no resources")?;
        let mut parents: Vec<&Value> = resources
            .iter()
            .filter(|r| !text(r, "name").contains('/'))
            .collect();
        parents.sort_by_key(|r| text(r, "name"));
        for resource in parents {
            self.resource(resource, out);
            let prefix = format!("{}/", text(resource, "name"));
            for sub in resources.iter().filter(|r| text(r, "name").starts_with(&prefix)) {
                self.subresource(sub, &prefix, out);
            }
            let path = format!("{}/{}", self.prefix, text(resource, "name"));
            for column in self.columns[&path].as_array().into_iter().flatten() {
                let format = if text(column, "format").is_empty() {
                    "-"
                } else {
                    text(column, "format")
                };
                let (kind, name) = (text(column, "type"), text(column, "name"));
                let _ = writeln!(out, "  column {} {kind} {format} {name}", column["priority"]);
            }
        }
        Ok(())
    }

    fn resource(&self, resource: &Value, out: &mut String) {
        let scope = if resource["namespaced"] == true {
            "namespaced"
        } else {
            "cluster"
        };
        let (group, version, kind) = (shown(self.group), self.version, text(resource, "kind"));
        let _ = write!(
            out,
            "resource {group} {version} {} {kind} {scope}",
            text(resource, "name")
        );
        let _ = write!(out, " singular={}", text(resource, "singularName"));
        for (label, key) in [
            ("short", "shortNames"),
            ("categories", "categories"),
            ("verbs", "verbs"),
        ] {
            let values = list(&resource[key]);
            if !values.is_empty() {
                let _ = write!(out, " {label}={values}");
            }
        }
        if let Some(storage) = self.versions.get(text(resource, "storageVersionHash")) {
            let _ = write!(out, " storage={storage}");
        }
        out.push('\n');
    }

    fn subresource(&self, sub: &Value, prefix: &str, out: &mut String) {
        let name = text(sub, "name").trim_start_matches(prefix);
        let or = |key: &str, fallback: &str| match text(sub, key) {
            "" => fallback.to_owned(),
            found => found.to_owned(),
        };
        // A kind of another group names its group and version; otherwise they are the resource's.
        let (group, version) = match text(sub, "version") {
            "" => (self.group.to_owned(), self.version.to_owned()),
            _ => (or("group", ""), or("version", self.version)),
        };
        let verbs = match list(&sub["verbs"]) {
            none if none.is_empty() => "-".to_owned(),
            verbs => verbs,
        };
        let _ = writeln!(
            out,
            "  sub {name} {} {version} {} {verbs}",
            shown(&group),
            text(sub, "kind")
        );
    }
}

/// Discovery publishes a hash of `group/version/kind` in storage; every kind's hash gives the version back.
fn versions_by_hash(facts: &Value) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for kind in facts["kinds"].as_array().into_iter().flatten() {
        let (group, version) = (text(kind, "Group"), text(kind, "Version"));
        // Some kinds are stored in a beta version whose types are no longer published.
        for version in [version, "v1beta1"] {
            let sum = Sha256::digest(format!("{group}/{version}/{}", text(kind, "Kind")));
            let hash = base64::engine::general_purpose::STANDARD.encode(&sum[..8]);
            versions.insert(hash, format!("{}/{version}", shown(group)));
        }
    }
    versions
}

fn shown(group: &str) -> &str {
    if group.is_empty() { "core" } else { group }
}

fn list(value: &Value) -> String {
    let words: Vec<&str> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    words.join(",")
}
