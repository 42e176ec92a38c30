use api::catalogue::{self, Resource};
use api::codec::{TypeMeta, envelope};
use serde_json::json;
use structured_merge::{Except, Set, compare, gained};

use super::*;
use crate::managed_fields::node::Node;

fn tree(row: &Resource, proto: &[u8]) -> Value {
    let meta = TypeMeta {
        api_version: row.api_version,
        kind: row.kind,
    };
    let mut json = Vec::new();
    api::codec::proto_to_json(Some(meta), row.ty, proto, &mut json).expect("well-formed");
    serde_json::from_slice(&json).expect("JSON")
}

/// Encoded objects and their trees must differ in the same fields.
fn check(row: &'static Resource, old: &[u8], new: &[u8]) {
    let schema = Node::Kind(row.ty);
    let encoded = compare(Encoded::Whole(row.ty, old), Encoded::Whole(row.ty, new), schema);
    check_gain(row, old, new);
    let (old, new) = (tree(row, old), tree(row, new));
    assert_eq!(encoded, compare(&old, &new, schema), "{}\n{old}\n{new}", row.kind);
}

/// What is gained must be what the comparison finds added or modified.
fn check_gain(row: &'static Resource, old: &[u8], new: &[u8]) {
    let schema = Node::Kind(row.ty);
    let (old, new) = (Encoded::Whole(row.ty, old), Encoded::Whole(row.ty, new));
    let ignored = Set::of_fields(&[&["status"], &["spec", "volumes"]]);
    let unowned = Set::of_fields(&[&["metadata"], &["metadata", "name"], &["spec", "securityContext"]]);
    let none = Set::default();
    for (ignored, unowned) in [(&none, &none), (&ignored, &unowned)] {
        let except = Except {
            ignored: Some(ignored),
            unowned: Some(unowned),
        };
        let gained = gained(old, new, schema, except);
        let compared = compare(old, new, schema).map(|found| {
            let all = found.added.union(found.modified);
            all.recursive_difference(ignored).difference(unowned).to_json()
        });
        let text =
            |json: Result<Vec<u8>, Error>| json.map(|json| String::from_utf8_lossy(&json).into_owned());
        assert_eq!(text(gained), text(compared), "{}", row.kind);
    }
}

fn pod(document: Value) -> Vec<u8> {
    let pods = catalogue::resource("", "v1", "pods").expect("a row of the catalogue");
    let parsed = api::codec::json_to_proto(pods.ty, document.to_string().as_bytes()).expect("a pod");
    (pods.decode)(&parsed.proto).expect("a pod").encode_to_vec()
}

#[test]
fn encoded_objects_differ_where_their_trees_do() {
    let pods = catalogue::resource("", "v1", "pods").expect("a row of the catalogue");
    let container = |name: &str, port: u16| {
        json!({"name": name, "image": "i", "args": ["a"], "ports": [{"containerPort": port}, {"containerPort": 1, "protocol": "UDP"}],
            "env": [{"name": "x", "value": "1"}, {"name": "x", "value": "2"}, {"name": "y"}],
            "resources": {"requests": {"cpu": "1"}}})
    };
    let documents = [
        json!({}),
        json!({"metadata": {"name": "a", "labels": {"a": "1", "b": "2"}, "finalizers": ["f"]}, "spec": {"containers": [container("a", 80)]}}),
        json!({"metadata": {"name": "a", "labels": {"b": "3", "c": "2"}, "finalizers": ["g", "f"]},
            "spec": {"containers": [container("b", 80), container("a", 81)], "securityContext": {}, "nodeSelector": {"a": "b"}}}),
        json!({"spec": {"containers": [{"name": "a", "env": [{"name": "x", "value": "1"}], "resources": {"requests": {"cpu": "1000m"}}}],
            "securityContext": {"runAsUser": 0, "fsGroup": 1}, "volumes": [{"name": "v", "emptyDir": {}}], "overhead": {"cpu": "1"}}}),
    ];
    let encoded: Vec<Vec<u8>> = documents.into_iter().map(pod).collect();
    for old in &encoded {
        for new in &encoded {
            check(pods, old, new);
        }
    }
}

#[test]
fn recorded_objects_differ_where_their_trees_do() {
    let Some(reference) = std::env::var_os("OXIKUBE_REFERENCE") else {
        eprintln!("recorded_objects_differ_where_their_trees_do: skipped, OXIKUBE_REFERENCE is not set");
        return;
    };
    let folder = std::path::PathBuf::from(reference).join("objects");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("recorded objects") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "pb") {
            continue;
        }
        let stored = std::fs::read(&path).expect("a file");
        let envelope = envelope::unwrap(&stored).expect("an envelope");
        let api_version = envelope.type_meta.api_version;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let row = catalogue::RESOURCES
            .iter()
            .find(|row| (row.group, row.version, row.kind) == (group, version, envelope.type_meta.kind));
        let Some(row) = row else { continue };
        let object = (row.decode)(envelope.raw).expect("an object");
        let (zero, full) = ((row.new)().encode_to_vec(), object.encode_to_vec());
        check(row, &zero, &full);
        check(row, &full, &zero);
        // Without one member after the other.
        let document = tree(row, &full);
        for member in document.as_object().expect("an object").keys() {
            let mut less = document.clone();
            less[member] = Value::Null;
            let parsed = api::codec::json_to_proto(row.ty, less.to_string().as_bytes()).expect("an object");
            let less = (row.decode)(&parsed.proto).expect("an object").encode_to_vec();
            check(row, &full, &less);
            check(row, &less, &full);
        }
        count += 1;
    }
    assert!(count > 30, "only {count} objects");
}
