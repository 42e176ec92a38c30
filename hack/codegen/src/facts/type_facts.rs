//! `fields.json` -> `api/types/*.txt` and `api/kinds.txt`.

use super::text;
use crate::table::{Field, Omit, Package, Type};
use crate::{Output, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const META: &str = "k8s.io/apimachinery/pkg/apis/meta/v1";
const EXTENSIONS: &str = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1";

/// One table a package.
pub fn types(facts: &Value, swagger: &Value, schemas: &[Value]) -> Result<Vec<Output>> {
    let types = object(facts, "types")?;
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for (full, target) in object(facts, "aliases")? {
        let (path, name) = split(full)?;
        if let Some(package) = package(&mut packages, path) {
            let shape = Shapes { here: path }.write(target.as_str().unwrap_or_default(), false)?;
            package.aliases.insert(name.to_owned(), shape);
        }
    }
    for (full, fields) in types {
        let (path, name) = split(full)?;
        if built_in(full).is_some() || name == "TypeMeta" {
            continue;
        }
        let Some(package) = package(&mut packages, path) else {
            continue;
        };
        // A struct that is only ever inlined has no schema of its own.
        let mut schema = Schema::find(full, swagger, schemas);
        if let (None, Some(outer)) = (schema.v2.or(schema.v3), inlining(types, full)) {
            schema = Schema::find(outer, swagger, schemas);
        }
        let mut table = Type {
            name: name.to_owned(),
            atomic: schema.atomic(),
            fields: Vec::new(),
        };
        for fact in fields.as_array().ok_or("a type is not a list")? {
            table.fields.extend(field(path, fact, &schema)?);
        }
        if table.fields.is_empty() {
            table.fields = union_fields(name);
        }
        package.types.push(table);
    }
    let outputs = packages.into_values().map(|package| Output {
        path: PathBuf::from(format!("api/types/{}.txt", package.name.replace('/', "."))),
        text: package.print(),
    });
    Ok(outputs.collect())
}

/// `group version kind type`, without the option kinds that every group registers.
pub fn kinds(facts: &Value) -> Result<Output> {
    let mut lines = BTreeSet::new();
    for kind in facts["kinds"].as_array().ok_or("no kinds")? {
        let (path, name) = split(text(kind, "Type"))?;
        let group = text(kind, "Group");
        if path == META && (!group.is_empty() || name.ends_with("Options") || name == "WatchEvent") {
            continue;
        }
        let shown = if group.is_empty() { "core" } else { group };
        let (version, kind) = (text(kind, "Version"), text(kind, "Kind"));
        lines.insert(format!("{shown} {version} {kind} {}.{name}\n", short(path)));
    }
    let head = "# group version kind type; written by `codegen facts`.\n";
    Ok(Output {
        path: "api/kinds.txt".into(),
        text: head.to_owned() + &lines.into_iter().collect::<String>(),
    })
}

fn field(here: &str, fact: &Value, schema: &Schema<'_>) -> Result<Option<Field>> {
    let kind = text(fact, "type");
    let inline = fact["inline"] == true;
    if kind.ends_with(".TypeMeta") && inline {
        return Ok(None);
    }
    let name = if inline { "" } else { text(fact, "name") };
    let omit = match (fact["omitempty"] == true, fact["omitzero"] == true) {
        (_, true) => Omit::Zero,
        (true, _) => Omit::Empty,
        _ => Omit::Never,
    };
    let keys = schema.list_keys(name, &fact["list-map-keys"]);
    Ok(Some(Field {
        number: text(fact, "proto").split(' ').next().and_then(|n| n.parse().ok()),
        name: name.to_owned(),
        shape: Shapes { here }.write(kind, fact["pointer"] == true)?,
        required: fact["required"] == true || schema.requires(name),
        omit,
        patch: text(fact, "patchStrategy").to_owned(),
        merge_key: text(fact, "patchMergeKey").to_owned(),
        list_type: schema.fact(name, "x-kubernetes-list-type", text(fact, "list-type")),
        list_keys: keys,
        map_type: schema.fact(name, "x-kubernetes-map-type", text(fact, "map-type")),
        default: schema.default(name, fact),
    }))
}

/// The fields of the extension types that print as one of two forms; their recording is empty.
fn union_fields(name: &str) -> Vec<Field> {
    let field = |number, name: &str, shape: &str| Field {
        number: Some(number),
        name: name.to_owned(),
        shape: shape.to_owned(),
        omit: Omit::Empty,
        ..Field::default()
    };
    match name {
        "JSONSchemaPropsOrArray" => {
            vec![
                field(1, "schema", "*JSONSchemaProps"),
                field(2, "jSONSchemas", "[]JSONSchemaProps"),
            ]
        }
        "JSONSchemaPropsOrBool" => {
            vec![field(1, "allows", "bool"), field(2, "schema", "*JSONSchemaProps")]
        }
        "JSONSchemaPropsOrStringArray" => {
            vec![
                field(1, "schema", "*JSONSchemaProps"),
                field(2, "property", "[]string"),
            ]
        }
        _ => Vec::new(),
    }
}

/// What OpenAPI says of a type beyond its fields.
struct Schema<'a> {
    v2: Option<&'a Value>,
    v3: Option<&'a Value>,
}

impl<'a> Schema<'a> {
    fn find(full: &str, swagger: &'a Value, schemas: &'a [Value]) -> Self {
        let (path, name) = full.rsplit_once('.').unwrap_or_default();
        let (domain, rest) = path.split_once('/').unwrap_or_default();
        let reversed: Vec<&str> = domain.split('.').rev().collect();
        let key = format!("{}.{}.{name}", reversed.join("."), rest.replace('/', "."));
        Self {
            v2: swagger["definitions"].get(&key),
            v3: schemas.iter().find_map(|s| s.get(&key)),
        }
    }

    fn atomic(&self) -> bool {
        self.v2
            .or(self.v3)
            .is_some_and(|s| text(s, "x-kubernetes-map-type") == "atomic")
    }

    fn property(&self, field: &str) -> &Value {
        self.v2
            .or(self.v3)
            .map_or(&Value::Null, |schema| &schema["properties"][field])
    }

    fn requires(&self, field: &str) -> bool {
        let required = self
            .v2
            .or(self.v3)
            .and_then(|schema| schema["required"].as_array());
        required.is_some_and(|names| names.iter().any(|name| name == field))
    }

    /// A fact as published, or else as recorded from the source.
    fn fact(&self, field: &str, key: &str, recorded: &str) -> String {
        let published = text(self.property(field), key);
        if published.is_empty() {
            recorded.to_owned()
        } else {
            published.to_owned()
        }
    }

    fn list_keys(&self, field: &str, recorded: &Value) -> Vec<String> {
        let published = &self.property(field)["x-kubernetes-list-map-keys"];
        let keys = if published.is_array() { published } else { recorded };
        keys.as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// A stated default, unless it is the zero value of a field that is never absent: that goes without saying.
    fn default(&self, field: &str, fact: &Value) -> Option<String> {
        let default = self.v3?["properties"].get(field)?.get("default")?;
        let may_be_absent = fact["pointer"] == true || fact["omitempty"] == true;
        let zero = default == "" || default == 0 || default == false;
        let empty_struct = default == &Value::Object(Map::new());
        (!empty_struct && (may_be_absent || !zero)).then(|| default.to_string())
    }
}

/// A type of the recording that inlines another.
fn inlining<'a>(types: &'a Map<String, Value>, inlined: &str) -> Option<&'a str> {
    let inlines = |fields: &Value| {
        fields
            .as_array()
            .into_iter()
            .flatten()
            .any(|f| f["inline"] == true && text(f, "type") == inlined)
    };
    types
        .iter()
        .find(|(_, fields)| inlines(fields))
        .map(|(name, _)| name.as_str())
}

/// Writes recorded types in the tables' notation, as seen from a package.
struct Shapes<'a> {
    here: &'a str,
}

impl Shapes<'_> {
    fn write(&self, kind: &str, pointer: bool) -> Result<String> {
        let pointer = if pointer { "*" } else { "" };
        if let Some(rest) = kind.strip_prefix("[]") {
            return Ok(format!("{pointer}[]{}", self.write(rest, false)?));
        }
        if let Some(rest) = kind.strip_prefix("map[") {
            let (_, value) = rest.split_once(']').ok_or("an open map type")?;
            return Ok(format!("{pointer}{{}}{}", self.write(value, false)?));
        }
        if let Some(name) = built_in(kind) {
            return Ok(format!("{pointer}{name}"));
        }
        let (path, name) = split(kind)?;
        // Named strings of helper packages (`types.UID`) carry no facts.
        if !path.contains("/apis/") && !path.starts_with("k8s.io/api/") {
            return Ok(format!("{pointer}string"));
        }
        let place = if path == self.here {
            String::new()
        } else {
            format!("{}.", short(path))
        };
        Ok(format!("{pointer}{place}{name}"))
    }
}

fn built_in(kind: &str) -> Option<&str> {
    let special = [
        ("k8s.io/apimachinery/pkg/api/resource", "Quantity"),
        ("k8s.io/apimachinery/pkg/util/intstr", "IntOrString"),
        ("k8s.io/apimachinery/pkg/runtime", "RawExtension"),
        (META, "Time"),
        (META, "MicroTime"),
        (META, "Duration"),
        (META, "FieldsV1"),
        (EXTENSIONS, "JSON"),
    ];
    match kind.rsplit_once('.') {
        Some((path, name)) if kind.contains('/') => special.contains(&(path, name)).then_some(name),
        _ => ["string", "int32", "int64", "bool", "bytes", "float64"]
            .contains(&kind)
            .then_some(kind),
    }
}

fn package<'a>(packages: &'a mut BTreeMap<String, Package>, path: &str) -> Option<&'a mut Package> {
    if !path.contains("/apis/") && !path.starts_with("k8s.io/api/") {
        return None;
    }
    let package = packages.entry(path.to_owned()).or_default();
    (package.name, package.path) = (short(path), path.to_owned());
    Some(package)
}

/// `k8s.io/api/core/v1` -> `core/v1`
fn short(path: &str) -> String {
    let parts: Vec<&str> = path.rsplit('/').take(2).collect();
    format!("{}/{}", parts[1], parts[0])
}

fn split(full: &str) -> Result<(&str, &str)> {
    full.rsplit_once('.')
        .ok_or_else(|| format!("{full:?} has no package").into())
}

fn object<'a>(facts: &'a Value, key: &str) -> Result<&'a Map<String, Value>> {
    facts[key].as_object().ok_or_else(|| format!("no {key}").into())
}
