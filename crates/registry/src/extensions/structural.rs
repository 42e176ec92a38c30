//! Structural schemas: the structure of objects is told apart from what values are valid, so that the server can
//! prune and default them.
//!
//! Upstream: `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`.

use api::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use apimachinery::field::{Error, ErrorList, Path};

/// Which part of an object a schema is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Why a schema can't be read as a structural one at all.
pub(super) fn unreadable(schema: &JSONSchemaProps) -> Option<String> {
    let unsupported = [
        (!schema.id.is_empty(), "id"),
        (!schema.schema.is_empty(), "schema"),
        (
            schema.ref_.as_deref().is_some_and(|text| !text.is_empty()),
            "$ref",
        ),
        (!schema.pattern_properties.is_empty(), "patternProperties"),
        (!schema.dependencies.is_empty(), "dependencies"),
        (schema.additional_items.is_some(), "additionalItems"),
        (!schema.definitions.is_empty(), "definitions"),
    ];
    if let Some((_, field)) = unsupported.into_iter().find(|(is, _)| *is) {
        return Some(format!("OpenAPIV3Schema '{field}' is not supported"));
    }
    if schema.x_kubernetes_preserve_unknown_fields == Some(false) {
        return Some(
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined".to_owned(),
        );
    }
    if schema
        .items
        .as_ref()
        .is_some_and(|items| !items.j_son_schemas.is_empty())
    {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    let parts = super::schema::parts(schema, &Path::nil());
    parts.into_iter().find_map(|(part, _)| unreadable(part))
}

/// What keeps the schemas of a definition from being structural.
///
/// # Errors
/// Why a schema can't even be read as one.
pub fn violations(definition: &CustomResourceDefinition) -> Result<ErrorList, String> {
    let (spec, path) = (&definition.spec, Path::new("spec"));
    let mut errors = ErrorList::new();
    if spec.preserve_unknown_fields {
        errors.push(Error::invalid(
            &path.child("preserveUnknownFields"),
            true,
            "must be false",
        ));
    }
    for (index, version) in spec.versions.iter().enumerate() {
        let schema = version.schema.as_ref();
        let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_deref()) else {
            continue;
        };
        if let Some(why) = unreadable(schema) {
            let name = &version.name;
            return Err(format!(
                "failed to check validation schema for version {name}: {why}"
            ));
        }
        let at = path.child("versions").index(index);
        errors.extend(validate(schema, &at.child("schema").child("openAPIV3Schema")));
    }
    Ok(errors)
}

/// What keeps a readable schema from being structural, sorted.
pub(super) fn validate(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let mut errors = validate_structure(schema, Level::Root, path);
    errors.extend(validate_complete(schema, Some(schema), path, path));
    errors.sort_by_cached_key(ToString::to_string);
    errors
}

fn preserves(schema: &JSONSchemaProps) -> bool {
    schema.x_kubernetes_preserve_unknown_fields == Some(true)
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    schema.items.as_ref()?.schema.as_deref()
}

fn extra(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    schema.additional_properties.as_ref()?.schema.as_deref()
}

fn validate_structure(schema: &JSONSchemaProps, level: Level, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if schema.type_ == "array" && items(schema).is_none() {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
    if let Some(items) = items(schema) {
        errors.extend(validate_structure(items, Level::Item, &path.child("items")));
    }
    for (name, part) in &schema.properties {
        let at = path.child("properties").key(name);
        errors.extend(validate_structure(part, Level::Field, &at));
    }
    let at = path.child("additionalProperties");
    if schema.additional_properties.is_some() && level == Level::Root {
        errors.push(Error::forbidden(&at, "must not be used at the root"));
    }
    if let Some(extra) = extra(schema) {
        errors.extend(validate_structure(extra, Level::Field, &at));
    }
    errors.extend(validate_extensions(schema, path));
    let skip_any = is_int_or_string(&schema.any_of);
    let skip_first = schema
        .all_of
        .first()
        .is_some_and(|first| is_int_or_string(&first.any_of));
    errors.extend(validate_values(schema, skip_any, skip_first, path));
    errors.extend(validate_type(schema, level, path));
    errors.extend(validate_metadata(schema, level, path));
    errors
}

fn validate_extensions(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let detail = "must be false if x-kubernetes-int-or-string is true";
    [
        (preserves(schema), "x-kubernetes-preserve-unknown-fields"),
        (
            schema.x_kubernetes_embedded_resource,
            "x-kubernetes-embedded-resource",
        ),
    ]
    .into_iter()
    .filter(|(is, _)| *is && schema.x_kubernetes_int_or_string)
    .map(|(_, field)| Error::invalid(&path.child(field), true, detail))
    .collect()
}

fn validate_type(schema: &JSONSchemaProps, level: Level, path: &Path) -> ErrorList {
    let (kind, at) = (schema.type_.as_str(), path.child("type"));
    let embedded = schema.x_kubernetes_embedded_resource;
    let mut errors = ErrorList::new();
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => Error::required(&at, detail),
            kind => Error::invalid(&at, kind, detail),
        });
    } else if kind.is_empty() && !schema.x_kubernetes_int_or_string && !preserves(schema) {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(&at, detail));
    }
    if embedded && schema.additional_properties.is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(&at, kind, "must be object at the root"));
    }
    if embedded && !preserves(schema) && schema.properties.is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(Error::required(&path.child("properties"), detail));
    }
    errors
}

/// What the server knows of every object is not for a schema to say otherwise.
fn validate_metadata(schema: &JSONSchemaProps, level: Level, path: &Path) -> ErrorList {
    let path = path.child("properties");
    let judged = level == Level::Root || schema.x_kubernetes_embedded_resource;
    let mut errors = ErrorList::new();
    for (name, kind) in [
        ("kind", "string"),
        ("apiVersion", "string"),
        ("metadata", "object"),
    ] {
        if let Some(part) = schema.properties.get(name)
            && judged
            && part.type_ != kind
        {
            let at = path.key(name).child("type");
            errors.push(Error::invalid(
                &at,
                part.type_.as_str(),
                format!("must be {kind}"),
            ));
        }
    }
    if let Some(metadata) = schema.properties.get("metadata").filter(|_| level == Level::Root) {
        let mut rest = metadata.clone();
        if rest
            .properties
            .keys()
            .all(|name| name == "name" || name == "generateName")
        {
            rest.properties.clear();
        }
        rest.type_ = String::new();
        rest.default = None;
        if rest != JSONSchemaProps::default() {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(Error::forbidden(&path.key("metadata"), detail));
        }
    }
    errors
}

/// `[{type: integer}, {type: string}]`
fn is_int_or_string(list: &[JSONSchemaProps]) -> bool {
    let of_type = |kind: &str| JSONSchemaProps {
        type_: kind.to_owned(),
        ..JSONSchemaProps::default()
    };
    matches!(list, [first, second] if *first == of_type("integer") && *second == of_type("string"))
}

fn validate_values(schema: &JSONSchemaProps, skip_any: bool, skip_first: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (list, field) in [
        (&schema.any_of, "anyOf"),
        (&schema.all_of, "allOf"),
        (&schema.one_of, "oneOf"),
    ] {
        if field == "anyOf" && skip_any {
            continue;
        }
        for (index, part) in list.iter().enumerate() {
            let skip = field == "allOf" && index == 0 && skip_first;
            errors.extend(validate_nested(part, skip, &path.child(field).index(index)));
        }
    }
    if let Some(not) = &schema.not {
        errors.extend(validate_nested(not, false, &path.child("not")));
    }
    if !schema.pattern.is_empty()
        && let Err(error) = regex_lite::Regex::new(&schema.pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(Error::invalid(
            &path.child("pattern"),
            schema.pattern.as_str(),
            detail,
        ));
    }
    errors
}

/// What stands below `allOf` and the like says nothing of structure.
fn validate_nested(schema: &JSONSchemaProps, skip_any: bool, path: &Path) -> ErrorList {
    let mut errors = validate_values(schema, skip_any, false, path);
    if let Some(items) = items(schema) {
        errors.extend(validate_nested(items, false, &path.child("items")));
    }
    for (name, part) in &schema.properties {
        errors.extend(validate_nested(part, false, &path.child("properties").key(name)));
    }
    let allows = schema.additional_properties.as_ref();
    for (is, field, detail) in [
        (!schema.type_.is_empty(), "type", "must be empty to be structural"),
        (
            allows.is_some_and(|extra| extra.allows || extra.schema.is_some()),
            "additionalProperties",
            "must be undefined to be structural",
        ),
        (
            schema.default.is_some(),
            "default",
            "must be undefined to be structural",
        ),
        (
            !schema.title.is_empty(),
            "title",
            "must be empty to be structural",
        ),
        (
            !schema.description.is_empty(),
            "description",
            "must be empty to be structural",
        ),
        (schema.nullable, "nullable", "must be false to be structural"),
        (
            preserves(schema),
            "x-kubernetes-preserve-unknown-fields",
            "must be false to be structural",
        ),
        (
            schema.x_kubernetes_embedded_resource,
            "x-kubernetes-embedded-resource",
            "must be false to be structural",
        ),
        (
            schema.x_kubernetes_int_or_string,
            "x-kubernetes-int-or-string",
            "must be false to be structural",
        ),
        (
            !schema.x_kubernetes_list_map_keys.is_empty(),
            "x-kubernetes-list-map-keys",
            "must be empty to be structural",
        ),
        (
            schema.x_kubernetes_list_type.is_some(),
            "x-kubernetes-list-type",
            "must be undefined to be structural",
        ),
        (
            schema.x_kubernetes_map_type.is_some(),
            "x-kubernetes-map-type",
            "must be undefined to be structural",
        ),
        (
            !schema.x_kubernetes_validations.is_empty(),
            "x-kubernetes-validations",
            "must be empty to be structural",
        ),
    ] {
        if is {
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
    if schema.properties.contains_key("metadata") {
        let detail = "must not be specified in a nested context";
        errors.push(Error::forbidden(
            &path.child("properties").key("metadata"),
            detail,
        ));
    }
    errors
}

/// Errors for what is judged (`values`) without being part of the structure.
fn validate_complete(
    values: &JSONSchemaProps,
    structure: Option<&JSONSchemaProps>,
    at: &Path,
    from: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut clauses: Vec<(&JSONSchemaProps, Path)> = Vec::new();
    clauses.extend(values.not.as_deref().map(|part| (part, from.child("not"))));
    for (list, field) in [
        (&values.all_of, "allOf"),
        (&values.any_of, "anyOf"),
        (&values.one_of, "oneOf"),
    ] {
        let list = list.iter().enumerate();
        clauses.extend(list.map(|(index, part)| (part, from.child(field).index(index))));
    }
    for (clause, from) in clauses {
        errors.extend(validate_clause(clause, structure, at, &from));
    }
    errors
}

fn validate_clause(
    clause: &JSONSchemaProps,
    structure: Option<&JSONSchemaProps>,
    at: &Path,
    from: &Path,
) -> ErrorList {
    let Some(structure) = structure else {
        let detail = format!("because it is defined in {from}");
        return vec![Error::required(at, detail)];
    };
    let mut errors = validate_complete(clause, Some(structure), at, from);
    if let Some(part) = items(clause) {
        let field = "items";
        errors.extend(validate_clause(
            part,
            items(structure),
            &at.child(field),
            &from.child(field),
        ));
    }
    for (name, part) in &clause.properties {
        let field = "properties";
        let (at, from) = (at.child(field).key(name), from.child(field).key(name));
        errors.extend(validate_clause(part, structure.properties.get(name), &at, &from));
    }
    errors
}
