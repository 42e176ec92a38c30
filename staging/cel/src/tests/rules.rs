//! Rules of custom resources.

use apimachinery::field::Path;
use serde_json::{Value as Json, json};

use crate::rules::{BUDGET, Rules};

fn schema() -> Json {
    json!({
        "type": "object",
        "x-kubernetes-validations": [
            {"rule": "self.metadata.name != 'bad'", "message": "not that name"},
        ],
        "properties": {
            "spec": {
                "type": "object",
                "x-kubernetes-validations": [
                    {"rule": "self.min <= self.max", "messageExpression": "'%d is above %d'.format([self.min, self.max])",
                     "fieldPath": ".min"},
                    {"rule": "!has(self.__namespace__) || self.__namespace__ != 'x'", "message": "m", "reason": "FieldValueForbidden"},
                ],
                "properties": {
                    "min": {"type": "integer"},
                    "max": {"type": "integer"},
                    "namespace": {"type": "string"},
                    "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "immutable"}]},
                    "once": {"type": "string", "x-kubernetes-validations": [
                        {"rule": "oldSelf.hasValue() || self == 'new'", "optionalOldSelf": true}]},
                    "start": {"type": "string", "format": "date-time", "x-kubernetes-validations": [
                        {"rule": "self >= timestamp('2020-01-01T00:00:00Z')"}]},
                    "labels": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [
                        {"rule": "size(self) < 3", "message": "too long"}]}},
                    "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "x-kubernetes-validations": [{"rule": "self.port == oldSelf.port"}],
                            "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
                    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"},
                        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "other items"}]},
                },
            },
        },
    })
}

fn check(new: Json, old: Option<Json>, errors: &[&str], warnings: &[&str]) {
    let rules = Rules::new(&schema(), true).expect("the schema has rules");
    let wrap = |spec: Json| json!({"metadata": {"name": "x"}, "spec": spec});
    let old = old.map(wrap);
    let found = rules.validate(&Path::nil(), &wrap(new), old.as_ref(), BUDGET);
    let told: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    assert_eq!(told, errors);
    assert_eq!(found.warnings, warnings);
}

#[test]
fn rules_hold_or_say_why_not() {
    let range = json!({"min": 1, "max": 2});
    let with = |key: &str, value: Json| {
        let mut spec = json!({"min": 1, "max": 2});
        spec[key] = value;
        spec
    };
    check(range.clone(), None, &[], &[]);
    check(
        json!({"min": 3, "max": 2}),
        None,
        &["spec.min: Invalid value: 3 is above 2"],
        &[],
    );
    check(with("namespace", json!("y")), None, &[], &[]);
    check(with("namespace", json!("x")), None, &["spec: Forbidden: m"], &[]);
}

#[test]
fn changes_are_judged_by_what_was() {
    let with = |key: &str, value: Json| {
        let mut spec = json!({"min": 1, "max": 2});
        spec[key] = value;
        spec
    };
    check(with("fixed", json!("a")), None, &[], &[]);
    check(
        with("fixed", json!("a")),
        Some(with("fixed", json!("a"))),
        &[],
        &[],
    );
    let immutable = "spec.fixed: Invalid value: \"b\": immutable";
    check(
        with("fixed", json!("b")),
        Some(with("fixed", json!("a"))),
        &[immutable],
        &[],
    );
    let once = "spec.once: Invalid value: \"b\": failed rule: oldSelf.hasValue() || self == 'new'";
    check(with("once", json!("b")), None, &[once], &[]);
    check(with("once", json!("b")), Some(with("once", json!("a"))), &[], &[]);
    let late = "spec.start: Invalid value: \"2010-01-01T00:00:00Z\": failed rule: self >= timestamp('2020-01-01T00:00:00Z')";
    check(with("start", json!("2010-01-01T00:00:00Z")), None, &[late], &[]);
    let long = "spec.labels[a]: Invalid value: \"long\": too long";
    check(with("labels", json!({"a": "long"})), None, &[long], &[]);
    check(
        with("labels", json!({"a": "long"})),
        Some(with("labels", json!({"a": "long"}))),
        &[],
        &[long],
    );
    let port = "spec.items[0]: Invalid value: failed rule: self.port == oldSelf.port";
    let items = |port: i64| json!([{"name": "a", "port": port}]);
    check(
        with("items", items(1)),
        Some(with("items", items(2))),
        &[port],
        &[],
    );
    check(
        with("items", items(1)),
        Some(with("items", json!([{"name": "b", "port": 2}]))),
        &[],
        &[],
    );
    check(
        with("set", json!(["a", "b"])),
        Some(with("set", json!(["b", "a"]))),
        &[],
        &[],
    );
    check(
        with("set", json!(["a"])),
        Some(with("set", json!(["b"]))),
        &["spec.set: Invalid value: other items"],
        &[],
    );
}

#[test]
fn what_is_the_same_is_left_alone() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-validations": [{"rule": "false", "message": "never"}],
        "properties": {
            "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
                "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "integer"}}}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "integer"}}},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    }}});
    let rules = Rules::new(&schema, true).expect("the schema has rules");
    let check = |new: Json, old: Json, is_left_alone: bool| {
        let (new, old) = (json!({ "spec": new }), json!({ "spec": old }));
        let found = rules.validate(&Path::nil(), &new, Some(&old), BUDGET);
        assert_eq!(
            (found.errors.len(), found.warnings.len()),
            (usize::from(!is_left_alone), usize::from(is_left_alone)),
            "{new}"
        );
    };
    let item = |a: &str, b: i64, c: i64| json!({"a": a, "b": b, "c": c});
    let two = json!({"keyed": [item("x", 1, 1), item("x", 2, 2)]});
    for (other, is_left_alone) in [
        (json!([item("x", 2, 2), item("x", 1, 1)]), true),
        (json!([item("x", 2, 1), item("x", 1, 1)]), false),
        (json!([item("x", 2, 2), item("y", 1, 1)]), false),
        (json!([item("x", 2, 2)]), false),
    ] {
        check(json!({ "keyed": other }), two.clone(), is_left_alone);
    }
    check(json!({"set": ["b", "a"]}), json!({"set": ["a", "b"]}), false);
    check(json!({"open": {"known": 1}}), json!({"open": {"known": 1}}), true);
    check(
        json!({"open": {"other": 1}}),
        json!({"open": {"other": 1}}),
        false,
    );
    check(json!({"map": {"a": 1}}), json!({"map": {"a": 1}}), true);
    check(json!({"map": {"a": 1}}), json!({"map": {"b": 1}}), false);
}

#[test]
fn a_budget_ends_the_rules() {
    let rules = Rules::new(&schema(), true).expect("the schema has rules");
    let object = json!({"metadata": {"name": "x"}, "spec": {"min": 1, "max": 2}});
    let found = rules.validate(&Path::nil(), &object, None, 3);
    assert_eq!(found.errors.len(), 1);
    assert!(found.errors[0].to_string().contains("running out of cost budget"));
}
