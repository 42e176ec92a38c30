//! Schemas of types.

use std::collections::BTreeMap;

use api::catalogue::KINDS;
use api::descriptions::{self, Description};
use api::types::meta_v1::{LIST_META, OBJECT_META};
use api::types::{Base, Container, Field, Form, Omit, Type};
use serde_json::{Map, Value, json};

use super::Dialect;
use super::custom::CustomKind;
use super::names;

/// The definitions that a set of types needs, by name.
#[derive(Default)]
pub struct Definitions(BTreeMap<String, Definition>);

enum Definition {
    /// Of a custom kind, in the document's version.
    Made(Value),
    Type(&'static Type),
    BuiltIn(Base),
    /// Named by operations alone: a patch, the server's version.
    Patch,
    Version,
}

impl Definitions {
    /// Adds a type and whatever it refers to.
    pub fn add(&mut self, ty: &'static Type) {
        if self
            .0
            .insert(names::definition(ty), Definition::Type(ty))
            .is_some()
            || ty.form != Form::Struct
        {
            return;
        }
        self.add_fields(ty);
    }

    /// Adds the objects and lists of a custom kind, and what they refer to.
    pub fn add_custom(&mut self, kind: &CustomKind, dialect: Dialect) {
        for (name, schema) in kind.definitions(dialect) {
            self.0.insert(name, Definition::Made(schema));
        }
        self.add(&OBJECT_META);
        self.add(&LIST_META);
    }

    pub fn add_patch(&mut self) {
        self.0.insert(format!("{}.Patch", names::META), Definition::Patch);
    }

    pub fn add_version(&mut self) {
        self.0.insert(
            "io.k8s.apimachinery.pkg.version.Info".to_owned(),
            Definition::Version,
        );
    }

    fn add_fields(&mut self, ty: &'static Type) {
        for field in ty.fields {
            match field.base {
                Base::Message(inner) if field.name.is_empty() => self.add_fields(inner),
                Base::Message(inner) => self.add(inner),
                base => {
                    if let Some(name) = names::built_in(base) {
                        self.0.insert(name.to_owned(), Definition::BuiltIn(base));
                    }
                }
            }
        }
    }

    /// Names and schemas, sorted by name.
    pub fn schemas(&self, dialect: Dialect) -> impl Iterator<Item = (&str, Value)> {
        self.0.iter().map(move |(name, definition)| {
            let schema = match definition {
                Definition::Made(schema) => schema.clone(),
                Definition::Type(ty) => struct_schema(ty, dialect),
                Definition::BuiltIn(base) => built_in_schema(*base, dialect),
                Definition::Patch => json!({"type": "object"}),
                Definition::Version => version_schema(dialect),
            };
            (name.as_str(), schema)
        })
    }
}

fn struct_schema(ty: &'static Type, dialect: Dialect) -> Value {
    // The types that are a schema or something simpler are not described.
    if ty.form != Form::Struct {
        return json!({});
    }
    let description = Description::of(ty);
    let mut properties = Map::new();
    let mut required = Vec::new();
    // A watch event is a kind without a name of its own.
    if ty.kind.is_some_and(|kind| kind.kind != "WatchEvent") {
        for name in ["apiVersion", "kind"] {
            let schema = described(json!({"type": "string"}), description.field(name));
            properties.insert(name.to_owned(), schema);
        }
    }
    add_properties(ty, dialect, &mut properties, &mut required);
    let mut schema = Map::new();
    if let Some(summary) = description.summary {
        schema.insert("description".to_owned(), json!(summary));
    }
    schema.insert("type".to_owned(), json!("object"));
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), Value::Object(properties));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if ty.atomic {
        schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    }
    let kinds = group_version_kinds(ty);
    if !kinds.is_empty() {
        schema.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(kinds));
    }
    Value::Object(schema)
}

/// Under which kinds a type is registered. Options and watch events are in every group.
fn group_version_kinds(ty: &'static Type) -> Vec<Value> {
    let Some(kind) = ty.kind else { return Vec::new() };
    let gvk =
        |group: &str, version: &str, kind: &str| json!({"group": group, "kind": kind, "version": version});
    if !matches!(kind.kind, "DeleteOptions" | "WatchEvent") {
        let own = KINDS.iter().filter(|info| std::ptr::eq(info.ty, ty));
        return own.map(|info| gvk(info.group, info.version, info.kind)).collect();
    }
    let mut versions: Vec<(&str, &str)> = KINDS.iter().map(|info| (info.group, info.version)).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
        .into_iter()
        .map(|(group, version)| gvk(group, version, kind.kind))
        .collect()
}

fn add_properties(
    ty: &'static Type,
    dialect: Dialect,
    properties: &mut Map<String, Value>,
    required: &mut Vec<&'static str>,
) {
    let description = Description::of(ty);
    for field in ty.fields {
        match field.base {
            Base::Message(inner) if field.name.is_empty() => {
                add_properties(inner, dialect, properties, required)
            }
            _ => {
                let words = description.field(field.name);
                properties.insert(field.name.to_owned(), property(field, words, dialect));
                if field.required {
                    required.push(field.name);
                }
            }
        }
    }
}

fn described(mut schema: Value, words: Option<&'static str>) -> Value {
    if let (Value::Object(members), Some(words)) = (&mut schema, words) {
        members.insert("description".to_owned(), json!(words));
    }
    schema
}

fn property(field: &Field, words: Option<&'static str>, dialect: Dialect) -> Value {
    let item = base_schema(field.base, dialect);
    let mut schema = match field.container {
        Container::One => item,
        Container::List | Container::WrappedList => json!({"type": "array", "items": item}),
        Container::Map => json!({"type": "object", "additionalProperties": item}),
        Container::MapOfLists => {
            json!({"type": "object", "additionalProperties": {"type": "array", "items": item}})
        }
    };
    let mut facts = Map::new();
    if let Some(words) = words {
        facts.insert("description".to_owned(), json!(words));
    }
    for (name, value) in [
        ("x-kubernetes-list-type", field.list_type),
        ("x-kubernetes-map-type", field.map_type),
        ("x-kubernetes-patch-strategy", field.patch),
        ("x-kubernetes-patch-merge-key", field.merge_key),
    ] {
        if !value.is_empty() {
            facts.insert(name.to_owned(), json!(value));
        }
    }
    if !field.list_keys.is_empty() {
        facts.insert("x-kubernetes-list-map-keys".to_owned(), json!(field.list_keys));
    }
    if dialect == Dialect::V3
        && let Some(default) = default(field)
    {
        facts.insert("default".to_owned(), default);
    }
    // Version 3 allows nothing beside a reference.
    if dialect == Dialect::V3 && schema.get("$ref").is_some() && !facts.is_empty() {
        schema = json!({"allOf": [schema]});
    }
    if let Value::Object(members) = &mut schema {
        members.append(&mut facts);
    }
    schema
}

/// The stated default, or the zero value of a field that is never absent.
fn default(field: &Field) -> Option<Value> {
    if let Some(default) = field.default {
        return serde_json::from_str(default).ok();
    }
    if field.pointer || field.container != Container::One {
        return None;
    }
    match field.base {
        Base::Message(ty) if ty.form == Form::Struct => Some(json!({})),
        _ if field.omit != Omit::Never => None,
        Base::String => Some(json!("")),
        Base::Bool => Some(json!(false)),
        Base::Int32 | Base::Int64 | Base::Float64 => Some(json!(0)),
        _ => None,
    }
}

fn base_schema(base: Base, dialect: Dialect) -> Value {
    match base {
        Base::String => json!({"type": "string"}),
        Base::Bool => json!({"type": "boolean"}),
        Base::Int32 => json!({"type": "integer", "format": "int32"}),
        Base::Int64 => json!({"type": "integer", "format": "int64"}),
        Base::Float64 => json!({"type": "number", "format": "double"}),
        Base::Bytes => json!({"type": "string", "format": "byte"}),
        Base::Message(ty) => json!({"$ref": dialect.reference(&names::definition(ty))}),
        base => json!({"$ref": dialect.reference(names::built_in(base).unwrap_or_default())}),
    }
}

fn built_in_schema(base: Base, dialect: Dialect) -> Value {
    let words = names::built_in(base)
        .and_then(|name| name.rsplit('.').next())
        .and_then(descriptions::of_value);
    described(built_in_form(base, dialect), words)
}

fn built_in_form(base: Base, dialect: Dialect) -> Value {
    match (base, dialect) {
        (Base::Quantity, Dialect::V2) => json!({"type": "string"}),
        (Base::Quantity, Dialect::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Base::IntOrString, Dialect::V2) => json!({"format": "int-or-string", "type": "string"}),
        (Base::IntOrString, Dialect::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (Base::Time | Base::MicroTime, _) => json!({"format": "date-time", "type": "string"}),
        (Base::Duration, _) => json!({"type": "string"}),
        (Base::FieldsV1 | Base::RawExtension, _) => json!({"type": "object"}),
        _ => json!({}),
    }
}

/// `/version`'s answer.
fn version_schema(dialect: Dialect) -> Value {
    const REQUIRED: [&str; 9] = [
        "major",
        "minor",
        "gitVersion",
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ];
    const OPTIONAL: [&str; 4] = [
        "emulationMajor",
        "emulationMinor",
        "minCompatibilityMajor",
        "minCompatibilityMinor",
    ];
    let required = match dialect {
        Dialect::V2 => json!({"type": "string"}),
        Dialect::V3 => json!({"type": "string", "default": ""}),
    };
    let mut properties = Map::new();
    properties.extend(REQUIRED.iter().map(|name| ((*name).to_owned(), required.clone())));
    properties.extend(
        OPTIONAL
            .iter()
            .map(|name| ((*name).to_owned(), json!({"type": "string"}))),
    );
    json!({"type": "object", "properties": properties, "required": REQUIRED})
}
