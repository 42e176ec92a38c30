use api::Message;
use apimachinery::field::{Error, Path};
use serde_json::{Map, Value, json};

use super::*;

fn schema(declared: &Value) -> Schema {
    let declared = JSONSchemaProps::from_json(declared.to_string().as_bytes());
    Schema::new(&declared.expect("a schema"))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

#[test]
fn what_is_not_declared_is_dropped() {
    let check = |declared: Value, value: Value, expected: Value, unknown: &[&str]| {
        let mut content = object(value);
        let found = pruning::prune_root(&mut content, &schema(&declared));
        assert_eq!(
            (Value::Object(content), found.as_slice()),
            (
                expected,
                unknown
                    .iter()
                    .map(|s| s.to_string())
                    .collect::<Vec<_>>()
                    .as_slice()
            )
        );
    };
    let declared = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "string", "nullable": true}}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"in": {"type": "object"}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {"type": "string"}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
    }});
    check(
        declared,
        json!({"spec": {"a": "1", "b": 2, "n": null}, "open": {"o": {"p": 1}, "in": {"q": 1}}, "map": {"k": {"x": "1", "y": 2}}, "list": [{"x": "1"}, {"z": 1}], "other": 1}),
        json!({"spec": {"a": "1", "n": null}, "open": {"o": {"p": 1}, "in": {}}, "map": {"k": {"x": "1"}}, "list": [{"x": "1"}, {}]}),
        &["list[1].z", "map.k.y", "open.in.q", "other", "spec.b"],
    );
    check(
        json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}, "d": {"type": "string", "default": "x"}}}}}),
        json!({"spec": {"a": null, "d": null}}),
        json!({"spec": {"d": null}}),
        &[],
    );
}

#[test]
fn what_is_absent_is_filled_in() {
    let declared = json!({"type": "object", "properties": {
        "spec": {"type": "object", "default": {}, "properties": {
            "a": {"type": "integer", "default": 1},
            "n": {"type": "string", "nullable": true, "default": "x"},
            "l": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
        }},
    }});
    let check = |value: Value, expected: Value| {
        let mut content = object(value);
        defaulting::default_members(&mut content, &schema(&declared));
        assert_eq!(Value::Object(content), expected);
    };
    check(json!({}), json!({"spec": {"a": 1, "n": "x"}}));
    check(
        json!({"spec": {"a": null, "n": null, "l": [{}, {"p": "UDP"}]}}),
        json!({"spec": {"a": 1, "n": null, "l": [{"p": "TCP"}, {"p": "UDP"}]}}),
    );
}

#[track_caller]
fn check(declared: Value, value: Value, expected: &[&str]) {
    let errors = validation::validate(
        &json!({ "spec": value }),
        None,
        &schema(&json!({"type": "object", "properties": {"spec": declared}})),
        "",
    );
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

#[test]
fn values_are_judged_in_upstreams_words() {
    check(
        json!({"type": "integer"}),
        json!("a"),
        &["spec: Invalid value: \"string\": spec in body must be of type integer: \"string\""],
    );
    check(json!({"type": "number"}), json!(1), &[]);
    check(
        json!({"x-kubernetes-int-or-string": true}),
        json!(true),
        &["spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\""],
    );
    check(json!({"type": "string", "nullable": true}), json!(null), &[]);
    check(
        json!({"type": "string", "enum": ["a", "b"]}),
        json!("c"),
        &["spec: Unsupported value: \"c\": supported values: \"a\", \"b\""],
    );
    check(
        json!({"type": "string", "pattern": "^a$"}),
        json!("b"),
        &["spec: Invalid value: \"b\": spec in body should match '^a$'"],
    );
    check(
        json!({"type": "string", "minLength": 2}),
        json!("b"),
        &["spec: Invalid value: \"b\": spec in body should be at least 2 chars long"],
    );
    check(
        json!({"type": "integer", "minimum": 3, "multipleOf": 2}),
        json!(1),
        &[
            "spec: Invalid value: 1: spec in body should be a multiple of 2",
            "spec: Invalid value: 1: spec in body should be greater than or equal to 3",
        ],
    );
    check(
        json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
        json!({}),
        &["spec.a: Required value"],
    );
    check(
        json!({"type": "string", "format": "email"}),
        json!("x"),
        &["spec: Invalid value: \"x\": spec in body must be of type email: \"x\""],
    );
    check(json!({"type": "string", "format": "nonsense"}), json!("x"), &[]);
}

#[test]
fn clauses_are_judged_together() {
    check(
        json!({"type": "integer", "anyOf": [{"minimum": 3}, {"maximum": 1}]}),
        json!(2),
        &[
            "<nil>: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)",
            "spec: Invalid value: 2: spec in body should be greater than or equal to 3",
        ],
    );
    check(
        json!({"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]}),
        json!(2),
        &[
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    );
    check(
        json!({"type": "integer", "not": {"minimum": 1}}),
        json!(2),
        &["<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)"],
    );
}

#[test]
fn what_stays_as_it_was_is_forgiven() {
    let schema = schema(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1}, "b": {"type": "string", "maxLength": 1}}}}}),
    );
    let (old, new) = (
        json!({"spec": {"a": "long", "b": "x"}}),
        json!({"spec": {"a": "long", "b": "yy"}}),
    );
    let errors = validation::validate(&new, Some(&old), &schema, "");
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["spec.b: Too long: may not be more than 1 byte"]);
}

#[test]
fn items_are_compared_with_those_of_the_same_keys() {
    let schema = schema(&json!({"type": "object", "properties": {"l": {"type": "array",
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "p"],
        "items": {"type": "object", "properties": {"k": {"type": "integer"},
            "p": {"type": "string", "default": "TCP"}, "v": {"type": "integer", "maximum": 9}}}}}}));
    let check = |new: &Value, old: &Value, expected: &[&str]| {
        let errors = validation::validate(new, Some(old), &schema, "");
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    };
    let big = "l[0].v: Invalid value: 10: l[0].v in body should be less than or equal to 9";
    let old = json!({"l": [{"k": 1, "v": 10}, {"k": 2, "p": "UDP", "v": 1}]});
    let swapped = json!({"l": [{"k": 2, "p": "UDP", "v": 2}, {"k": 1, "p": "TCP", "v": 10}]});
    check(&swapped, &old, &[]);
    check(&json!({"l": [{"k": 1, "p": "UDP", "v": 10}]}), &old, &[big]);
    check(&json!({"l": [{"k": 2, "p": "UDP", "v": 10}]}), &old, &[big]);
    // So many that a search of the whole list for each item would not end within the test's time.
    let many = |last: u64| {
        let items = (0..200_000_u64)
            .map(|k| json!({ "k": k }))
            .chain([json!({"k": last})]);
        json!({ "l": items.collect::<Vec<_>>() })
    };
    check(&many(200_001), &many(200_002), &[]);
}

#[test]
fn sets_and_maps_have_no_item_twice() {
    let check = |declared: Value, value: Value, expected: &[&str]| {
        let schema = schema(&json!({"type": "object", "properties": {"l": declared}}));
        let errors = lists::validate(&object(json!({ "l": value })), &schema);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    };
    check(
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
        json!(["a", "b", "a", "a"]),
        &["l[2]: Duplicate value: \"a\""],
    );
    check(
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object"}}),
        json!([{"k": 1}, {"k": 2}, {"k": 1}]),
        &["l[2]: Duplicate value: {\"k\":1}"],
    );
}

#[test]
fn formats_of_strings() {
    for (format, valid, invalid) in [
        ("byte", "aGk=", "a"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/40"),
        ("date", "2026-01-31", "2026-02-31"),
        ("date-time", "2026-01-31T10:00:00Z", "2026-01-31"),
        ("duration", "1h30m", "1x"),
        ("email", "a@b.c", "a"),
        ("hostname", "a.example.com", "-a"),
        ("ipv4", "1.2.3.4", "1.2.3"),
        ("ipv6", "::1", "1.2.3.4"),
        ("mac", "00:00:5e:00:53:01", "00:00"),
        ("uri", "https://a/b", "a b"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        (
            "uuid4",
            "123e4567-e89b-42d3-a456-426614174000",
            "123e4567-e89b-12d3-a456-426614174000",
        ),
        ("isbn10", "0-306-40615-2", "0-306-40615-3"),
        ("creditcard", "4111111111111111", "4111111111111112"),
        ("hexcolor", "#fff", "#ff"),
        ("rgbcolor", "rgb(1,2,3)", "rgb(1,2)"),
        ("ssn", "111-22-3333", "111"),
    ] {
        assert!(formats::is_valid(format, valid), "{format} {valid}");
        assert!(!formats::is_valid(format, invalid), "{format} {invalid}");
    }
}

#[test]
fn rules_are_asked_where_nothing_stands_in_their_way() {
    let declared = json!({"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-validations": [{"rule": "self.a + self.b > 0"}, {"rule": "self.a >= oldSelf.a", "message": "a may only grow"}],
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"},
            "name": {"type": "string", "x-kubernetes-validations": [{"rule": "size(self) < 4", "message": "too long a name"}]}},
    }}});
    let declared = JSONSchemaProps::from_json(declared.to_string().as_bytes()).expect("a schema");
    let rules = rules::compile(&declared).expect("the schema has rules");
    let custom = |spec: Value| api::Custom {
        kind: "Widget".to_owned(),
        api_version: "x.example.com/v1".to_owned(),
        content: object(json!({ "spec": spec })),
        ..api::Custom::default()
    };
    let check = |new: Value, old: Option<Value>, before: Vec<Error>, expected: &[&str], warnings: &[&str]| {
        let mut errors = before;
        let warned = rules::check(&rules, &custom(new), old.map(custom).as_ref(), &mut errors);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            (errors.as_slice(), warned.as_slice()),
            (&*strings(expected), &*strings(warnings))
        );
    };
    let sum = "spec: Invalid value: failed rule: self.a + self.b > 0";
    let grow = "spec: Invalid value: a may only grow";
    let long = "spec.name: Invalid value: \"abcd\": too long a name";
    let of = |a: i64, b: i64| json!({"a": a, "b": b});
    let named = |a: i64| json!({"a": a, "b": 1, "name": "abcd"});
    check(of(1, 0), None, vec![], &[], &[]);
    check(of(0, 0), None, vec![], &[sum], &[]);
    check(named(1), None, vec![], &[long], &[]);
    check(of(1, 1), Some(of(2, 1)), vec![], &[grow], &[]);
    check(named(2), Some(named(1)), vec![], &[], &[long]);
    check(of(0, 0), Some(of(0, 0)), vec![], &[], &[sum]);
    let path = Path::new("spec");
    check(
        of(0, 0),
        None,
        vec![Error::invalid(&path, "x", "is odd")],
        &["spec: Invalid value: \"x\": is odd", sum],
        &[],
    );
    let unasked = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    for blocking in [
        Error::required(&path, ""),
        Error::too_long(&path, 1),
        Error::too_many(&path, 2, 1),
        Error::type_invalid(&path, "x", "is no object"),
        Error::not_supported(&path, "x", &["y"]),
    ] {
        let told = blocking.to_string();
        check(of(0, 0), None, vec![blocking], &[&told, unasked], &[]);
    }
    assert!(rules::compile(&JSONSchemaProps::default()).is_none());
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
