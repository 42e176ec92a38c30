//! The codec against facts recorded from upstream: golden objects and random vectors, both ways.
//!
//! Reads `OXIKUBE_REFERENCE`; without it the tests say that they were skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "reference/schema.rs"]
mod schema;

use api::catalogue;
use api::codec::parts::{self, Form, Part};
use api::codec::{TypeMeta, envelope, json_to_proto, proto_to_json};
use api::types::Type;
use schema::Schema;
use std::fs;
use std::path::PathBuf;

fn reference(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("OXIKUBE_REFERENCE").map(PathBuf::from);
    if found.is_none() {
        eprintln!("{test}: skipped, OXIKUBE_REFERENCE is not set");
    }
    found
}

fn to_json(meta: Option<TypeMeta<'_>>, ty: &'static Type, proto: &[u8]) -> String {
    let mut out = Vec::new();
    proto_to_json(meta, ty, proto, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The JSON of a message, put together from that of its smallest parts.
fn json_of_parts(ty: &'static Type, proto: &[u8]) -> String {
    if ty.form != api::types::Form::Struct {
        return to_json(None, ty, proto);
    }
    json_of_message(ty, Some(parts::whole(proto)))
}

fn json_of_message(ty: &'static Type, message: Option<api::wire::Value<'_>>) -> String {
    let members = parts::members(ty, message).unwrap();
    let shown = members.iter().flatten();
    let member = |part: &Part<'_>| format!("\"{}\":{}", part.field.name, json_of_part(part));
    format!("{{{}}}", shown.map(member).collect::<Vec<_>>().join(","))
}

fn json_of_part(part: &Part<'_>) -> String {
    let text = |bytes: &[u8]| {
        let mut out = Vec::new();
        api::codec::text::string(bytes, &mut out);
        String::from_utf8(out).unwrap()
    };
    match (part.form(), part.message()) {
        (Form::Map, Some((ty, message))) => json_of_message(ty, message),
        (Form::Map, None) => {
            let entries = part.entries().unwrap();
            let entry = |(key, value): &(&[u8], Part<'_>)| format!("{}:{}", text(key), json_of_part(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        (Form::List, _) if part.field.container != api::types::Container::MapOfLists => {
            let items = part.items().unwrap();
            format!(
                "[{}]",
                items.iter().map(json_of_part).collect::<Vec<_>>().join(",")
            )
        }
        (form, _) => {
            let mut out = Vec::new();
            part.write_json(&mut out).unwrap();
            if form != Form::Document {
                assert_eq!(form == Form::Null, out == b"null", "{}", part.field.name);
            }
            String::from_utf8(out).unwrap()
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// Counts failures and shows the first few.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn check(&mut self, what: &str, name: &str, found: &str, expected: &str) {
        if found != expected {
            let at = found
                .bytes()
                .zip(expected.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            let window = |text: &str| {
                let bytes =
                    &text.as_bytes()[at.saturating_sub(60).min(text.len())..(at + 60).min(text.len())];
                String::from_utf8_lossy(bytes).into_owned()
            };
            self.0.push(format!(
                "{what} of {name}\n  found    {}\n  expected {}",
                window(found),
                window(expected)
            ));
        }
    }

    fn end(self) {
        let shown: Vec<&str> = self.0.iter().take(10).map(String::as_str).collect();
        assert!(
            self.0.is_empty(),
            "{} failures, the first:\n{}",
            self.0.len(),
            shown.join("\n")
        );
    }
}

#[test]
fn vectors_convert_both_ways() {
    let Some(reference) = reference("vectors_convert_both_ways") else {
        return;
    };
    let schema = Schema::load();
    let mut failures = Failures::default();
    let mut seen = 0;
    for line in fs::read_to_string(reference.join("vectors.tsv")).unwrap().lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let (name, proto, json) = (columns[0], hex(columns[1]), columns[2]);
        let ty = schema.by_path(name).unwrap_or_else(|| panic!("no type {name}"));
        failures.check("JSON", name, &to_json(None, ty, &proto), json);
        failures.check("JSON of the parts", name, &json_of_parts(ty, &proto), json);
        match json_to_proto(ty, json.as_bytes()) {
            Ok(parsed) => {
                failures.check("strict errors", name, &parsed.strict_errors.join("; "), "");
                // Absent and empty bytes differ in protobuf alone, so equal JSON is enough.
                if parsed.proto != proto {
                    failures.check("JSON of protobuf", name, &to_json(None, ty, &parsed.proto), json);
                }
            }
            Err(error) => failures.check("error", name, &error.to_string(), ""),
        }
        seen += 1;
    }
    assert!(seen > 7000, "only {seen} vectors");
    failures.end();
}

#[test]
fn typed_structs_keep_every_vector() {
    let Some(reference) = reference("typed_structs_keep_every_vector") else {
        return;
    };
    let mut failures = Failures::default();
    let mut seen = 0;
    for line in fs::read_to_string(reference.join("vectors.tsv")).unwrap().lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let name = columns[0];
        let kind = catalogue::KINDS
            .iter()
            .find(|k| format!("{}.{}", k.ty.package.path, k.ty.name) == name);
        let Some(decode) = kind.and_then(|kind| kind.decode) else {
            continue;
        };
        let proto = hex(columns[1]);
        let object = decode(&proto).unwrap();
        let again = object.encode_to_vec();
        let ty = object.descriptor();
        failures.check(
            "JSON",
            name,
            &loose(&to_json(None, ty, &again)),
            &loose(&to_json(None, ty, &proto)),
        );
        seen += 1;
    }
    assert!(seen > 700, "only {seen} vectors");
    failures.end();
}

/// A typed struct does not tell absent bytes, or a zero time behind a pointer, from empty ones.
fn loose(json: &str) -> String {
    json.replace(":\"\"", ":null")
}

#[test]
fn golden_objects_convert_both_ways() {
    let Some(reference) = reference("golden_objects_convert_both_ways") else {
        return;
    };
    let schema = Schema::load();
    let mut failures = Failures::default();
    let mut seen = 0;
    for entry in fs::read_dir(reference.join("objects")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pb") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let proto = fs::read(&path).unwrap();
        let pretty = fs::read(path.with_extension("json")).unwrap();
        let mut json = Vec::new();
        api::codec::text::raw(&pretty, &mut json);
        let json = String::from_utf8(json).unwrap();
        let opened = envelope::unwrap(&proto).unwrap();
        // A watch event does not say what it is.
        let meta = match opened.type_meta {
            TypeMeta { kind: "", .. } => TypeMeta {
                api_version: "v1",
                kind: "WatchEvent",
            },
            meta => meta,
        };
        let Some(ty) = schema.by_kind(meta) else {
            failures.check("type", &name, "none", "some");
            continue;
        };
        failures.check(
            "JSON",
            &name,
            &to_json(
                Some(opened.type_meta).filter(|m| !m.kind.is_empty()),
                ty,
                opened.raw,
            ),
            &json,
        );
        let parsed = json_to_proto(ty, json.as_bytes()).unwrap();
        failures.check("strict errors", &name, &parsed.strict_errors.join("; "), "");
        let meta = TypeMeta {
            api_version: &parsed.api_version,
            kind: &parsed.kind,
        };
        let wrapped = envelope::wrap(meta, &parsed.proto);
        failures.check(
            "protobuf",
            &name,
            &format!("{wrapped:02x?}"),
            &format!("{proto:02x?}"),
        );
        let yaml = fs::read(path.with_extension("yaml")).unwrap();
        let from_yaml = json_to_proto(ty, &api::codec::yaml::to_json(&yaml).unwrap()).unwrap();
        failures.check(
            "YAML",
            &name,
            &format!("{:02x?}", from_yaml.proto),
            &format!("{:02x?}", opened.raw),
        );
        seen += 1;
    }
    assert!(seen > 180, "only {seen} objects");
    failures.end();
}
