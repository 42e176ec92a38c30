//! What a converted object may say of itself: its identity is that of the original, and so is its metadata, but for
//! labels and annotations. Pure.

use std::collections::BTreeMap;

use apimachinery::field::{ErrorList, Path};
use apimachinery::gvk::GroupVersionKind;
use bytes::Bytes;
use registry::metadata::{validate_annotations, validate_labels};
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Why an object is not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// It is no object of the API at all.
    Unreadable(String),
    /// It is of another kind or version than was asked for.
    Unlike(String),
    /// It is another object.
    Other(String),
    Metadata(String),
}

impl Error {
    /// What a client is told, of an object of that kind that stood at that place of the review.
    pub fn shown(&self, kind: &GroupVersionKind, index: usize) -> String {
        match self {
            Error::Unreadable(why) => why.clone(),
            Error::Unlike(why) => {
                format!("conversion webhook for {kind} returned invalid object at index {index}: {why}")
            }
            Error::Other(why) => format!("conversion webhook for {kind} returned invalid object: {why}"),
            Error::Metadata(why) => format!("conversion webhook for {kind} returned invalid metadata: {why}"),
        }
    }
}

/// A converted document as it is used: with the metadata of the original.
pub fn settle(original: &Object, converted: &[u8], desired: &str) -> Result<Bytes, Error> {
    let mut object: Object =
        serde_json::from_slice(converted).map_err(|error| Error::Unreadable(error.to_string()))?;
    if text(&object, "kind").is_empty() {
        let shown = String::from_utf8_lossy(converted);
        return Err(Error::Unreadable(format!(
            "Object 'Kind' is missing in '{shown}'"
        )));
    }
    let api_version = text(&object, "apiVersion");
    if api_version != desired {
        return Err(Error::Unlike(format!(
            "invalid groupVersion (expected {desired}, received {api_version})"
        )));
    }
    let (wanted, got) = (text(original, "kind"), text(&object, "kind"));
    if wanted != got {
        return Err(Error::Unlike(format!(
            "invalid kind (expected {wanted}, received {got})"
        )));
    }
    check_identity(original, &object).map_err(Error::Other)?;
    restore_metadata(original, &mut object).map_err(Error::Metadata)?;
    let document = serde_json::to_vec(&object).map_err(|error| Error::Unreadable(error.to_string()))?;
    Ok(Bytes::from(document))
}

fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn check_identity(original: &Object, object: &Object) -> Result<(), String> {
    for (field, name) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let of = |object: &Object| {
            let metadata = object.get("metadata").and_then(Value::as_object);
            metadata
                .map(|metadata| text(metadata, field).to_owned())
                .unwrap_or_default()
        };
        let (wanted, got) = (of(original), of(object));
        if wanted != got {
            return Err(format!("must have the same {name}: {wanted} != {got}"));
        }
    }
    Ok(())
}

fn restore_metadata(original: &Object, object: &mut Object) -> Result<(), String> {
    let answered = match object.remove("metadata") {
        None => return Err("missing metadata in converted object".to_owned()),
        Some(Value::Object(metadata)) => metadata,
        Some(other) => {
            let of = go_type(&other);
            return Err(format!("invalid metadata of type {of} in converted object"));
        }
    };
    let mut metadata = match original.get("metadata") {
        None => Map::new(),
        Some(Value::Object(metadata)) => metadata.clone(),
        Some(other) => {
            return Err(format!(
                "invalid metadata of type {} in input object",
                go_type(other)
            ));
        }
    };
    for field in ["labels", "annotations"] {
        let before = metadata.remove(field);
        match answered.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Object(texts)) => {
                let checked = check_texts(field, texts)?;
                if before.as_ref().and_then(Value::as_object) != Some(texts) {
                    check_valid(field, &checked)?;
                }
                metadata.insert(field.to_owned(), Value::Object(texts.clone()));
            }
            Some(other) => {
                let of = go_type(other);
                return Err(format!(
                    "invalid metadata.{field} of type {of} in converted object"
                ));
            }
        }
    }
    object.insert("metadata".to_owned(), Value::Object(metadata));
    Ok(())
}

fn check_texts(field: &str, members: &Object) -> Result<BTreeMap<String, String>, String> {
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        other => {
            let of = go_type(other);
            Err(format!(
                "metadata.{field}[{name}] must be a string, but is {of} in converted object"
            ))
        }
    };
    members.iter().map(text).collect()
}

fn check_valid(field: &str, texts: &BTreeMap<String, String>) -> Result<(), String> {
    let path = Path::new("metadata");
    // Upstream names the second so.
    let errors: ErrorList = match field {
        "labels" => validate_labels(texts, &path.child("labels")),
        _ => validate_annotations(texts, &path.child("annotation")),
    };
    let mut lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.dedup();
    match &lines[..] {
        [] => Ok(()),
        [one] => Err(one.clone()),
        more => Err(format!("[{}]", more.join(", "))),
    }
}

/// What Go calls the type of a decoded value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Changes a well converted object, and tells what comes of it.
    fn check(change: impl FnOnce(&mut Value), expected: &str) {
        let metadata =
            json!({"name": "a", "namespace": "n", "uid": "u", "labels": {"l": "1"}, "generation": 3});
        let original = json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": metadata, "host": "h:1"});
        let mut converted =
            json!({"apiVersion": "x.io/v2", "kind": "Thing", "metadata": metadata, "port": 1});
        change(&mut converted);
        let original = original.as_object().expect("an object");
        let line = match settle(original, converted.to_string().as_bytes(), "x.io/v2") {
            Ok(document) => {
                let object: Value = serde_json::from_slice(&document).expect("JSON");
                object["metadata"].to_string()
            }
            Err(error) => error.shown(&GroupVersionKind::new("x.io", "v1", "Thing"), 0),
        };
        assert_eq!(line, expected);
    }

    #[test]
    fn metadata_stays_but_for_labels_and_annotations() {
        check(
            |_| {},
            r#"{"generation":3,"labels":{"l":"1"},"name":"a","namespace":"n","uid":"u"}"#,
        );
        check(
            |object| {
                object["metadata"]["generation"] = 9.into();
                object["metadata"]["finalizers"] = json!(["x"]);
                object["metadata"]["annotations"] = json!({"a": "b"});
                object["metadata"]["labels"] = Value::Null;
            },
            r#"{"annotations":{"a":"b"},"generation":3,"name":"a","namespace":"n","uid":"u"}"#,
        );
    }

    #[test]
    fn objects_stay_what_they_are() {
        let start = "conversion webhook for x.io/v1, Kind=Thing returned invalid";
        let set = |path: &'static str, value: Value| {
            move |object: &mut Value| *object.pointer_mut(path).expect("a member") = value
        };
        let cases = [
            (
                "/apiVersion",
                json!("x.io/v3"),
                " object at index 0: invalid groupVersion (expected x.io/v2, received x.io/v3)",
            ),
            (
                "/kind",
                json!("Other"),
                " object at index 0: invalid kind (expected Thing, received Other)",
            ),
            (
                "/metadata/name",
                json!("b"),
                " object: must have the same name: a != b",
            ),
            (
                "/metadata/namespace",
                json!("b"),
                " object: must have the same namespace: n != b",
            ),
            (
                "/metadata/uid",
                json!(""),
                " object: must have the same UID: u != ",
            ),
            (
                "/metadata/labels",
                json!(1),
                " metadata: invalid metadata.labels of type int64 in converted object",
            ),
            (
                "/metadata/labels/l",
                json!(true),
                " metadata: metadata.labels[l] must be a string, but is bool in converted object",
            ),
        ];
        for (path, value, expected) in cases {
            check(set(path, value), &format!("{start}{expected}"));
        }
        check(
            set("/metadata/labels", json!({"l": "-"})),
            &format!(
                "{start} metadata: metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ),
        );
        check(
            set("/kind", json!("")),
            "Object 'Kind' is missing in '{\"apiVersion\":\"x.io/v2\",\"kind\":\"\",\"metadata\":{\"generation\":3,\"labels\":{\"l\":\"1\"},\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\"},\"port\":1}'",
        );
    }
}
