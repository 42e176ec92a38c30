//! Defaults in schemas: values that the schemas themselves must allow.

use api::apiextensions::v1::JSONSchemaProps;
use apimachinery::field::{Error, ErrorList, Path};
use serde_json::Value;

/// Errors of the defaults of a structural schema.
pub(super) fn validate(schema: &JSONSchemaProps, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(value) = value_of(schema) {
        let at = path.child("default");
        if has_unknown(&value, schema) {
            let shown = apimachinery::field::Value::from(value.clone());
            errors.push(Error::invalid(&at, shown, "must not have unknown fields"));
        }
        errors.extend(judge(&value, schema, "", &at));
    }
    let items = schema.items.as_ref().and_then(|items| items.schema.as_deref());
    if let Some(items) = items {
        errors.extend(validate(items, &path.child("items")));
    }
    for (name, part) in &schema.properties {
        errors.extend(validate(part, &path.child("properties").key(name)));
    }
    errors
}

fn value_of(schema: &JSONSchemaProps) -> Option<Value> {
    let default = schema.default.as_ref()?;
    serde_json::from_slice(&default.raw)
        .ok()
        .filter(|value: &Value| !value.is_null())
}

/// Whether the server would prune some of a value.
fn has_unknown(value: &Value, schema: &JSONSchemaProps) -> bool {
    let extra = schema.additional_properties.as_ref();
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| match schema.properties.get(name) {
                Some(part) => has_unknown(member, part),
                None => match extra {
                    Some(extra) => extra
                        .schema
                        .as_deref()
                        .is_some_and(|part| has_unknown(member, part)),
                    None => {
                        let embedded = schema.x_kubernetes_embedded_resource
                            && ["apiVersion", "kind", "metadata"].contains(&name.as_str());
                        schema.x_kubernetes_preserve_unknown_fields != Some(true) && !embedded
                    }
                },
            }),
        Value::Array(items) => {
            let part = schema.items.as_ref().and_then(|items| items.schema.as_deref());
            part.is_some_and(|part| items.iter().any(|item| has_unknown(item, part)))
        }
        _ => false,
    }
}

/// What a value is called in messages.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Errors of a value, `name` being where it stands below the default.
fn judge(value: &Value, schema: &JSONSchemaProps, name: &str, path: &Path) -> ErrorList {
    let (kind, own) = (schema.type_.as_str(), type_of(value));
    let int_or_string = schema.x_kubernetes_int_or_string && matches!(own, "integer" | "string");
    let fits = kind.is_empty() || kind == own || (kind == "number" && own == "integer") || int_or_string;
    if value.is_null() && schema.nullable {
        return ErrorList::new();
    }
    if !fits {
        let detail = format!("{name} in body must be of type {kind}: \"{own}\"");
        return vec![Error::type_invalid(path, own, detail)];
    }
    let mut errors = match value {
        Value::String(text) => judge_text(text, schema, name, path),
        Value::Number(number) => judge_number(number, schema, name, path),
        Value::Array(items) => judge_items(items, schema, name, path),
        Value::Object(_) => judge_members(value, schema, name, path),
        _ => ErrorList::new(),
    };
    let known: Vec<Value> = schema
        .enum_
        .iter()
        .filter_map(|own| serde_json::from_slice(&own.raw).ok())
        .collect();
    if !known.is_empty() && !known.contains(value) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let known: Vec<String> = known.iter().map(text).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        errors.push(Error::not_supported(path, shown(value), &known));
    }
    errors
}

fn shown(value: &Value) -> apimachinery::field::Value {
    match value {
        Value::String(text) => text.as_str().into(),
        value => value.clone().into(),
    }
}

fn judge_text(text: &str, schema: &JSONSchemaProps, name: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        errors.push(Error::too_long(path, usize::try_from(most).unwrap_or(0)));
    }
    if let Some(least) = schema.min_length.filter(|least| length < *least) {
        let detail = format!("{name} in body should be at least {least} chars long");
        errors.push(Error::invalid(path, text, detail));
    }
    let pattern = schema.pattern.as_str();
    let mismatches =
        |pattern: &str| regex_lite::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text));
    if !pattern.is_empty() && mismatches(pattern) {
        let detail = format!("{name} in body should match '{pattern}'");
        errors.push(Error::invalid(path, text, detail));
    }
    // One word of what is wrong with a text is all that is said.
    errors.truncate(1);
    errors
}

fn judge_number(number: &serde_json::Number, schema: &JSONSchemaProps, name: &str, path: &Path) -> ErrorList {
    let value = number.as_f64().unwrap_or_default();
    let mut errors = ErrorList::new();
    let mut wrong = |detail: String| {
        let shown = Value::Number(number.clone());
        errors.push(Error::invalid(
            path,
            shown,
            format!("{name} in body should be {detail}"),
        ));
    };
    if let Some(step) = schema
        .multiple_of
        .filter(|step| *step > 0.0 && (value / step).fract() != 0.0)
    {
        wrong(format!("a multiple of {step}"));
    }
    match schema.maximum {
        Some(most) if schema.exclusive_maximum && value >= most => wrong(format!("less than {most}")),
        Some(most) if value > most => wrong(format!("less than or equal to {most}")),
        _ => {}
    }
    match schema.minimum {
        Some(least) if schema.exclusive_minimum && value <= least => wrong(format!("greater than {least}")),
        Some(least) if value < least => wrong(format!("greater than or equal to {least}")),
        _ => {}
    }
    errors
}

fn judge_items(items: &[Value], schema: &JSONSchemaProps, name: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(part) = schema.items.as_ref().and_then(|items| items.schema.as_deref()) {
        for (index, item) in items.iter().enumerate() {
            errors.extend(judge(item, part, &format!("{name}[{index}]"), &path.index(index)));
        }
    }
    if let Some(least) = schema.min_items.filter(|least| count < *least) {
        let detail = format!("{name} in body should have at least {least} items");
        errors.push(Error::invalid(path, items.len(), detail));
    }
    if let Some(most) = schema.max_items.filter(|most| count > *most) {
        errors.push(Error::too_many(
            path,
            items.len(),
            usize::try_from(most).unwrap_or(0),
        ));
    }
    errors
}

fn judge_members(value: &Value, schema: &JSONSchemaProps, name: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for required in schema.required.iter().filter(|field| value.get(field).is_none()) {
        errors.push(Error::required(&path.child(required.clone()), ""));
    }
    for (field, part) in &schema.properties {
        if let Some(member) = value.get(field) {
            let below = match name {
                "" => field.clone(),
                name => format!("{name}.{field}"),
            };
            errors.extend(judge(member, part, &below, &path.child(field.clone())));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::json;

    #[test]
    fn defaults_are_what_their_schemas_allow() {
        let check = |schema: Value, expected: &[&str]| {
            let errors = validate(&parse(&schema), &Path::new("s"));
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected);
        };
        check(
            json!({"type": "string", "default": "a", "enum": ["a"], "maxLength": 1}),
            &[],
        );
        check(
            json!({"type": "integer", "default": "a"}),
            &["s.default: Invalid value: \"string\":  in body must be of type integer: \"string\""],
        );
        check(
            json!({"type": "string", "default": "b", "enum": ["a"], "minLength": 2}),
            &[
                "s.default: Invalid value: \"b\":  in body should be at least 2 chars long",
                "s.default: Unsupported value: \"b\": supported values: \"a\"",
            ],
        );
        check(
            json!({"type": "object", "default": {"x": 1}}),
            &["s.default: Invalid value: {\"x\":1}: must not have unknown fields"],
        );
    }
}
