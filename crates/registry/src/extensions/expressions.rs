//! The expressions in schemas of custom resources: each compiles, to what it has to give.
//!
//! What rules might cost at most is not estimated; what they do cost is limited when they are evaluated.

use api::Message;
use api::apiextensions::v1::{JSONSchemaProps, ValidationRule};
use apimachinery::field::{Error, ErrorList, Path};
use cel::Schema;
use cel::rules::{Rule, is_field_path};
use serde_json::Value as Json;

use crate::internal::shown;

/// Where a schema stands, as far as its rules differ.
#[derive(Clone)]
struct Place {
    /// A resource of its own, or one within another: it has metadata.
    is_resource: bool,
    /// The list or map above whose parts nobody can tell apart between old and new objects.
    uncorrelated: Option<Path>,
}

/// Errors of the rules of a schema that is right otherwise.
pub(super) fn validate(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let root = Place {
        is_resource: true,
        uncorrelated: None,
    };
    let mut errors = ErrorList::new();
    walk(schema, &root, path, &mut |schema, _, path| {
        errors.extend(field_paths(schema, path))
    });
    if errors.is_empty() {
        walk(schema, &root, path, &mut |schema, place, path| {
            errors.extend(rules(schema, place, path))
        });
    }
    errors
}

/// Visits the schemas of parts, and then the schema.
fn walk(
    schema: &JSONSchemaProps,
    place: &Place,
    path: &Path,
    visit: &mut dyn FnMut(&JSONSchemaProps, &Place, &Path),
) {
    let below = |part: &JSONSchemaProps, is_correlated: bool| Place {
        is_resource: part.x_kubernetes_embedded_resource,
        uncorrelated: place
            .uncorrelated
            .clone()
            .or_else(|| (!is_correlated).then(|| path.clone())),
    };
    let extra = schema.additional_properties.as_ref();
    if let Some(part) = extra.and_then(|extra| extra.schema.as_deref()) {
        walk(
            part,
            &below(part, true),
            &path.child("additionalProperties"),
            visit,
        );
    }
    for (name, part) in &schema.properties {
        walk(
            part,
            &below(part, true),
            &path.child("properties").key(name),
            visit,
        );
    }
    let items = schema.items.as_ref();
    if let Some(part) = items.and_then(|items| items.schema.as_deref()) {
        let is_map = schema.x_kubernetes_list_type.as_deref() == Some("map");
        walk(part, &below(part, is_map), &path.child("items"), visit);
    }
    visit(schema, place, path);
}

/// The schema as documents have it.
fn json(message: &impl Message) -> Json {
    serde_json::from_slice(&message.to_json()).unwrap_or_default()
}

fn at(path: &Path, index: usize) -> Path {
    path.child("x-kubernetes-validations").index(index)
}

fn field_paths(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let with_path = |(_, rule): &(usize, &ValidationRule)| !rule.field_path.is_empty();
    let mut wrong = ErrorList::new();
    for (index, rule) in schema
        .x_kubernetes_validations
        .iter()
        .enumerate()
        .filter(with_path)
    {
        if !is_field_path(&rule.field_path, &json(schema)) {
            let at = at(path, index).child("fieldPath");
            wrong.push(Error::invalid(
                &at,
                rule.field_path.as_str(),
                "must be a valid path",
            ));
        }
    }
    wrong
}

fn rules(schema: &JSONSchemaProps, place: &Place, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if schema.x_kubernetes_validations.is_empty() {
        return errors;
    }
    let document = json(schema);
    let declared = Schema::new(&document, "selfType", place.is_resource);
    for (index, rule) in schema.x_kubernetes_validations.iter().enumerate() {
        let compiled = Rule::new(&json(rule), &declared, &document);
        let path = at(path, index);
        let at = path.child("rule");
        if let Some(Err(error)) = &compiled.rule {
            errors.push(Error::invalid(&at, shown(rule), error.as_str()));
        }
        if let Some(Err(error)) = &compiled.message_expression {
            errors.push(Error::invalid(
                &path.child("messageExpression"),
                shown(rule),
                error.as_str(),
            ));
        }
        if !compiled.uses_old_self() {
            if let Some(optional) = rule.optional_old_self {
                let detail = "may not be set if oldSelf is not used in rule";
                errors.push(Error::invalid(&path.child("optionalOldSelf"), optional, detail));
            }
        } else if let Some(above) = &place.uncorrelated {
            let detail =
                format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {above}");
            errors.push(Error::invalid(&at, rule.rule.as_str(), detail));
        }
    }
    errors
}
