//! Custom objects between JSON and their message.

use serde_json::{Map, Number, Value};

use super::{API_VERSION, CONTENT, KIND, METADATA, OWN_MEMBERS};
use crate::codec::{Error, Parsed, TypeMeta, document, json_to_proto, proto_to_json, text};
use crate::types::meta_v1::OBJECT_META;
use crate::wire::{DecodeError, FieldValue, Reader, Writer};

/// Documents may nest this deep: they are walked by recursion, here and wherever they go.
const MAX_DEPTH: usize = 100;

/// Integers that a float holds exactly lie below.
const MAX_INTEGER: f64 = 9_223_372_036_854_775_808.0;

/// Reads a document. Members that no definition knows are for its owner to find; what metadata can't hold is reported,
/// as repeated members are.
pub(crate) fn read(json: &[u8]) -> Result<Parsed, Error> {
    let (value, mut strict_errors) = document::parse(json)?;
    let mut members = match value {
        Value::Object(members) => members,
        Value::Null => Map::new(),
        other => {
            let found = type_name(&other);
            return Err(unfit(
                found,
                "Go value of type map[string]interface {}".to_owned(),
            ));
        }
    };
    for value in members.values_mut() {
        settle(value, 1)?;
    }
    let [api_version, kind] = ["apiVersion", "kind"].map(|name| word(&mut members, name));
    let (api_version, kind) = (api_version?, kind?);
    let metadata = match members.remove("metadata") {
        None | Some(Value::Null) => Vec::new(),
        Some(metadata) => {
            let parsed = json_to_proto(&OBJECT_META, metadata.to_string().as_bytes())?;
            let unknown = parsed.strict_errors.iter();
            strict_errors.extend(unknown.map(|error| error.replacen("field \"", "field \"metadata.", 1)));
            parsed.proto
        }
    };
    let mut writer = Writer::with_capacity(json.len() + metadata.len());
    kind.put(KIND, &mut writer);
    api_version.put(API_VERSION, &mut writer);
    Value::Object(members).to_string().put(CONTENT, &mut writer);
    metadata.put(METADATA, &mut writer);
    Ok(Parsed {
        proto: writer.into_vec(),
        api_version,
        kind,
        strict_errors,
    })
}

fn unfit(found: &str, wanted: String) -> Error {
    Error::Json(format!("json: cannot unmarshal {found} into {wanted}"))
}

/// What Go's decoder calls a JSON value.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn word(members: &mut Map<String, Value>, name: &str) -> Result<String, Error> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(word)) => Ok(word),
        Some(other) => {
            let wanted = format!("Go struct field .{name} of type string");
            Err(unfit(type_name(&other), wanted))
        }
    }
}

/// Bounds the depth, and makes integers of the floats that are: nothing tells them apart once they are stored.
fn settle(value: &mut Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Json("exceeded max depth".to_owned()));
    }
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            if let Some(float) = float.filter(|float| float.fract() == 0.0 && float.abs() < MAX_INTEGER) {
                *number = Number::from(float as i64);
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| settle(item, depth + 1)),
        Value::Object(members) => members
            .values_mut()
            .try_for_each(|member| settle(member, depth + 1)),
        _ => Ok(()),
    }
}

/// The content of a message, as a tree.
pub(super) fn content(json: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    match document::parse(json) {
        Ok((Value::Object(mut members), _)) => {
            OWN_MEMBERS.iter().for_each(|name| drop(members.remove(*name)));
            Ok(members)
        }
        _ => Err(DecodeError::Document),
    }
}

/// Appends the document of a message, naming its kind if that is given.
pub(crate) fn write(
    meta: Option<TypeMeta<'_>>,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let (mut metadata, mut content): (&[u8], &[u8]) = (&[], b"{}");
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        match number {
            METADATA => metadata = value.bytes()?,
            CONTENT => content = value.bytes()?,
            _ => {}
        }
    }
    let content = content
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"));
    let content = content.ok_or(DecodeError::Document)?;
    out.push(b'{');
    if let Some(TypeMeta { api_version, kind }) = meta {
        out.extend_from_slice(b"\"apiVersion\":");
        text::string(api_version.as_bytes(), out);
        out.extend_from_slice(b",\"kind\":");
        text::string(kind.as_bytes(), out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"metadata\":");
    proto_to_json(None, &OBJECT_META, metadata, out)?;
    if !content.is_empty() {
        out.push(b',');
        out.extend_from_slice(content);
    }
    out.push(b'}');
    Ok(())
}

/// apiVersion and kind of a message.
pub(crate) fn stated(message: &[u8]) -> Result<(String, String), DecodeError> {
    let (mut api_version, mut kind) = (String::new(), String::new());
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        match number {
            API_VERSION => api_version.merge_value(value)?,
            KIND => kind.merge_value(value)?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}
