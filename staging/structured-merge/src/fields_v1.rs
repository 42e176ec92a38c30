//! Sets as `fieldsV1` writes them: `{"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{},"f:port":{}}}}}`.

use crate::path::{PathElement, Scalar};
use crate::set::{Node, Set};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

impl Set {
    /// The JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        write(self, false, &mut out);
        out
    }

    /// Reads the JSON form. Elements of unknown kinds are left out.
    pub fn from_json(json: &[u8]) -> Result<Set, serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_slice(json);
        let parsed = parser.deserialize_map(Fields)?;
        parser.end()?;
        Ok(parsed.set)
    }
}

/// How many paths of a set are in one that is written as JSON, which is read without keeping anything of it.
pub fn common(json: &[u8], set: &Set) -> Result<usize, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    let found = Common(Some(set)).deserialize(&mut parser)?;
    parser.end()?;
    Ok(found.below)
}

/// A member with something below it says so by `.`.
pub fn write(set: &Set, is_member: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    let open = out.len();
    if is_member {
        out.extend_from_slice(b"\".\":{}");
    }
    for node in set.nodes() {
        if out.len() > open {
            out.push(b',');
        }
        write_name(&node.element, out);
        out.push(b':');
        if node.below.is_empty() {
            out.extend_from_slice(b"{}");
        } else {
            write(&node.below, node.is_member, out);
        }
    }
    out.push(b'}');
}

pub fn write_name(element: &PathElement, out: &mut Vec<u8>) {
    match element {
        PathElement::Field(name) => write_field(name, out),
        PathElement::Key(keys)
            if keys
                .iter()
                .all(|(name, value)| are_plain(name) && is_simple(value)) =>
        {
            out.extend_from_slice(b"\"k:{");
            for (at, (name, value)) in keys.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"\\\"" } else { b",\\\"" });
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\\\":");
                write_simple(value, out);
            }
            out.extend_from_slice(b"}\"");
        }
        PathElement::Value(value) if is_simple(value) => {
            out.extend_from_slice(b"\"v:");
            write_simple(value, out);
            out.push(b'"');
        }
        element => write_escaped(name(element), out),
    }
}

pub fn write_field(name: &str, out: &mut Vec<u8>) {
    // Names of fields need no escapes; names of a map's members may.
    if are_plain(name) {
        out.extend_from_slice(b"\"f:");
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    } else {
        write_escaped(format!("f:{name}"), out);
    }
}

fn write_escaped(name: String, out: &mut Vec<u8>) {
    out.extend_from_slice(Value::String(name).to_string().as_bytes());
}

fn are_plain(text: &str) -> bool {
    text.bytes().all(is_plain)
}

/// Whether a byte stands for itself in a string.
pub fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\')
}

/// Whether [`write_simple`] takes it: what names nearly all items.
fn is_simple(value: &Scalar) -> bool {
    match &value.0 {
        Value::String(text) => are_plain(text),
        Value::Number(number) => number.is_i64(),
        _ => false,
    }
}

/// Writes a value within a name, which is a string itself.
fn write_simple(value: &Scalar, out: &mut Vec<u8>) {
    match &value.0 {
        Value::String(text) => {
            out.extend_from_slice(b"\\\"");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\\\"");
        }
        value => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

fn name(element: &PathElement) -> String {
    match element {
        PathElement::Field(name) => format!("f:{name}"),
        PathElement::Key(keys) => {
            let keys: Map<String, Value> = keys
                .iter()
                .map(|(name, value)| (name.to_string(), value.0.clone()))
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
        "f" => Some(PathElement::Field(rest.to_owned().into())),
        "v" => Some(PathElement::Value(Scalar(serde_json::from_str(rest).ok()?))),
        "i" => Some(PathElement::Index(rest.parse().ok()?)),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            Some(PathElement::Key(
                keys.into_iter()
                    .map(|(name, value)| (name.into(), Scalar(value)))
                    .collect(),
            ))
        }
        _ => None,
    }
}

/// The members of one JSON object.
#[derive(Default)]
struct Parsed {
    set: Set,
    /// Whether `.` is among them.
    states_itself: bool,
    is_blank: bool,
}

/// Reads an object; anything else below an element counts as an empty one.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Parsed, A::Error> {
        let mut parsed = Parsed {
            is_blank: true,
            ..Parsed::default()
        };
        let mut nodes = Vec::new();
        while let Some(Name(name)) = members.next_key()? {
            parsed.is_blank = false;
            if name == "." {
                parsed.states_itself = true;
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let Below(below) = members.next_value()?;
            nodes.extend(element(&name).map(|element| Node {
                element,
                // Without anything below it an element can only be there for its own sake.
                is_member: below.is_blank || below.states_itself,
                below: below.set,
            }));
        }
        parsed.set = nodes.into_iter().collect();
        Ok(parsed)
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Name)
    }
}

struct Below(Parsed);

impl<'de> serde::Deserialize<'de> for Below {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Below)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Parsed, A::Error> {
        Fields.visit_map(members)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Parsed, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(blank())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Parsed, E> {
        Ok(blank())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Parsed, E> {
        Ok(blank())
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Parsed, E> {
        Ok(blank())
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Parsed, E> {
        Ok(blank())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Parsed, E> {
        Ok(blank())
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Parsed, E> {
        Ok(blank())
    }
}

fn blank() -> Parsed {
    Parsed {
        is_blank: true,
        ..Parsed::default()
    }
}

/// What a set shares with the value that stands at its place.
#[derive(Default)]
struct Shared {
    /// Whether the value makes its own path a member.
    is_member: bool,
    /// Shared paths below.
    below: usize,
}

/// Reads a value beside a set; without one it is only read over.
#[derive(Clone, Copy)]
struct Common<'s>(Option<&'s Set>);

impl<'de> DeserializeSeed<'de> for Common<'_> {
    type Value = Shared;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shared, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Common<'_> {
    type Value = Shared;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shared, A::Error> {
        let mut shared = Shared::default();
        let mut is_blank = true;
        while let Some(Name(name)) = members.next_key()? {
            is_blank = false;
            shared.is_member |= name == ".";
            let node = self.0.and_then(|set| find(set, &name));
            let Some(node) = node else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let there = members.next_value_seed(Common(Some(&node.below)))?;
            shared.below += there.below + usize::from(there.is_member && node.is_member);
        }
        shared.is_member |= is_blank;
        Ok(shared)
    }
}

/// A set's node by the name that it has when written.
fn find<'s>(set: &'s Set, name: &str) -> Option<&'s Node> {
    if let Some(field) = name.strip_prefix("f:") {
        return set.field(field);
    }
    // Keys and values may be written in many ways, and come behind the names.
    match set.nodes().last()?.element {
        PathElement::Field(_) => None,
        _ => set.node(&element(name)?),
    }
}
