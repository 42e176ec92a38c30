//! What mutations are made of.

use serde_json::json;

use super::show;
use crate::{Environment, Type, Value, compile};

/// The type, the value and its JSON, or what is wrong.
fn run(environment: &Environment, source: &str) -> String {
    let program = match compile(environment, source) {
        Ok(program) => program,
        Err(issues) => {
            let issues = issues.to_string();
            return issues.lines().next().unwrap_or_default().to_owned();
        }
    };
    let object = json!({"spec": {"replicas": 2}});
    match program.evaluate(&[Value::json(&object)], crate::PER_CALL_LIMIT).0 {
        Ok(value) => format!("{}: {}", program.output(), show(&value)),
        Err(error) => format!("error: {error}"),
    }
}

fn check(table: &str) {
    let environment = Environment::new().with("object", Type::Dyn).with_patches();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (source, expected) = line.split_once(" => ").expect("a row has two columns");
        assert_eq!(run(&environment, source), expected, "{source}");
    }
}

#[test]
fn parts_of_objects_bear_the_names_of_their_places() {
    check(
        r#"
        Object{} => Object: {}
        Object{spec: Object.spec{replicas: object.spec.replicas + 1}} => Object: {"spec": {"replicas": 3}}
        Object{spec: Object.spec{a: [Object.spec.a{n: "x"}]}}.spec.a[0].n => dyn: "x"
        Object{intList: [1, 2, 3]}.intList.sum() => dyn: 6
        Object{?none: optional.none()} => Object: {}
        Object{}.?none => optional_type(dyn): none
        has(Object{a: 1}.a) => bool: true
        Object{a: Object.a{b: 3}} == Object{a: Object.a{b: 1 + 2}} => bool: true
        dyn(Object.a{b: 1}) == dyn(Object.b{b: 1}) => bool: false
        dyn(Object{b: 1}) == dyn({"b": 1}) => bool: false
        object.spec.replicas > 1 ? Object{a: 1} : Object{} => Object: {"a": 1}
        Object{} == Object.spec{} => ERROR: <input>:1:10: found no matching overload for '_==_' applied to '(Object, Object.spec)'
        Objects{} => ERROR: <input>:1:8: undeclared reference to 'Objects' (in container '')
        "#,
    );
}

#[test]
fn operations_have_four_fields() {
    check(
        r#"
        [JSONPatch{op: "add", path: "/a", value: {"b": [1]}}] => list(JSONPatch): [{"op": "add", "path": "/a", "value": {"b": [1]}}]
        object.spec.replicas > 9 ? [JSONPatch{op: "remove", path: "/a"}] : [] => list(JSONPatch): []
        JSONPatch{op: "move", from: "/a", path: "/b"}.from => string: "/a"
        JSONPatch{op: "add", path: "/labels/" + jsonpatch.escapeKey("k8s.io/my~label")}.path => string: "/labels/k8s.io~1my~0label"
        JSONPatch{op: 1} => ERROR: <input>:1:13: expected type of field 'op' is 'string' but provided type is 'int'
        JSONPatch{of: "x"} => ERROR: <input>:1:13: undefined field 'of'
        JSONPatch{value: Wrong{}} => ERROR: <input>:1:23: undeclared reference to 'Wrong' (in container '')
        "#,
    );
}

#[test]
fn only_mutations_know_them() {
    let plain = Environment::new().with("object", Type::Dyn);
    for source in ["Object{}", "JSONPatch{}", "jsonpatch.escapeKey('a')"] {
        let found = run(&plain, source);
        assert!(found.contains("undeclared reference"), "{source}: {found}");
    }
}
