//! Version 2 in the protobuf form that kubectl asks for (`openapi.v2.Document` of gnostic).
//!
//! Messages are written from their JSON form, piece by piece; field numbers are gnostic's.

use api::wire::Writer;
use serde_json::{Map, Value};

use super::Dialect;
use super::document::{Document, security_definitions};

/// The whole document.
pub fn encode(document: &Document) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 * 1024);
    put_text(&mut out, 1, "2.0");
    let mut info = Vec::new();
    put_text(&mut info, 1, "Kubernetes");
    put_text(&mut info, 2, "unversioned");
    put(&mut out, 2, &info);
    let mut paths = Vec::new();
    for (name, path) in &document.paths {
        put(&mut paths, 2, &named(name, &path_item(&document.path_item(path))));
    }
    put(&mut out, 8, &paths);
    let mut definitions = Vec::new();
    for (name, value) in document.definitions.schemas(Dialect::V2) {
        put(&mut definitions, 1, &named(name, &schema(&value)));
    }
    put(&mut out, 9, &definitions);
    let mut shared = Vec::new();
    for (name, value) in document.shared_parameters() {
        put(&mut shared, 1, &named(&name, &parameter(&value)));
    }
    put(&mut out, 10, &shared);
    put(&mut out, 12, &security_requirement());
    put(&mut out, 13, &security());
    out
}

fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    let mut writer = Writer::with_capacity(12);
    writer.varint(bytes.len() as u64);
    writer.tag(number, 2);
    out.extend_from_slice(writer.written());
    out.extend_from_slice(bytes);
}

/// Texts and flags are written when they are not empty.
fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put(out, number, text.as_bytes());
    }
}

fn put_flag(out: &mut Vec<u8>, number: u32, set: bool) {
    if set {
        let mut writer = Writer::with_capacity(4);
        writer.varint_field(number, 1);
        out.extend_from_slice(writer.written());
    }
}

/// `{name, value}`, the entries of gnostic's maps.
fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 8);
    put_text(&mut out, 1, name);
    put(&mut out, 2, value);
    out
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

fn schema(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, 1, text(value, "$ref"));
    put_text(&mut out, 2, text(value, "format"));
    put_text(&mut out, 4, text(value, "description"));
    for required in items(value, "required").filter_map(Value::as_str) {
        put(&mut out, 19, required.as_bytes());
    }
    if let Some(additional) = value.get("additionalProperties") {
        let mut item = Vec::new();
        put(&mut item, 1, &schema(additional));
        put(&mut out, 21, &item);
    }
    if !text(value, "type").is_empty() {
        let mut item = Vec::new();
        put_text(&mut item, 1, text(value, "type"));
        put(&mut out, 22, &item);
    }
    if let Some(inner) = value.get("items") {
        let mut item = Vec::new();
        put(&mut item, 1, &schema(inner));
        put(&mut out, 23, &item);
    }
    let mut properties = Vec::new();
    for (name, property) in entries(value, "properties") {
        put(&mut properties, 1, &named(name, &schema(property)));
    }
    if !properties.is_empty() {
        put(&mut out, 25, &properties);
    }
    extensions(&mut out, 31, value);
    out
}

fn path_item(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let methods = [
        (2, "get"),
        (3, "put"),
        (4, "post"),
        (5, "delete"),
        (6, "options"),
        (7, "head"),
        (8, "patch"),
    ];
    for (number, method) in methods {
        if let Some(found) = value.get(method) {
            put(&mut out, number, &operation(found));
        }
    }
    for found in items(value, "parameters") {
        put(&mut out, 9, &parameters_item(found));
    }
    out
}

fn operation(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let list = |out: &mut Vec<u8>, number, key| {
        for entry in items(value, key).filter_map(Value::as_str) {
            put(out, number, entry.as_bytes());
        }
    };
    list(&mut out, 1, "tags");
    put_text(&mut out, 5, text(value, "operationId"));
    list(&mut out, 6, "produces");
    list(&mut out, 7, "consumes");
    for found in items(value, "parameters") {
        put(&mut out, 8, &parameters_item(found));
    }
    let mut responses = Vec::new();
    for (code, found) in entries(value, "responses") {
        put(&mut responses, 1, &named(code, &response(found)));
    }
    put(&mut out, 9, &responses);
    list(&mut out, 10, "schemes");
    extensions(&mut out, 13, value);
    out
}

fn response(value: &Value) -> Vec<u8> {
    let mut response = Vec::new();
    put_text(&mut response, 1, text(value, "description"));
    if let Some(found) = value.get("schema") {
        let mut item = Vec::new();
        put(&mut item, 1, &schema(found));
        put(&mut response, 2, &item);
    }
    let mut out = Vec::new();
    put(&mut out, 1, &response);
    out
}

/// A parameter in place, or a reference to a shared one.
fn parameters_item(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match text(value, "$ref") {
        "" => put(&mut out, 1, &parameter(value)),
        target => {
            let mut reference = Vec::new();
            put_text(&mut reference, 1, target);
            put(&mut out, 2, &reference);
        }
    }
    out
}

fn parameter(value: &Value) -> Vec<u8> {
    let required = value.get("required") == Some(&Value::Bool(true));
    let mut out = Vec::new();
    if text(value, "in") == "body" {
        let mut body = Vec::new();
        put_text(&mut body, 2, text(value, "name"));
        put_text(&mut body, 3, "body");
        put_flag(&mut body, 4, required);
        put(&mut body, 5, &schema(value.get("schema").unwrap_or(&Value::Null)));
        put(&mut out, 1, &body);
        return out;
    }
    // Query and path parameters differ in where the type is and in which choice holds them.
    let (choice, type_number) = if text(value, "in") == "path" {
        (4, 5)
    } else {
        (3, 6)
    };
    let mut inner = Vec::new();
    put_flag(&mut inner, 1, required);
    put_text(&mut inner, 2, text(value, "in"));
    put_text(&mut inner, 4, text(value, "name"));
    put_text(&mut inner, type_number, text(value, "type"));
    put_flag(
        &mut inner,
        20,
        value.get("uniqueItems") == Some(&Value::Bool(true)),
    );
    let mut non_body = Vec::new();
    put(&mut non_body, choice, &inner);
    put(&mut out, 2, &non_body);
    out
}

/// `x-…` members, each as YAML.
fn extensions(out: &mut Vec<u8>, number: u32, value: &Value) {
    for (name, extension) in value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("x-"))
    {
        let mut any = Vec::new();
        put_text(&mut any, 2, &yaml(extension));
        put(out, number, &named(name, &any));
    }
}

/// The extensions' few shapes as YAML: texts, lists of texts, kinds and lists of kinds. JSON is YAML, but clients
/// compare scalars as they are written.
fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        other => format!("{other}\n"),
    }
}

fn security_requirement() -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, &named("BearerToken", &[]));
    out
}

fn security() -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in security_definitions().as_object().into_iter().flatten() {
        let mut key = Vec::new();
        put_text(&mut key, 1, text(value, "type"));
        put_text(&mut key, 2, text(value, "name"));
        put_text(&mut key, 3, text(value, "in"));
        put_text(&mut key, 4, text(value, "description"));
        let mut item = Vec::new();
        put(&mut item, 2, &key);
        put(&mut out, 1, &named(name, &item));
    }
    out
}
