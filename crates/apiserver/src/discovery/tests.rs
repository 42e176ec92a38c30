//! The documents against those that upstream serves, reduced to stable versions.

use super::{ListVersion, aggregated, api_versions, built_in, group, group_list, resource_list};
use api::{Kind, Message};
use serde_json::{Value, json};
use std::path::PathBuf;

fn reference(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("OXIKUBE_REFERENCE").map(|root| PathBuf::from(root).join("discovery"));
    if found.is_none() {
        eprintln!("{test}: skipped, OXIKUBE_REFERENCE is not set");
    }
    found
}

fn load(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn parsed<T: Message>(message: &T) -> Value {
    serde_json::from_slice(&message.to_json()).unwrap()
}

fn stable(version: &Value) -> bool {
    matches!(version["version"].as_str(), Some("v1" | "v2"))
}

/// Drops versions that are not stable from a recorded group, and the group if none is left.
fn keep_stable(groups: &mut Value) {
    let groups = groups.as_array_mut().unwrap();
    for group in groups.iter_mut() {
        group["versions"].as_array_mut().unwrap().retain(stable);
    }
    groups.retain(|group| !group["versions"].as_array().unwrap().is_empty());
}

#[test]
fn groups_are_upstreams() {
    let Some(reference) = reference("groups_are_upstreams") else {
        return;
    };
    let mut recorded = load(reference.join("apis.json"));
    keep_stable(&mut recorded["groups"]);
    let mut found = parsed(&group_list(&built_in(|_, _| true)));
    // Upstream's `/apis` alone leaves out its apiVersion where ours states v1.
    found.as_object_mut().unwrap().remove("apiVersion");
    recorded.as_object_mut().unwrap().remove("apiVersion");
    assert_eq!(found, recorded);
}

#[test]
fn resources_are_upstreams() {
    let Some(reference) = reference("resources_are_upstreams") else {
        return;
    };
    for served in built_in(|_, _| true) {
        for version in &served.versions {
            let file = match served.name.as_str() {
                "" => "api__v1.json".to_owned(),
                name => format!("apis__{name}__{}.json", version.name),
            };
            let recorded = load(reference.join(file));
            let found = parsed(&resource_list(&served, version));
            assert_eq!(found["groupVersion"], recorded["groupVersion"]);
            assert_eq!(
                found["resources"], recorded["resources"],
                "{}/{}",
                served.name, version.name
            );
        }
        let file = reference.join(format!("apis__{}.json", served.name));
        if !served.name.is_empty() {
            let mut recorded = json!([load(file)]);
            keep_stable(&mut recorded);
            assert_eq!(parsed(&group(&served))["versions"], recorded[0]["versions"]);
        }
    }
}

#[test]
fn the_aggregated_document_is_upstreams() {
    let Some(reference) = reference("the_aggregated_document_is_upstreams") else {
        return;
    };
    let mut recorded = load(reference.join("aggregated_v2.json"));
    keep_stable(&mut recorded["items"]);
    let groups = built_in(|_, _| true);
    let found = parsed(&aggregated(groups.iter().filter(|group| !group.name.is_empty())));
    assert_eq!(found, recorded);
}

#[test]
fn disabled_versions_are_left_out() {
    let groups = built_in(|group, version| group.is_empty() || (group, version) == ("autoscaling", "v1"));
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["", "autoscaling"]);
    assert_eq!(group(&groups[1]).preferred_version.version, "v1");
}

#[test]
fn the_core_group_is_a_list_of_versions() {
    let versions = api_versions(&built_in(|_, _| true), "192.0.2.1:6443");
    assert_eq!(
        parsed(&versions),
        json!({
            "kind": api::meta::v1::APIVersions::KIND, "apiVersion": "v1", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "192.0.2.1:6443"}],
        })
    );
    assert_eq!(
        ListVersion::V2Beta1.type_meta().api_version,
        "apidiscovery.k8s.io/v2beta1"
    );
}
