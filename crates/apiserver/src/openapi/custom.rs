//! Kinds that are not in the catalogue: definitions of their objects and lists, by their declared schemas.
//!
//! Version 2 knows less than a schema can say; where kubectl could not cope, it is told nothing.
//!
//! Upstream: `apiextensions-apiserver/pkg/controller/openapi/{builder,v2}`.

use api::catalogue::Resource;
use api::descriptions::Description;
use api::types::core_v1::CONFIG_MAP;
use serde_json::{Map, Value, json};

use super::{Dialect, names};

/// Where clients read about conventions.
const CONVENTIONS: &str =
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// A custom kind as documents show it.
#[derive(Clone)]
pub struct CustomKind {
    pub row: &'static Resource,
    /// As declared, in JSON; `None`: anything goes.
    pub schema: Option<Value>,
    /// Paths of selectable fields, without the dots before them.
    pub selectable: &'static [&'static str],
}

impl PartialEq for CustomKind {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.row, other.row)
            && self.schema == other.schema
            && self.selectable == other.selectable
    }
}

/// `example.com`, `v1`, `Thing` -> `com.example.v1.Thing`
pub fn definition_name(row: &Resource, kind: &str) -> String {
    let reversed: Vec<&str> = row.group.split('.').rev().collect();
    format!("{}.{}.{kind}", reversed.join("."), row.version)
}

impl CustomKind {
    /// The definitions of the objects and of their lists.
    pub fn definitions(&self, dialect: Dialect) -> [(String, Value); 2] {
        let row = self.row;
        [
            (definition_name(row, row.kind), self.object(dialect)),
            (definition_name(row, row.list_kind), self.list(dialect)),
        ]
    }

    fn object(&self, dialect: Dialect) -> Value {
        let schema = self
            .schema
            .clone()
            .filter(|schema| dialect == Dialect::V3 || !preserves(schema));
        let mut object = match schema {
            None => Map::from_iter([("type".to_owned(), json!("object"))]),
            Some(mut schema) => {
                settle(&mut schema, dialect);
                let mut object = match schema {
                    Value::Object(object) => object,
                    _ => Map::new(),
                };
                let properties = object.entry("properties").or_insert_with(|| json!({}));
                name_kind(properties);
                properties["metadata"] = metadata("ObjectMeta", "Standard object's metadata.", dialect);
                object
            }
        };
        self.finish(&mut object, self.row.kind);
        Value::Object(object)
    }

    fn list(&self, dialect: Dialect) -> Value {
        let row = self.row;
        let item = json!({"$ref": dialect.reference(&definition_name(row, row.kind))});
        let mut properties = json!({
            "items": {"type": "array", "items": item, "description": format!("List of {}. More info: {CONVENTIONS}", row.plural)},
        });
        name_kind(&mut properties);
        properties["metadata"] = metadata("ListMeta", "Standard list metadata.", dialect);
        let mut list = Map::from_iter([
            (
                "description".to_owned(),
                json!(format!("{} is a list of {}", row.list_kind, row.kind)),
            ),
            ("type".to_owned(), json!("object")),
            ("required".to_owned(), json!(["items"])),
            ("properties".to_owned(), properties),
        ]);
        self.finish(&mut list, row.list_kind);
        Value::Object(list)
    }

    fn finish(&self, schema: &mut Map<String, Value>, kind: &str) {
        let gvk = json!([{"group": self.row.group, "kind": kind, "version": self.row.version}]);
        schema.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
        if !self.selectable.is_empty() {
            let fields = self.selectable.iter().map(|field| json!({"fieldPath": field}));
            schema.insert("x-kubernetes-selectable-fields".to_owned(), fields.collect());
        }
    }
}

/// What every object says of itself.
fn name_kind(properties: &mut Value) {
    let words = Description::of(&CONFIG_MAP);
    for name in ["apiVersion", "kind"] {
        properties[name] = json!({"type": "string", "description": words.field(name)});
    }
}

fn metadata(kind: &str, words: &str, dialect: Dialect) -> Value {
    let reference = json!({"$ref": dialect.reference(&format!("{}.{kind}", names::META))});
    let words = format!("{words} More info: {CONVENTIONS}#metadata");
    match dialect {
        Dialect::V2 => json!({"$ref": reference["$ref"], "description": words}),
        // Version 3 allows nothing beside a reference.
        Dialect::V3 => json!({"allOf": [reference], "description": words}),
    }
}

fn is_set(schema: &Value, name: &str) -> bool {
    schema[name] == json!(true)
}

fn preserves(schema: &Value) -> bool {
    is_set(schema, "x-kubernetes-preserve-unknown-fields")
}

/// Says of a declared schema, and of what is within, what a document of a version can.
fn settle(schema: &mut Value, dialect: Dialect) {
    if dialect == Dialect::V2 {
        simplify(schema);
    } else if is_set(schema, "x-kubernetes-int-or-string")
        && schema["anyOf"].is_null()
        && schema["allOf"].is_null()
    {
        schema["anyOf"] = json!([{"type": "integer"}, {"type": "string"}]);
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties
            .values_mut()
            .for_each(|property| settle(property, dialect));
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            settle(&mut schema[inner], dialect);
        }
    }
    if is_set(schema, "x-kubernetes-embedded-resource") && (dialect == Dialect::V3 || !preserves(schema)) {
        embed(schema, dialect);
    }
    if let Some(members) = schema.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
}

/// Leaves out what version 2 has no words for, or what kubectl takes amiss.
fn simplify(schema: &mut Value) {
    let (nullable, preserves) = (is_set(schema, "nullable"), preserves(schema));
    let is_nullable = |schema: &Value, field: &str| is_set(&schema["properties"][field], "nullable");
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let kept = required
        .into_iter()
        .filter(|field| !is_nullable(schema, field.as_str().unwrap_or_default()));
    let kept: Vec<Value> = kept.collect();
    schema["required"] = if kept.is_empty() { Value::Null } else { kept.into() };
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    for word in ["allOf", "oneOf", "anyOf", "not", "nullable", "default"] {
        members.remove(word);
    }
    if nullable || preserves {
        members.remove("items");
        members.remove("properties");
    }
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_bare = (kind == "array" && !members.contains_key("items")) || (kind == "object" && preserves);
    if nullable || is_bare {
        members.remove("type");
    }
}

/// A whole object within another.
fn embed(schema: &mut Value, dialect: Dialect) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    name_kind(&mut schema["properties"]);
    schema["properties"]["metadata"] = metadata("ObjectMeta", "Standard object's metadata.", dialect);
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    for name in ["kind", "apiVersion"] {
        if !required.contains(&json!(name)) {
            required.push(json!(name));
        }
    }
    schema["required"] = required.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declared: Value, v2: Value, v3: Value) {
        for (dialect, expected) in [(Dialect::V2, v2), (Dialect::V3, v3)] {
            let mut schema = declared.clone();
            settle(&mut schema, dialect);
            assert_eq!(schema, expected, "{dialect:?}");
        }
    }

    #[test]
    fn version_2_is_told_what_it_understands() {
        check(
            json!({"type": "object", "required": ["a", "b"], "properties": {
                "a": {"type": "string", "nullable": true, "default": "x"},
                "b": {"x-kubernetes-int-or-string": true},
                "c": {"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": {"type": "string"}},
                "d": {"type": "integer", "anyOf": [{"minimum": 1}]},
            }}),
            json!({"type": "object", "required": ["b"], "properties": {
                "a": {},
                "b": {"x-kubernetes-int-or-string": true},
                "c": {"x-kubernetes-preserve-unknown-fields": true},
                "d": {"type": "integer"},
            }}),
            json!({"type": "object", "required": ["a", "b"], "properties": {
                "a": {"type": "string", "nullable": true, "default": "x"},
                "b": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "c": {"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": {"type": "string"}},
                "d": {"type": "integer", "anyOf": [{"minimum": 1}]},
            }}),
        );
    }
}
