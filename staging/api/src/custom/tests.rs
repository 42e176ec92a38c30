use serde_json::json;

use super::*;
use crate::codec::{json_to_proto, proto_to_json};

fn round_trip(document: &Value) -> (Custom, Vec<String>) {
    let parsed = json_to_proto(&CUSTOM, document.to_string().as_bytes()).expect("a document");
    (
        Custom::decode(&parsed.proto).expect("a message"),
        parsed.strict_errors,
    )
}

#[test]
fn objects_survive_the_round_trip() {
    let document = json!({
        "apiVersion": "example.com/v1", "kind": "Thing",
        "metadata": {"name": "a", "labels": {"x": "y"}},
        "spec": {"n": 1, "f": 1.5, "list": [{"a": null}], "text": "<&>"},
    });
    let (object, strict_errors) = round_trip(&document);
    assert_eq!(strict_errors, Vec::<String>::new());
    assert_eq!(object.gvk().to_string(), "example.com/v1, Kind=Thing");
    assert_eq!(object.metadata.labels["x"], "y");
    assert_eq!(Value::Object(object.document()), document);
    let again: Value = serde_json::from_slice(&object.to_json()).expect("JSON");
    assert_eq!(again, document);
    let mut bare = Vec::new();
    proto_to_json(None, &CUSTOM, &object.encode_to_vec(), &mut bare).expect("JSON");
    assert_eq!(
        String::from_utf8(bare).expect("text"),
        r#"{"metadata":{"name":"a","labels":{"x":"y"}},"spec":{"f":1.5,"list":[{"a":null}],"n":1,"text":"<&>"}}"#
    );
}

#[test]
fn whole_floats_are_integers() {
    let (object, _) = round_trip(&json!({"a": 1.0, "b": [-2e3], "c": 1e30}));
    assert_eq!(object.content["a"], json!(1));
    assert_eq!(object.content["b"], json!([-2000]));
    assert_eq!(object.content["c"], json!(1e30));
}

#[test]
fn what_metadata_does_not_know_is_told() {
    let parsed = json_to_proto(
        &CUSTOM,
        br#"{"metadata":{"name":"a","foo":1,"labels":{}},"spec":{"a":1,"a":2},"bar":1}"#,
    );
    assert_eq!(
        parsed.expect("a document").strict_errors,
        [r#"duplicate field "spec.a""#, r#"unknown field "metadata.foo""#]
    );
}

#[test]
fn what_is_no_object_is_refused() {
    let check = |json: &str, expected: &str| {
        let error = json_to_proto(&CUSTOM, json.as_bytes()).expect_err(json);
        assert_eq!(error.to_string(), expected, "{json}");
    };
    check(
        "[]",
        "json: cannot unmarshal array into Go value of type map[string]interface {}",
    );
    check(
        r#"{"kind":1}"#,
        "json: cannot unmarshal number into Go struct field .kind of type string",
    );
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(150), "]".repeat(150));
    check(&deep, "exceeded max depth");
    assert!(Custom::decode(&[0x12, 1, b'[']).is_err());
}
