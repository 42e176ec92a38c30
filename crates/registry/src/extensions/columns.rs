//! Parts of a version besides its schema: subresources, columns, selectable fields, warnings.

use std::collections::BTreeSet;

use api::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceSubresources, JSONSchemaProps, SelectableField,
};
use apimachinery::field::{Error, ErrorList, Path};

const TYPES: &str = "boolean,date,integer,number,string";
const FORMATS: &str = "byte,date,date-time,double,float,int32,int64,password";
const MOST_SELECTABLE_FIELDS: usize = 8;
const MAX_WARNING: usize = 256;

fn is_one_of(word: &str, words: &str) -> bool {
    words.split(',').any(|own| own == word)
}

/// A path in dots. Upstream judges its beginning alone.
fn wrong_path(text: &str, path: &Path) -> Option<Error> {
    let detail = "must be a simple json path starting with .";
    (!text.starts_with('.')).then(|| Error::invalid(path, text, detail))
}

pub(super) fn validate_subresources(subresources: &CustomResourceSubresources, path: &Path) -> ErrorList {
    let Some(scale) = &subresources.scale else {
        return ErrorList::new();
    };
    let path = path.child("scale");
    let mut errors = ErrorList::new();
    for (text, field, below, required) in [
        (
            scale.spec_replicas_path.as_str(),
            "specReplicasPath",
            &[".spec."][..],
            true,
        ),
        (
            scale.status_replicas_path.as_str(),
            "statusReplicasPath",
            &[".status."],
            true,
        ),
        (
            scale.label_selector_path.as_deref().unwrap_or_default(),
            "labelSelectorPath",
            &[".spec.", ".status."],
            false,
        ),
    ] {
        let at = path.child(field);
        if text.is_empty() {
            errors.extend(required.then(|| Error::required(&at, "")));
        } else if let Some(error) = wrong_path(text, &at) {
            errors.push(error);
        } else if !below.iter().any(|prefix| text.starts_with(prefix)) {
            let below: Vec<&str> = below.iter().map(|prefix| prefix.trim_end_matches('.')).collect();
            let below = match below.as_slice() {
                [one] => (*one).to_owned(),
                several => format!("either {}", several.join(" or ")),
            };
            let detail = format!("should be a json path under {below}");
            errors.push(Error::invalid(&at, text, detail));
        }
    }
    errors
}

pub(super) fn validate_column(column: &CustomResourceColumnDefinition, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if column.name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    let (kind, at) = (column.type_.as_str(), path.child("type"));
    let detail = format!("must be one of {TYPES}");
    if kind.is_empty() {
        errors.push(Error::required(&at, detail));
    } else if !is_one_of(kind, TYPES) {
        errors.push(Error::invalid(&at, kind, detail));
    }
    let format = column.format.as_str();
    if !format.is_empty() && !is_one_of(format, FORMATS) {
        let detail = format!("must be one of {FORMATS}");
        errors.push(Error::invalid(&path.child("format"), format, detail));
    }
    let at = path.child("JSONPath");
    match column.json_path.as_str() {
        "" => errors.push(Error::required(&at, "")),
        text => errors.extend(wrong_path(text, &at)),
    }
    errors
}

pub(super) fn validate_selectable(
    fields: &[SelectableField],
    schema: &JSONSchemaProps,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let (text, at) = (field.json_path.as_str(), path.index(index).child("jsonPath"));
        if text.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        let found = match find(text, schema) {
            Ok(found) => found,
            Err(why) => {
                let detail = format!("is an invalid path: {why}");
                errors.push(Error::invalid(&at, text, detail));
                continue;
            }
        };
        if text.trim_start_matches('.').split('.').next() == Some("metadata") {
            let detail = "must not point to fields in metadata";
            errors.push(Error::invalid(&at, text, detail));
        }
        if !matches!(found.type_.as_str(), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(Error::invalid(&at, text, detail));
        }
        if !seen.insert(text) {
            errors.push(Error::duplicate(&at, text));
        }
    }
    if seen.len() > MOST_SELECTABLE_FIELDS {
        errors.push(Error::too_many(path, seen.len(), MOST_SELECTABLE_FIELDS));
    }
    errors
}

/// The schema of the field at a path.
fn find<'a>(path: &str, schema: &'a JSONSchemaProps) -> Result<&'a JSONSchemaProps, String> {
    let nowhere = || "does not refer to a valid field".to_owned();
    let mut at = schema;
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            return Err("array notation is not allowed".to_owned());
        }
        let end = |text: &str| text.find(['.', '[', ']']).unwrap_or(text.len());
        if first != '.' {
            let token = &rest[..end(rest).max(1)];
            return Err(format!("expected [ or . but got: {token}"));
        }
        rest = &rest[1..];
        if rest.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        let (name, after) = rest.split_at(end(rest).max(1));
        let extra = at.additional_properties.as_ref();
        at = match at.properties.get(name) {
            Some(part) => part,
            None if at.properties.is_empty() => extra
                .and_then(|extra| extra.schema.as_deref())
                .ok_or_else(nowhere)?,
            None => return Err(nowhere()),
        };
        rest = after;
    }
    Ok(at)
}

/// What is wrong with what clients of a version are warned of.
pub(super) fn validate_warning(deprecated: bool, warning: &str, path: &Path) -> ErrorList {
    let wrong = |detail: &str| Error::invalid(path, warning, detail);
    if !deprecated {
        return vec![wrong("can only be set for deprecated versions")];
    }
    let mut errors = ErrorList::new();
    if warning.len() > MAX_WARNING {
        errors.push(wrong("must be <= 256 characters long"));
    }
    if warning.is_empty() {
        errors.push(wrong("must not be an empty string"));
    }
    let unprintable = |(_, c): &(usize, char)| c.is_control() || (c.is_whitespace() && *c != ' ');
    if let Some((index, _)) = warning.char_indices().find(unprintable) {
        errors.push(wrong(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        )));
    }
    errors
}
