//! Sets as `fieldsV1` writes them: `{"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{},"f:port":{}}}}}`.

use crate::path::{PathElement, Scalar};
use crate::set::Set;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

impl Set {
    /// The JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        write(self, false, &mut out);
        out
    }

    /// Reads the JSON form. Elements of unknown kinds are left out.
    pub fn from_json(json: &[u8]) -> Result<Set, serde_json::Error> {
        let value: Map<String, Value> = serde_json::from_slice(json)?;
        Ok(read(&value))
    }
}

/// Members and children in one order; a member with children says so by `.`.
fn write(set: &Set, is_member: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    let open = out.len();
    if is_member {
        out.extend_from_slice(b"\".\":{}");
    }
    let elements: BTreeSet<&PathElement> = set.members().iter().chain(set.children().keys()).collect();
    for element in elements {
        if out.len() > open {
            out.push(b',');
        }
        out.extend_from_slice(Value::String(name(element)).to_string().as_bytes());
        out.push(b':');
        match set.children().get(element) {
            Some(child) => write(child, set.members().contains(element), out),
            None => out.extend_from_slice(b"{}"),
        }
    }
    out.push(b'}');
}

fn read(members: &Map<String, Value>) -> Set {
    let mut set = Set::default();
    for (key, value) in members.iter().filter(|(key, _)| *key != ".") {
        let Some(element) = element(key) else { continue };
        let empty = Map::new();
        let below = value.as_object().unwrap_or(&empty);
        // Without anything below it an element can only be there for its own sake.
        if below.is_empty() || below.contains_key(".") {
            set.insert_member(element.clone());
        }
        set.insert_child(element, read(below));
    }
    set
}

fn name(element: &PathElement) -> String {
    match element {
        PathElement::Field(name) => format!("f:{name}"),
        PathElement::Key(keys) => {
            let keys: Map<String, Value> = keys
                .iter()
                .map(|(name, value)| (name.clone(), value.0.clone()))
                .collect();
            format!("k:{}", Value::Object(keys))
        }
        PathElement::Value(value) => format!("v:{}", value.0),
        PathElement::Index(index) => format!("i:{index}"),
    }
}

fn element(name: &str) -> Option<PathElement> {
    let (kind, rest) = name.split_once(':')?;
    match kind {
        "f" => Some(PathElement::Field(rest.to_owned())),
        "v" => Some(PathElement::Value(Scalar(serde_json::from_str(rest).ok()?))),
        "i" => Some(PathElement::Index(rest.parse().ok()?)),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            Some(PathElement::Key(
                keys.into_iter()
                    .map(|(name, value)| (name, Scalar(value)))
                    .collect(),
            ))
        }
        _ => None,
    }
}
