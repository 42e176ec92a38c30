//! What a fresh cluster holds, against what upstream's does (`OXIKUBE_REFERENCE`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use client::{Client, Request};
use serde_json::Value;
use testkit::ApiServer;

/// File of the reference, and where the objects are listed.
const LISTS: [(&str, &str); 10] = [
    ("namespaces", "/api/v1/namespaces"),
    ("flowschemas", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"),
    (
        "prioritylevelconfigurations",
        "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
    ),
    ("priorityclasses", "/apis/scheduling.k8s.io/v1/priorityclasses"),
    ("clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
    (
        "clusterrolebindings",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    ),
    ("roles", "/apis/rbac.authorization.k8s.io/v1/roles"),
    ("rolebindings", "/apis/rbac.authorization.k8s.io/v1/rolebindings"),
    ("servicecidrs", "/apis/networking.k8s.io/v1/servicecidrs"),
    ("ipaddresses", "/apis/networking.k8s.io/v1/ipaddresses"),
];

/// What differs between two clusters, and what controllers of a later moment fill in.
fn comparable(mut object: Value) -> (String, Value) {
    let metadata = object["metadata"].clone();
    let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    let name = format!("{}/{}", text("namespace"), text("name"));
    let mut kept = serde_json::Map::new();
    for field in ["labels", "annotations", "finalizers", "generation"] {
        if let Some(value) = metadata.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(object) = object.as_object_mut() {
        object.insert("metadata".to_owned(), Value::Object(kept));
        for field in ["apiVersion", "kind"] {
            object.remove(field);
        }
        if let Some(conditions) = object
            .get_mut("status")
            .and_then(|status| status.get_mut("conditions"))
        {
            let conditions = conditions.as_array_mut().into_iter().flatten();
            conditions.filter_map(Value::as_object_mut).for_each(|condition| {
                condition.remove("lastTransitionTime");
            });
        }
        if let Some(aggregation) = object.get("aggregationRule").cloned() {
            // The rules of an aggregated role are the controller-manager's work.
            object.insert("rules".to_owned(), aggregation);
        }
        if let Some(cidrs) = object.get_mut("spec").and_then(|spec| spec.get_mut("cidrs")) {
            *cidrs = Value::Null;
        }
    }
    (name, object)
}

fn by_name(list: &Value) -> BTreeMap<String, Value> {
    let items = list["items"].as_array().expect("a list").iter();
    items.map(|object| comparable(object.clone())).collect()
}

async fn list(client: &Client, path: &str) -> Value {
    let request = Request::get(path).accept("application/json");
    let answer = client.send(request).await.expect("listed");
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn a_fresh_cluster_holds_what_upstreams_does() {
    let Some(folder) = std::env::var_os("OXIKUBE_REFERENCE").map(PathBuf::from) else {
        println!("skipped: OXIKUBE_REFERENCE is not set");
        return;
    };
    let server = ApiServer::start().await;
    let client = server.client();
    let mut differences = Vec::new();
    for (file, path) in LISTS {
        let reference = folder.join("bootstrap").join(format!("{file}.json"));
        let reference = std::fs::read(&reference).expect("the reference");
        let theirs = by_name(&serde_json::from_slice(&reference).expect("JSON"));
        let mut ours = by_name(&list(&client, path).await);
        for (name, wanted) in theirs {
            match ours.remove(&name) {
                Some(found) if found == wanted => {}
                Some(found) => {
                    differences.push(format!("{file} {name}:\n  ours   {found}\n  theirs {wanted}"))
                }
                None => differences.push(format!("{file} {name} is missing")),
            }
        }
        differences.extend(
            ours.into_keys()
                .map(|name| format!("{file} {name} is ours alone")),
        );
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
