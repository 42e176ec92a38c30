use crate::managers::{Error, Manager, Managers, Versions, apply, update};
use crate::{
    Name, Relation, ScalarKind, Schema, Set, Shape, Share, check as check_type, compare, field_set, merge,
};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

/// A small type: scalars, a map, a list by key, a set, an atomic list and something untyped.
#[derive(Clone, Copy)]
enum Toy {
    Object,
    Labels,
    Ports,
    Port,
    Names,
    Args,
    Scalar,
    Any,
}

impl Schema for Toy {
    fn shape(&self) -> Shape {
        match self {
            Toy::Object | Toy::Labels | Toy::Port => Shape::Map(Relation::Separable),
            Toy::Ports | Toy::Names => Shape::List(Relation::Separable),
            Toy::Args => Shape::List(Relation::Atomic),
            Toy::Scalar => Shape::Scalar,
            Toy::Any => Shape::Untyped,
        }
    }

    fn field(&self, name: &str) -> Option<Self> {
        match (self, name) {
            (Toy::Object, "labels") => Some(Toy::Labels),
            (Toy::Object, "ports") => Some(Toy::Ports),
            (Toy::Object, "names") => Some(Toy::Names),
            (Toy::Object, "args") => Some(Toy::Args),
            (Toy::Object, "any") => Some(Toy::Any),
            (Toy::Object, "a" | "b" | "status") | (Toy::Port, "port" | "protocol" | "name") => {
                Some(Toy::Scalar)
            }
            _ => None,
        }
    }

    fn element(&self) -> Option<Self> {
        match self {
            Toy::Labels | Toy::Names | Toy::Args => Some(Toy::Scalar),
            Toy::Ports => Some(Toy::Port),
            _ => None,
        }
    }

    fn key(&self, index: usize) -> Option<Name> {
        match self {
            Toy::Ports => ["port", "protocol"].get(index).copied().map(Name::from),
            _ => None,
        }
    }

    fn default_of(&self, field: &str) -> Option<Value> {
        (field == "protocol").then(|| json!("TCP"))
    }

    fn scalar(&self) -> ScalarKind {
        ScalarKind::Text
    }
}

/// One version, in which `status` cannot be changed.
struct One;

impl Versions for One {
    type Schema = Toy;

    fn own(&self) -> &str {
        "v1"
    }

    fn schema(&self, version: &str) -> Option<Toy> {
        (version == "v1").then_some(Toy::Object)
    }

    fn convert(&self, value: &Value, _: &str) -> Option<Value> {
        Some(value.clone())
    }

    fn convert_back(&self, value: &Value, _: &str) -> Option<Value> {
        Some(value.clone())
    }

    fn ignored(&self, _: &str) -> Set {
        Set::of_fields(&[&["status"]])
    }
}

fn text(set: &Set) -> String {
    String::from_utf8(set.to_json()).unwrap_or_default()
}

fn manager(name: &str, applies: bool) -> Manager {
    let api_version = if applies { "" } else { "v1" };
    Manager {
        name: name.to_owned(),
        applies,
        api_version: api_version.to_owned(),
        subresource: String::new(),
    }
}

/// An object with its managers, and what happens to them.
#[derive(Default)]
struct Story {
    live: Value,
    managers: Managers,
}

impl Story {
    fn start() -> Self {
        Self {
            live: json!({}),
            managers: Managers::new(),
        }
    }

    fn updates(&mut self, name: &str, new: Value) -> &mut Self {
        let compare_at = |_: &str| compare(&self.live, &new, Toy::Object).map(Some);
        let manager = manager(name, false);
        update(&mut self.managers, &manager, &One, &Set::default(), &compare_at).expect("toys compare");
        self.live = new;
        self
    }

    fn applies(&mut self, name: &str, configuration: Value, force: bool) -> Result<&mut Self, Error> {
        let mut managers = self.managers.clone();
        let new = apply(
            &mut managers,
            &self.live,
            &configuration,
            &manager(name, true),
            force,
            &One,
        )?;
        self.managers = managers;
        self.live = new.unwrap_or(self.live.take());
        Ok(self)
    }

    fn check(&self, expected: Expect) {
        let mut lines = vec![self.live.to_string()];
        lines.extend(self.managers.iter().map(|(manager, owned)| {
            format!(
                "{} {}",
                manager.name,
                String::from_utf8_lossy(&owned.share.to_json())
            )
        }));
        expected.assert_eq(&lines.join("\n"));
    }
}

#[test]
fn sets_are_written_and_read() {
    let value = json!({"a": 1, "labels": {"x": "y"}, "ports": [{"port": 80, "name": "web"}], "names": ["b", "a"],
        "args": ["-v"], "any": {"deep": {"list": [1]}, "empty": {}}});
    let set = field_set(&value, Toy::Object).expect("items have names");
    expect![[r#"{"f:a":{},"f:any":{"f:deep":{".":{},"f:list":{}},"f:empty":{}},"f:args":{},"f:labels":{"f:x":{}},"f:names":{"v:\"a\"":{},"v:\"b\"":{}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}}}"#]]
        .assert_eq(&text(&set));
    assert_eq!(Set::from_json(&set.to_json()).expect("our own form"), set);
}

/// What is put into a written set is what the union of both sets is.
#[test]
fn fields_are_put_into_written_sets() {
    let written = [
        r#"{}"#,
        r#"{"f:b":{}}"#,
        r#"{"f:b":{".":{},"f:y":{}},"f:d":{"f:z":{"f:deep":{}}}}"#,
        r#"{"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}}}"#,
        r#"{"f:b":{"f:a":{},"v:\"x\"":{}},"f:names":{"v:\"a}\"":{},"v:\"b\\\"\"":{}}}"#,
        r#"{"f:a\"b":{},"f:b":{}}"#,
        r#"{"f:d":{},"f:b":{}}"#,
        r#"{"f:d": {}, "f:e":{}}"#,
    ];
    for old in written {
        for new in written {
            let [old_set, new_set] = [old, new].map(|json| Set::from_json(json.as_bytes()).expect("a set"));
            let expected = text(&old_set.union(new_set.clone()));
            let mut share = Share::Written(old.as_bytes().to_vec());
            share.add(new_set).expect("well-formed");
            let found = Set::from_json(&share.to_json()).expect("a set");
            assert_eq!(text(&found), expected, "{old} {new}");
        }
    }
    let splice = |old: &str, new: &str| -> String {
        let set = Set::from_json(new.as_bytes()).expect("a set");
        let spliced = crate::splice::splice(old.as_bytes(), &set);
        spliced.map_or("read".to_owned(), |json| String::from_utf8(json).expect("text"))
    };
    expect![[r#"{"f:a":{},"f:b":{".":{},"f:x":{},"f:y":{}},"f:d":{"f:z":{"f:deep":{}}},"f:e":{}}"#]]
        .assert_eq(&splice(written[2], r#"{"f:a":{},"f:b":{"f:x":{}},"f:e":{}}"#));
    expect![[r#"{"f:b":{".":{},"f:x":{}}}"#]].assert_eq(&splice(written[1], r#"{"f:b":{"f:x":{}}}"#));
    expect![[r#"{"f:b":{"f:a":{},"f:c":{},"v:\"x\"":{}},"f:names":{"v:\"a}\"":{},"v:\"b\\\"\"":{}}}"#]]
        .assert_eq(&splice(written[4], r#"{"f:b":{"f:c":{}}}"#));
    for unusual in [
        written[5],
        written[6],
        written[7],
        r#"{"f:a":[]}"#,
        r#"{"f:a":{}"#,
        r#"{"f:a":{}}}"#,
        "null",
    ] {
        assert_eq!(
            splice(unusual, r#"{"f:a":{"f:b":{}},"f:z":{}}"#),
            "read",
            "{unusual}"
        );
    }
}

#[test]
fn comparisons_tell_added_modified_and_removed() {
    let old = json!({"a": 1, "labels": {"x": "1", "y": "2"}, "ports": [{"port": 80, "name": "a"}]});
    let new = json!({"a": 2, "labels": {"y": "2", "z": "3"}, "ports": [{"port": 81}, {"port": 80, "protocol": "TCP", "name": "b"}]});
    let found = compare(&old, &new, Toy::Object).expect("items have names");
    expect![[r#"{"f:labels":{"f:z":{}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:protocol":{}},"k:{\"port\":81,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}"#]]
        .assert_eq(&text(&found.added));
    expect![[r#"{"f:a":{},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:name":{}}}}"#]]
        .assert_eq(&text(&found.modified));
    expect![[r#"{"f:labels":{"f:x":{}}}"#]].assert_eq(&text(&found.removed));
}

#[test]
fn lists_merge_in_the_applied_order_around_the_others() {
    let check = |live: Value, applied: Value, expected: Expect| {
        let merged = merge(&json!({"names": live}), &json!({"names": applied}), Toy::Object).expect("a set");
        expected.assert_eq(&merged["names"].to_string());
    };
    check(
        json!(["a", "s", "b"]),
        json!(["b", "a"]),
        expect![[r#"["s","b","a"]"#]],
    );
    check(
        json!(["a", "s", "b"]),
        json!(["n", "a", "b"]),
        expect![[r#"["n","a","s","b"]"#]],
    );
    check(json!(["s"]), json!(["n"]), expect![[r#"["s","n"]"#]]);
    check(json!([]), json!(["n", "m"]), expect![[r#"["n","m"]"#]]);
}

#[test]
fn an_update_takes_what_it_changes() {
    Story::start()
        .updates("one", json!({"a": 1, "b": 1, "status": "x"}))
        .updates("two", json!({"a": 2, "b": 1, "status": "y"}))
        .check(expect![[r#"
            {"a":2,"b":1,"status":"y"}
            one {"f:b":{}}
            two {"f:a":{}}"#]]);
}

#[test]
fn an_apply_owns_what_it_states_and_drops_what_it_no_longer_does() {
    let mut story = Story::start();
    story
        .applies("me", json!({"a": 1, "labels": {"x": "1", "y": "2"}}), false)
        .expect("nobody else");
    story.updates(
        "other",
        json!({"a": 1, "b": 5, "labels": {"x": "1", "y": "2", "z": "3"}}),
    );
    story
        .applies("me", json!({"labels": {"y": "2"}}), false)
        .expect("no conflict");
    story.check(expect![[r#"
        {"b":5,"labels":{"y":"2","z":"3"}}
        me {"f:labels":{"f:y":{}}}
        other {"f:b":{},"f:labels":{"f:z":{}}}"#]]);
}

#[test]
fn what_others_own_stays_when_one_lets_go() {
    let mut story = Story::start();
    story
        .applies("one", json!({"names": ["a", "b"]}), false)
        .expect("nobody else");
    story
        .applies("two", json!({"names": ["b", "c"]}), false)
        .expect("the same values");
    story
        .applies("one", json!({"names": ["a"]}), false)
        .expect("no conflict");
    story.check(expect![[r#"
        {"names":["a","b","c"]}
        one {"f:names":{"v:\"a\"":{}}}
        two {"f:names":{"v:\"b\"":{},"v:\"c\"":{}}}"#]]);
}

#[test]
fn changing_what_others_own_is_a_conflict_unless_forced() {
    let mut story = Story::start();
    story.updates(
        "other",
        json!({"a": 1, "ports": [{"port": 80, "protocol": "TCP", "name": "x"}]}),
    );
    let wanted = json!({"a": 2, "ports": [{"port": 80, "protocol": "TCP", "name": "y"}]});
    let Err(error) = story.applies("me", wanted.clone(), false) else {
        panic!("no conflict")
    };
    expect![[
        r#"conflicts: conflict with "other": .a; conflict with "other": .ports[port=80,protocol="TCP"].name"#
    ]]
    .assert_eq(&error.to_string());
    story.applies("me", wanted, true).expect("forced");
    story.check(expect![[r#"
        {"a":2,"ports":[{"name":"y","port":80,"protocol":"TCP"}]}
        me {"f:a":{},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{}}}}
        other {"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:protocol":{}}}}"#]]);
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let mut story = Story::start();
    story
        .applies("me", json!({"a": 1, "args": ["x"]}), false)
        .expect("nobody else");
    let mut managers = story.managers.clone();
    let again = apply(
        &mut managers,
        &story.live,
        &json!({"a": 1, "args": ["x"]}),
        &manager("me", true),
        false,
        &One,
    );
    assert_eq!(again, Ok(None));
    assert_eq!(managers, story.managers);
}

#[test]
fn repeated_items_cannot_be_applied() {
    let mut story = Story::start();
    story.updates("other", json!({"names": ["a"]}));
    let Err(error) = story.applies("me", json!({"names": ["a", "a"]}), false) else {
        panic!("accepted")
    };
    expect![[r#"duplicate entries for key [="a"]"#]].assert_eq(&error.to_string());
}

#[test]
fn values_are_judged_by_their_types() {
    let check = |value: Value, expected: &str| {
        let told = check_type(&value, Toy::Object)
            .err()
            .map(|errors| errors.to_string());
        assert_eq!(told.unwrap_or_default(), expected, "{value}");
    };
    check(
        json!({"a": "x", "labels": {"l": "m"}, "ports": null, "any": [{"x": 1}]}),
        "",
    );
    check(
        json!({"a": 5}),
        ".a: expected string, got &value.valueUnstructured{Value:5}",
    );
    check(
        json!({"a": {"x": ["y", null]}}),
        r#".a: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"x":[]interface {}{"y", interface {}(nil)}}}"#,
    );
    check(
        json!({"labels": ["x", {"y": null}]}),
        ".labels: expected map, got &{[x map[y:<nil>]]}",
    );
    check(json!({"ports": "x"}), ".ports: expected list, got &{x}");
    check(
        json!({"args": ["x", true]}),
        ".args[1]: expected string, got &value.valueUnstructured{Value:true}",
    );
    check(json!({"unheard": 1}), ".unheard: field not declared in schema");
    check(
        json!({"ports": [{"port": "80"}, {"port": "80", "nope": 1}]}),
        "errors:\n  .ports: duplicate entries for key [port=\"80\",protocol=\"TCP\"]\n  .ports[port=\"80\",protocol=\"TCP\"].nope: field not declared in schema",
    );
    check(
        json!({"ports": [null]}),
        ".ports: element 0: associative list with keys may not have a null element",
    );
}

#[test]
fn shares_stay_as_they_are_written_until_they_change() {
    let written = r#"{"f:a":{}, "f:labels":{".":{},"f:x":{}},"f:ports":{"k:{\"protocol\":\"TCP\", \"port\":80}":{".":{},"f:name":{}}},"v:1":{},"z":{}}"#;
    let check = |change: &str, removes: Expect, adds: Expect| {
        let change = Set::from_json(change.as_bytes()).expect("a set");
        let share = || Share::Written(written.as_bytes().to_vec());
        let shown = |share: Share| match share {
            Share::Written(json) if json == written.as_bytes() => "as written".to_owned(),
            other => String::from_utf8_lossy(&other.to_json()).into_owned(),
        };
        let (mut less, mut more) = (share(), share());
        less.remove(&change).expect("readable");
        more.add(change.clone()).expect("readable");
        let set = Set::from_json(written.as_bytes()).expect("a set");
        assert_eq!(
            less.to_set().expect("readable").as_ref(),
            &set.clone().difference(&change)
        );
        assert_eq!(more.to_set().expect("readable").as_ref(), &set.union(change));
        removes.assert_eq(&shown(less));
        adds.assert_eq(&shown(more));
    };
    check("{}", expect!["as written"], expect!["as written"]);
    check(
        r#"{"f:b":{}}"#,
        expect!["as written"],
        expect![[
            r#"{"f:a":{},"f:b":{},"f:labels":{".":{},"f:x":{}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"v:1":{}}"#
        ]],
    );
    check(
        r#"{"f:labels":{"f:x":{}}}"#,
        expect![[
            r#"{"f:a":{},"f:labels":{},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"v:1":{}}"#
        ]],
        expect!["as written"],
    );
    check(
        r#"{"f:labels":{"f:x":{"f:y":{}}}}"#,
        expect!["as written"],
        expect![[
            r#"{"f:a":{},"f:labels":{".":{},"f:x":{".":{},"f:y":{}}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"v:1":{}}"#
        ]],
    );
    check(
        r#"{"f:ports":{}}"#,
        expect!["as written"],
        expect![[
            r#"{"f:a":{},"f:labels":{".":{},"f:x":{}},"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"v:1":{}}"#
        ]],
    );
    check(
        r#"{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}}}"#,
        expect![[r#"{"f:a":{},"f:labels":{".":{},"f:x":{}},"v:1":{}}"#]],
        expect!["as written"],
    );
    check(
        r#"{"v:1":{}}"#,
        expect![[
            r#"{"f:a":{},"f:labels":{".":{},"f:x":{}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}}}"#
        ]],
        expect!["as written"],
    );
    check(
        r#"{"v:2":{}}"#,
        expect!["as written"],
        expect![[
            r#"{"f:a":{},"f:labels":{".":{},"f:x":{}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"v:1":{},"v:2":{}}"#
        ]],
    );
    let mut broken = Share::Written(b"{\"f:a\":".to_vec());
    assert!(broken.remove(&Set::of_fields(&[&["a"]])).is_err());
}

#[test]
fn atomic_parts_are_found() {
    let found = |value: Value| -> Vec<String> {
        let paths = crate::atomics(&value, Toy::Object);
        paths.iter().map(|path| crate::show(path)).collect()
    };
    let open =
        json!({"a": 1, "labels": {"x": "y"}, "ports": [{"port": 1}], "names": ["n"], "any": {"z": {}}});
    assert_eq!(found(open), Vec::<String>::new());
    let closed = json!({"args": ["x"], "any": [1]});
    assert_eq!(found(closed), [".any", ".args"]);
}
