use super::{TypeMeta, envelope, json_to_proto, list, proto_to_json, text, yaml};
use crate::meta::v1::ListMeta;
use crate::types::{Type, apiextensions_v1, apps_v1, authentication_v1, coordination_v1, core_v1};
use crate::{Message, core};
use expect_test::{Expect, expect};

/// Reads JSON as a type and shows what it is read as: JSON again, then what strict decoding would refuse.
fn check(ty: &'static Type, json: &str, expected: Expect) {
    let found = match json_to_proto(ty, json.as_bytes()) {
        Err(error) => format!("error: {error}"),
        Ok(parsed) => {
            let mut out = Vec::new();
            proto_to_json(None, ty, &parsed.proto, &mut out).unwrap();
            let mut lines = vec![String::from_utf8(out).unwrap()];
            lines.extend(parsed.strict_errors);
            lines.join("\n")
        }
    };
    expected.assert_eq(&found);
}

#[test]
fn zero_values_are_written_where_go_writes_them() {
    check(
        &core_v1::POD,
        "{}",
        expect![[r#"{"metadata":{},"spec":{"containers":null},"status":{}}"#]],
    );
    check(
        &core_v1::SERVICE_PORT,
        r#"{"port":80,"targetPort":"http","protocol":null}"#,
        expect![[r#"{"port":80,"targetPort":"http"}"#]],
    );
}

#[test]
fn members_come_out_in_declared_order() {
    check(
        &core_v1::VOLUME,
        r#"{"hostPath":{"type":"","path":"/p"},"name":"v"}"#,
        expect![[r#"{"name":"v","hostPath":{"path":"/p","type":""}}"#]],
    );
    check(
        &core_v1::CONFIG_MAP,
        r#"{"data":{"b":"2","a":"1","b":"3"},"metadata":{"name":"n"}}"#,
        expect![[r#"
            {"metadata":{"name":"n"},"data":{"a":"1","b":"3"}}
            duplicate field "data.b""#]],
    );
}

/// Concatenated protobuf is one message: its fields come in any order, and more than once.
#[test]
fn fields_in_any_order_are_written_in_the_declared_one() {
    let check = |ty: &'static Type, whole: &str| {
        let proto = json_to_proto(ty, whole.as_bytes()).unwrap().proto;
        let mut reader = crate::wire::Reader::new(&proto);
        let (mut fields, mut start) = (Vec::new(), 0);
        while reader.field().unwrap().is_some() {
            fields.push(&proto[start..reader.position()]);
            start = reader.position();
        }
        let reversed: Vec<&[u8]> = fields.iter().rev().copied().collect();
        let twice = [&*fields, &*fields].concat();
        for fields in [fields, reversed, twice] {
            let mut out = Vec::new();
            proto_to_json(None, ty, &fields.concat(), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), whole);
        }
    };
    // Declared in the order of the numbers, and not.
    check(
        &core_v1::CONTAINER_PORT,
        r#"{"name":"a","hostPort":1,"containerPort":80,"protocol":"TCP","hostIP":"h"}"#,
    );
    check(
        &core_v1::SERVICE_PORT,
        r#"{"name":"a","protocol":"TCP","appProtocol":"x","port":80,"targetPort":"http"}"#,
    );
}

#[test]
fn scalars_are_made_canonical() {
    check(
        &core_v1::RESOURCE_REQUIREMENTS,
        r#"{"limits":{"cpu":"1000m","memory":"1024Ki","pods":3,"x":"0.5","y":"1e3"}}"#,
        expect![[r#"{"limits":{"cpu":"1","memory":"1Mi","pods":"3","x":"500m","y":"1e3"}}"#]],
    );
    check(
        &coordination_v1::LEASE_SPEC,
        r#"{"renewTime":"2026-01-02T03:04:05.123456+01:00"}"#,
        expect![[r#"{"renewTime":"2026-01-02T02:04:05.123456Z"}"#]],
    );
    check(
        &core_v1::SECRET,
        r#"{"data":{"a":"aGk=","b":""}}"#,
        expect![[r#"{"metadata":{},"data":{"a":"aGk=","b":""}}"#]],
    );
}

#[test]
fn unknown_and_repeated_fields_are_reported_with_their_paths() {
    check(
        &apps_v1::DEPLOYMENT,
        r#"{"kind":"Deployment","spec":{"replicas":1,"replicas":2,"template":{"spec":{"containers":[
            {"name":"a"},{"name":"b","colour":{"x":[1]}}]}}},"foo":1}"#,
        expect![[r#"
            {"metadata":{},"spec":{"replicas":2,"selector":null,"template":{"metadata":{},"spec":{"containers":[{"name":"a","resources":{}},{"name":"b","resources":{}}]}},"strategy":{}},"status":{}}
            duplicate field "spec.replicas"
            unknown field "spec.template.spec.containers[1].colour"
            unknown field "foo""#]],
    );
}

#[test]
fn wrong_types_are_named_as_go_names_them() {
    check(
        &core_v1::POD,
        r#"{"spec":{"containers":"x"}}"#,
        expect![
            "error: json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container"
        ],
    );
    check(
        &core_v1::POD,
        r#"{"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}}"#,
        expect![
            "error: json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32"
        ],
    );
    check(
        &core_v1::POD,
        r#"{"spec":{"restartPolicy":1,"priority":1.5}}"#,
        expect![
            "error: json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy"
        ],
    );
    check(
        &core_v1::POD,
        r#"{"metadata":{"labels":{"a":1}}}"#,
        expect![
            "error: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
        ],
    );
    check(
        &core_v1::POD,
        r#"{"spec":{"priority":3000000000}}"#,
        expect![
            "error: json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32"
        ],
    );
}

#[test]
fn broken_documents_say_where() {
    let check = |json: &str, expected: Expect| check(&core_v1::POD, json, expected);
    check("{", expect!["error: unexpected end of JSON input"]);
    check(
        r#"{"a" 1}"#,
        expect!["error: invalid character '1' after object key"],
    );
    check(
        r#"{"a":1 "b":2}"#,
        expect!["error: invalid character '\"' after object key:value pair"],
    );
    check(
        "{} x",
        expect!["error: invalid character 'x' after top-level value"],
    );
    check(
        r#"{"a":tru}"#,
        expect!["error: invalid character '}' in literal true (expecting 'e')"],
    );
    check(
        r#"{"a":"\x"}"#,
        expect!["error: invalid character 'x' in string escape code"],
    );
}

#[test]
fn named_lists_are_wrapped() {
    check(
        &authentication_v1::USER_INFO,
        r#"{"extra":{"b":[],"a":["x","y"],"c":null}}"#,
        expect![[r#"{"extra":{"a":["x","y"],"b":[],"c":[]}}"#]],
    );
}

#[test]
fn schemas_may_be_something_simpler() {
    check(
        &apiextensions_v1::JSON_SCHEMA_PROPS,
        r#"{"default":{"a":[1, 2]},"maximum":1e30,"additionalProperties":true,"items":{"type":"string","zz":1},"enum":[1,null]}"#,
        expect![[
            r#"{"default":{"a":[1,2]},"maximum":1e+30,"enum":[1,null],"items":{"type":"string"},"additionalProperties":true}"#
        ]],
    );
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!("{}{{}}{}", r#"{"not":"#.repeat(5000), "}".repeat(5000));
    check(
        &apiextensions_v1::JSON_SCHEMA_PROPS,
        &deep,
        expect!["error: exceeded max depth"],
    );
    let raw = format!(r#"{{"default":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    check(
        &apiextensions_v1::JSON_SCHEMA_PROPS,
        &raw,
        expect!["error: exceeded max depth"],
    );
}

#[test]
fn strings_are_escaped_as_go_does() {
    let mut out = Vec::new();
    text::string("a\"\\<>&\u{2028}\u{1}\n\u{8}é".as_bytes(), &mut out);
    text::string(b"\xff\xfe", &mut out);
    expect![[r#""a\"\\\u003c\u003e\u0026\u2028\u0001\n\bé""\ufffd\ufffd""#]]
        .assert_eq(&String::from_utf8(out).unwrap());
    let mut out = Vec::new();
    text::raw(br#"{ "a b" : [ 1 , "<\" >" ] }"#, &mut out);
    expect![[r#"{"a b":[1,"\u003c\" \u003e"]}"#]].assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn envelopes_open_to_what_was_wrapped() {
    let meta = TypeMeta {
        api_version: "apps/v1",
        kind: "Deployment",
    };
    let wrapped = envelope::wrap(meta, b"raw");
    assert!(envelope::is_envelope(&wrapped));
    let opened = envelope::unwrap(&wrapped).unwrap();
    assert_eq!((opened.type_meta, opened.raw), (meta, b"raw".as_slice()));
    assert_eq!(envelope::unwrap(b"{}"), Err(envelope::Error::Magic));
}

#[test]
fn documents_without_a_type_report_repeated_members() {
    let (value, repeated) = super::document::parse(br#"{"a":[{"b":1,"b":2.5}],"c":null}"#).unwrap();
    assert_eq!(value.to_string(), r#"{"a":[{"b":2.5}],"c":null}"#);
    assert_eq!(repeated, [r#"duplicate field "a[0].b""#]);
    let error = super::document::parse(b"{\"a\":").unwrap_err();
    assert_eq!(error.to_string(), "unexpected end of JSON input");
}

#[test]
fn documents_inside_protobuf_must_be_json() {
    let check = |raw: &[u8]| {
        let mut revision = crate::apps::v1::ControllerRevision::default();
        revision.data.raw = raw.to_vec();
        super::check_documents(&apps_v1::CONTROLLER_REVISION, &revision.encode_to_vec()).is_ok()
    };
    assert!(check(br#"{"spec": [1, "x"]}"#));
    assert!(check(b""));
    assert!(!check(b"k8s\0"));
    assert!(!check(b"{} {}"));
    assert!(!check(b"\"\xff\""));
}

#[test]
fn lists_are_put_together_from_encoded_items() {
    let namespace = |name: &str| {
        let mut namespace = core::v1::Namespace::default();
        namespace.metadata.name = name.to_owned();
        namespace
    };
    let items = [namespace("a"), namespace("b")];
    let metadata = ListMeta {
        resource_version: "7".to_owned(),
        ..ListMeta::default()
    };
    let whole = core::v1::NamespaceList {
        metadata: metadata.clone(),
        items: items.to_vec(),
    };
    let protos = items.each_ref().map(Message::encode_to_vec);
    let proto = list::proto(&metadata, protos.iter().map(Vec::as_slice));
    assert_eq!(proto, whole.encode_to_vec());
    assert_eq!(
        proto.len(),
        list::proto_len(metadata.encode_to_vec().len(), protos.iter().map(Vec::len))
    );
    let jsons = items.each_ref().map(Message::to_json);
    let meta = TypeMeta {
        api_version: "v1",
        kind: "NamespaceList",
    };
    let json = list::json(meta, &metadata, jsons.iter().map(Vec::as_slice));
    assert_eq!(String::from_utf8(json), String::from_utf8(whole.to_json()));
}

#[test]
fn yaml_is_read_as_json() {
    let json = yaml::to_json(b"spec:\n  hostNetwork: true\n  priority: 010\n  nodeName: \"no\"\n").unwrap();
    check(
        &core_v1::POD,
        &String::from_utf8(json).unwrap(),
        expect![[
            r#"{"metadata":{},"spec":{"containers":null,"nodeName":"no","hostNetwork":true,"priority":8},"status":{}}"#
        ]],
    );
    let repeated = b"a:\n  b: 1\n  b: 2\n";
    assert_eq!(yaml::to_json(repeated), Ok(br#"{"a":{"b":2}}"#.to_vec()));
    expect![[r#"
        yaml: unmarshal errors:
          line 3: key "b" already set in map"#]]
    .assert_eq(&yaml::strict_error(repeated).unwrap());
    assert_eq!(yaml::strict_error(b"a: 1"), None);
    let yaml = yaml::from_json(br#"{"b":{"c":["x",1,null]},"a":"true"}"#).unwrap();
    expect![[r#"
        a: "true"
        b:
          c:
          - x
          - 1
          - null
    "#]]
    .assert_eq(&yaml);
}

#[test]
fn what_is_wrong_with_yaml_is_told_in_upstreams_words() {
    let check = |yaml: &str, expected: &str| {
        let told = yaml::to_json(yaml.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(told, Err(expected.to_owned()), "{yaml:?}");
    };
    check("a: b: c", "yaml: mapping values are not allowed in this context");
    check(
        "a: b\n c: d\n",
        "yaml: line 2: mapping values are not allowed in this context",
    );
    check("a: [1", "yaml: line 1: did not find expected ',' or ']'");
    check(
        "x:\n  a: [b, c\n",
        "yaml: line 2: did not find expected ',' or ']'",
    );
    check("{\"a\":1", "yaml: line 1: did not find expected ',' or '}'");
    check("a: \"x", "yaml: found unexpected end of stream");
    check("x:\n  a: \"y\n", "yaml: line 3: found unexpected end of stream");
    check("a: b\nc", "yaml: line 3: could not find expected ':'");
    check("a: @x", "yaml: found character that cannot start any token");
    check(
        "a:\n\t- b",
        "yaml: line 2: found character that cannot start any token",
    );
    check("- a\nb: c\n", "yaml: line 1: did not find expected '-' indicator");
    check("a: b\n- c\n", "yaml: line 1: did not find expected key");
    check("x: ]", "yaml: did not find expected node content");
    check("a: *x", "yaml: unknown anchor 'x' referenced");
    check("a: .inf", "json: unsupported value: +Inf");
    check("a: \u{1}", "yaml: control characters are not allowed");
}

#[test]
fn what_is_wrong_with_a_time_is_told_by_its_part() {
    let check = |text: &str, micro: bool, expected: &str| {
        assert_eq!(
            super::scalar::parse_time(text, micro).err().as_deref(),
            Some(expected)
        );
    };
    check(
        "2020-01-01T00:00:00Z",
        true,
        r#"parsing time "2020-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#,
    );
    check(
        "2020-01-01",
        false,
        r#"parsing time "2020-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#,
    );
    check(
        "2020-13-01T00:00:00Z",
        false,
        r#"parsing time "2020-13-01T00:00:00Z": month out of range"#,
    );
    check(
        "yesterday",
        false,
        r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#,
    );
    check(
        "2020-02-30T00:00:00Z",
        false,
        r#"parsing time "2020-02-30T00:00:00Z": day out of range"#,
    );
    check(
        "2020-01-01T00:00:00Zx",
        false,
        r#"parsing time "2020-01-01T00:00:00Zx": extra text: "x""#,
    );
}
