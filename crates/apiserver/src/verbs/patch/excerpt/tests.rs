use bytes::Bytes;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::super::{JSON_PATCH, MERGE_PATCH, Patch, STRATEGIC_MERGE_PATCH};
use super::*;

fn row() -> &'static Resource {
    api::catalogue::resource("", "v1", "pods").expect("a row of the catalogue")
}

fn decode(json: &[u8]) -> Box<dyn Object> {
    let decoded = read_json(json, Expected::from(row())).ok().expect("a pod");
    (row().decode)(&decoded.proto).expect("a pod")
}

fn pod() -> Vec<u8> {
    let pod = json!({
        "metadata": {"name": "a", "labels": {"x": "1", "y/z": "2"}, "finalizers": ["one", "two"], "resourceVersion": "7",
            "managedFields": [{"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {}}}]},
        "spec": {
            "containers": [{"name": "a", "image": "i"}, {"name": "b", "env": [{"name": "e", "value": "v"}]}],
            "nodeSelector": {"a": "b"}, "securityContext": {"runAsUser": 0}, "terminationGracePeriodSeconds": 0,
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    decode(pod.to_string().as_bytes()).encode_to_vec()
}

/// Applies a patch to what it looks at, which must be as good as applying it to everything.
fn check(content_type: &str, patch: Value, looks_at: Expect) {
    let body = Bytes::from(patch.to_string());
    let (patch, _) = Patch::parse(content_type, &body, super::super::PATCHES).expect("a patch");
    let proto = pod();
    let extent = Extent::of(&patch);
    let seen = excerpt(row().ty, &proto, &extent).expect("well-formed");
    looks_at.assert_eq(&seen.map_or("everything".to_owned(), |seen| Value::Object(seen).to_string()));

    let mut json = Vec::new();
    let meta = api::codec::TypeMeta {
        api_version: "v1",
        kind: "Pod",
    };
    api::codec::proto_to_json(Some(meta), row().ty, &proto, &mut json).expect("well-formed");
    let document: Value = serde_json::from_slice(&json).expect("JSON");
    let patched = patch.apply(row().ty, document).expect("a patched document");
    let expected = decode(patched.to_string().as_bytes());
    if let Some(found) = apply(row(), &patch, &proto) {
        let text = |object: &dyn Object| String::from_utf8_lossy(&object.to_json()).into_owned();
        assert_eq!(text(&*found), text(&*expected));
        assert_eq!(found.encode_to_vec(), expected.encode_to_vec());
    }
}

#[test]
fn merge_patches() {
    let check = |patch, looks_at| check(MERGE_PATCH, patch, looks_at);
    check(json!({}), expect!["{}"]);
    check(json!({"metadata": {}}), expect![[r#"{"metadata":{}}"#]]);
    check(
        json!({"metadata": {"labels": {"x": null, "n": "3"}}}),
        expect![[r#"{"metadata":{"labels":{"x":"1","y/z":"2"}}}"#]],
    );
    check(
        json!({"metadata": {"annotations": {"n": "3"}, "finalizers": null}}),
        expect![[r#"{"metadata":{"finalizers":["one","two"]}}"#]],
    );
    check(
        json!({"spec": {"securityContext": {"runAsGroup": 5}, "affinity": {}, "overhead": null, "hostNetwork": true}}),
        expect![[r#"{"spec":{"securityContext":{}}}"#]],
    );
    check(
        json!({"spec": {"securityContext": {"runAsUser": null}, "terminationGracePeriodSeconds": null}}),
        expect![[r#"{"spec":{"securityContext":{"runAsUser":0},"terminationGracePeriodSeconds":0}}"#]],
    );
    check(
        json!({"spec": null, "status": {"phase": "Failed"}}),
        expect![[
            r#"{"spec":{"containers":[{"image":"i","name":"a","resources":{}},{"env":[{"name":"e","value":"v"}],"name":"b","resources":{}}],"nodeSelector":{"a":"b"},"securityContext":{"runAsUser":0},"terminationGracePeriodSeconds":0},"status":{"phase":"Running"}}"#
        ]],
    );
    check(
        json!({"status": {"conditions": [], "resize": "x"}}),
        expect![[
            r#"{"status":{"conditions":[{"lastProbeTime":null,"lastTransitionTime":null,"status":"True","type":"Ready"}]}}"#
        ]],
    );
}

#[test]
fn strategic_merge_patches() {
    let check = |patch, looks_at| check(STRATEGIC_MERGE_PATCH, patch, looks_at);
    check(
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["one"]}}),
        expect![[r#"{"metadata":{"finalizers":["one","two"]}}"#]],
    );
    check(
        json!({"status": {"$setElementOrder/conditions": [{"type": "New"}, {"type": "Ready"}],
            "conditions": [{"type": "New", "status": "True"}]}}),
        expect![[
            r#"{"status":{"conditions":[{"lastProbeTime":null,"lastTransitionTime":null,"status":"True","type":"Ready"}]}}"#
        ]],
    );
    check(
        json!({"spec": {"securityContext": {"$patch": "replace", "fsGroup": 1}, "nodeSelector": {"$patch": "delete"}}}),
        expect![[r#"{"spec":{"nodeSelector":{"a":"b"},"securityContext":{"runAsUser":0}}}"#]],
    );
    check(
        json!({"$patch": "replace", "metadata": {"name": "a"}}),
        expect!["everything"],
    );
}

#[test]
fn json_patches() {
    let check = |patch, looks_at| check(JSON_PATCH, patch, looks_at);
    check(
        json!([{"op": "test", "path": "/metadata/name", "value": "a"}, {"op": "remove", "path": "/metadata/labels/y~1z"},
            {"op": "add", "path": "/metadata/labels/n", "value": "3"}]),
        expect![[r#"{"metadata":{"labels":{"x":"1","y/z":"2"},"name":"a"}}"#]],
    );
    check(
        json!([{"op": "replace", "path": "/spec/containers/1/image", "value": "j"}]),
        expect![[
            r#"{"spec":{"containers":[{"image":"i","name":"a","resources":{}},{"env":[{"name":"e","value":"v"}],"name":"b","resources":{}}]}}"#
        ]],
    );
    check(
        json!([{"op": "copy", "from": "/metadata/name", "path": "/spec/hostname"},
            {"op": "add", "path": "/spec/securityContext", "value": {"fsGroup": 3}}]),
        expect![[r#"{"metadata":{"name":"a"},"spec":{"securityContext":{"runAsUser":0}}}"#]],
    );
    check(json!([]), expect!["{}"]);
}

#[test]
fn what_has_to_be_told_is_left_to_the_long_way() {
    let refused = |content_type, patch: Value| {
        let body = Bytes::from(patch.to_string());
        let (patch, _) = Patch::parse(content_type, &body, super::super::PATCHES).expect("a patch");
        apply(row(), &patch, &pod()).is_none()
    };
    assert!(refused(MERGE_PATCH, json!({"spec": {"nope": 1}})));
    assert!(refused(MERGE_PATCH, json!({"spec": {"hostname": 1}})));
    assert!(refused(MERGE_PATCH, json!({"kind": "Node"})));
    assert!(refused(MERGE_PATCH, json!({"apiVersion": "v2"})));
    assert!(refused(
        JSON_PATCH,
        json!([{"op": "remove", "path": "/spec/hostname"}])
    ));
    assert!(refused(
        JSON_PATCH,
        json!([{"op": "add", "path": "", "value": {}}])
    ));
}
