//! Schemas of custom resources: what OpenAPI is allowed in them.
//!
//! Rules of `x-kubernetes-validations` are judged but for their expressions, which stand in `expressions`.

use std::collections::BTreeSet;

use api::apiextensions::v1::{JSONSchemaProps, ValidationRule};
use apimachinery::field::{Error, ErrorList, Path};

use crate::metadata::shown;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// Where a schema stands, as far as rules differ.
#[derive(Clone)]
pub(super) struct Place {
    pub root: bool,
    inside_metadata: bool,
    /// Why there may be no default.
    no_default: Option<String>,
}

impl Place {
    pub(super) const ROOT: Place = Place {
        root: true,
        inside_metadata: false,
        no_default: None,
    };

    fn below(&self) -> Place {
        Place {
            root: false,
            ..self.clone()
        }
    }
}

/// Schemas that are part of another, each with its path.
pub(super) fn parts<'a>(schema: &'a JSONSchemaProps, path: &Path) -> Vec<(&'a JSONSchemaProps, Path)> {
    let mut parts = Vec::new();
    if let Some(extra) = &schema.additional_properties {
        parts.extend(
            extra
                .schema
                .as_deref()
                .map(|part| (part, path.child("additionalProperties"))),
        );
    }
    for (name, part) in &schema.properties {
        parts.push((part, path.child("properties").key(name)));
    }
    parts.extend(schema.not.as_deref().map(|part| (part, path.child("not"))));
    for (list, field) in [
        (&schema.all_of, "allOf"),
        (&schema.one_of, "oneOf"),
        (&schema.any_of, "anyOf"),
    ] {
        let list = list.iter().enumerate();
        parts.extend(list.map(|(index, part)| (part, path.child(field).index(index))));
    }
    for (name, part) in &schema.definitions {
        parts.push((part, path.child("definitions").key(name)));
    }
    if let Some(items) = &schema.items {
        let at = path.child("items");
        parts.extend(items.schema.as_deref().map(|part| (part, at.clone())));
        let list = items.j_son_schemas.iter().enumerate();
        parts.extend(list.map(|(index, part)| (part, at.index(index))));
    }
    for (name, part) in &schema.dependencies {
        let at = path.child("dependencies").key(name);
        parts.extend(part.schema.as_deref().map(|part| (part, at)));
    }
    parts
}

/// Whether a schema or one of its parts is such.
pub(super) fn any(schema: &JSONSchemaProps, is: &impl Fn(&JSONSchemaProps) -> bool) -> bool {
    is(schema)
        || parts(schema, &Path::nil())
            .into_iter()
            .any(|(part, _)| any(part, is))
}

/// Errors of a schema and of its parts.
pub(super) fn validate(schema: &JSONSchemaProps, place: &Place, path: &Path) -> ErrorList {
    let mut errors = validate_supported(schema, place, path);
    if schema.unique_items {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(Error::forbidden(&path.child("uniqueItems"), detail));
    }
    if let Some(extra) = &schema.additional_properties
        && !schema.properties.is_empty()
        && (!extra.allows || extra.schema.is_some())
    {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
    }
    for (part, at) in parts(schema, path) {
        errors.extend(validate(part, &place_of(schema, part, place), &at));
    }
    if schema.x_kubernetes_preserve_unknown_fields == Some(false) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(Error::invalid(&at, false, "must be true or undefined"));
    }
    errors.extend(validate_map_type(schema, path));
    errors.extend(validate_list_type(schema, path));
    errors.extend(validate_list_keys(schema, path));
    errors.extend(validate_items_of_sets_and_maps(schema, path));
    for (index, rule) in schema.x_kubernetes_validations.iter().enumerate() {
        errors.extend(validate_rule(
            rule,
            &path.child("x-kubernetes-validations").index(index),
        ));
    }
    errors
}

/// Where a part stands.
fn place_of(schema: &JSONSchemaProps, part: &JSONSchemaProps, place: &Place) -> Place {
    let mut below = place.below();
    let extra = schema.additional_properties.as_ref();
    if extra
        .and_then(|extra| extra.schema.as_deref())
        .is_some_and(|own| std::ptr::eq(own, part))
    {
        if place.inside_metadata {
            below.no_default = Some("inside additionalProperties applying to object metadata".to_owned());
        }
        return below;
    }
    let property = schema.properties.iter().find(|(_, own)| std::ptr::eq(*own, part));
    if let Some((name, _)) = property
        && (place.root || schema.x_kubernetes_embedded_resource)
        && ["metadata", "kind", "apiVersion"].contains(&name.as_str())
    {
        below.inside_metadata = true;
        if place.root {
            below.no_default = Some(format!("in top-level {name}"));
        }
    }
    below
}

fn validate_supported(schema: &JSONSchemaProps, place: &Place, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let kind = schema.type_.as_str();
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(Error::not_supported(&path.child("type"), kind, &TYPES));
    }
    let mut forbid = |is: bool, field: &'static str, detail: &str| {
        if is {
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    };
    if let Some(reason) = &place.no_default {
        let detail = format!("must not be set {reason}");
        forbid(schema.default.is_some(), "default", &detail);
    }
    for (is, field) in [
        (!schema.id.is_empty(), "id"),
        (schema.additional_items.is_some(), "additionalItems"),
        (!schema.pattern_properties.is_empty(), "patternProperties"),
        (!schema.definitions.is_empty(), "definitions"),
        (!schema.dependencies.is_empty(), "dependencies"),
        (schema.ref_.is_some(), "$ref"),
    ] {
        forbid(is, field, &format!("{field} is not supported"));
    }
    forbid(
        kind == "null",
        "type",
        "type cannot be set to null, use nullable as an alternative",
    );
    let lists = schema
        .items
        .as_ref()
        .is_some_and(|items| !items.j_son_schemas.is_empty());
    forbid(lists, "items", "items must be a schema object and not an array");
    forbid(
        place.inside_metadata && schema.x_kubernetes_embedded_resource,
        "x-kubernetes-embedded-resource",
        "must not be used inside of resource meta",
    );
    errors
}

/// An error if a schema is not of the type that an extension goes with.
fn must_be(schema: &JSONSchemaProps, kind: &str, extension: &str, path: &Path) -> Option<Error> {
    let at = path.child("type");
    let detail = format!("must be {kind} if {extension} is specified");
    match schema.type_.as_str() {
        own if own == kind => None,
        "" => Some(Error::required(&at, detail)),
        own => Some(Error::invalid(&at, own, detail)),
    }
}

fn validate_map_type(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let Some(kind) = schema.x_kubernetes_map_type.as_deref() else {
        return ErrorList::new();
    };
    let extension = "x-kubernetes-map-type";
    let mut errors: ErrorList = must_be(schema, "object", extension, path).into_iter().collect();
    let kinds = ["atomic", "granular"];
    if !kinds.contains(&kind) {
        errors.push(Error::not_supported(&path.child(extension), kind, &kinds));
    }
    errors
}

fn validate_list_type(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let Some(kind) = schema.x_kubernetes_list_type.as_deref() else {
        return ErrorList::new();
    };
    let extension = "x-kubernetes-list-type";
    let mut errors: ErrorList = must_be(schema, "array", extension, path).into_iter().collect();
    let items = schema.items.as_ref().and_then(|items| items.schema.as_deref());
    if let Some(items) = items.filter(|_| errors.is_empty() && kind == "set") {
        let shown = items.x_kubernetes_list_type.clone();
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let atomic = |kind: &Option<String>| kind.as_deref() == Some("atomic");
        let at = path.child("items");
        if items.type_ == "array" && shown.is_some() && !atomic(&items.x_kubernetes_list_type) {
            errors.push(Error::invalid(&at.child(extension), shown, detail));
        } else if items.type_ == "object" && !atomic(&items.x_kubernetes_map_type) {
            errors.push(Error::invalid(&at.child("x-kubernetes-map-type"), shown, detail));
        }
    }
    let kinds = ["atomic", "set", "map"];
    if !kinds.contains(&kind) {
        errors.push(Error::not_supported(&path.child(extension), kind, &kinds));
    }
    errors
}

fn validate_list_keys(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let keys = schema.x_kubernetes_list_map_keys.as_slice();
    let kind = schema.x_kubernetes_list_type.as_deref();
    let mut errors = ErrorList::new();
    let at = path.child("x-kubernetes-list-type");
    let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
    match kind {
        None if !keys.is_empty() => errors.push(Error::required(&at, detail)),
        Some(kind) if !keys.is_empty() && kind != "map" => errors.push(Error::invalid(&at, kind, detail)),
        _ => {}
    }
    if kind != Some("map") {
        return errors;
    }
    let keys_at = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(Error::required(&keys_at, detail));
    }
    let at = path.child("items");
    let Some(items) = &schema.items else {
        errors.push(Error::required(
            &at,
            "must have a schema if x-kubernetes-list-type is map",
        ));
        return errors;
    };
    let Some(items) = items.schema.as_deref() else {
        let detail = "must only have a single schema if x-kubernetes-list-type is map";
        errors.push(Error::invalid(&at, shown(&**items), detail));
        return errors;
    };
    if items.type_ != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(&at.child("type"), items.type_.as_str(), detail));
        return errors;
    }
    let mut seen = BTreeSet::new();
    for key in keys {
        match items.properties.get(key) {
            None => {
                let detail = "entries must all be names of item properties";
                errors.push(Error::invalid(&keys_at, keys, detail));
            }
            Some(own) if matches!(own.type_.as_str(), "array" | "object") => {
                let at = at.child("properties").key(key).child("type");
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.push(Error::invalid(&at, items.type_.as_str(), detail));
            }
            Some(_) => {}
        }
        if !seen.insert(key) {
            errors.push(Error::invalid(
                &keys_at,
                keys,
                "must not contain duplicate entries",
            ));
        }
    }
    errors
}

/// Items of sets and maps are there, and so are the keys of maps.
fn validate_items_of_sets_and_maps(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let items = schema.items.as_ref().and_then(|items| items.schema.as_deref());
    let kind = schema.x_kubernetes_list_type.as_deref();
    let (Some(items), Some(kind @ ("set" | "map"))) = (items, kind) else {
        return ErrorList::new();
    };
    let path = path.child("items");
    let mut errors = ErrorList::new();
    if items.nullable {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
        errors.push(Error::forbidden(&path.child("nullable"), detail));
    }
    let keys = schema.x_kubernetes_list_map_keys.iter().filter(|_| kind == "map");
    for (key, own) in keys.filter_map(|key| items.properties.get_key_value(key)) {
        let at = path.child("properties").key(key);
        if !items.required.contains(key) && own.default.is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(Error::required(&at.child("default"), detail));
        }
        if own.nullable {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(Error::forbidden(&at.child("nullable"), detail));
        }
    }
    errors
}

fn validate_rule(rule: &ValidationRule, path: &Path) -> ErrorList {
    let has_line_breaks = |text: &str| text.contains(['\n', '\r']);
    let (expression, message) = (rule.rule.trim(), rule.message.trim());
    let mut errors = ErrorList::new();
    let at = path.child("message");
    if expression.is_empty() {
        errors.push(Error::required(&path.child("rule"), "rule is not specified"));
    } else if !rule.message.is_empty() && message.is_empty() {
        let detail = "must be non-empty if specified";
        errors.push(Error::invalid(&at, rule.message.as_str(), detail));
    } else if has_line_breaks(message) {
        let detail = "must not contain line breaks";
        errors.push(Error::invalid(&at, rule.message.as_str(), detail));
    } else if has_line_breaks(expression) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(Error::required(&at, detail));
    }
    if !rule.message_expression.is_empty() && rule.message_expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(Error::required(&path.child("messageExpression"), detail));
    }
    if let Some(reason) = rule.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        errors.push(Error::not_supported(&path.child("reason"), reason, &REASONS));
    }
    let (field, at) = (rule.field_path.as_str(), path.child("fieldPath"));
    if !field.is_empty() && field.trim().is_empty() {
        errors.push(Error::invalid(&at, field, "must be non-empty if specified"));
    }
    if has_line_breaks(field) {
        errors.push(Error::invalid(&at, field, "must not contain line breaks"));
    }
    errors
}
