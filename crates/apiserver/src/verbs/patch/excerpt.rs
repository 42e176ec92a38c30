//! The part of an object that a patch looks at: that becomes a tree, and the rest stays encoded.

use std::collections::BTreeMap;

use api::Object;
use api::catalogue::Resource;
use api::codec::parts::{Part, members, whole};
use api::types::{Base, Container, Field, Form, Type};
use api::wire::{DecodeError, Reader, Value as Wire};
use bytes::BufMut;
use serde_json::{Map, Value};

use super::Patch;
use crate::decode::{Expected, read_json};
use crate::proto::put_varint;

/// Patches of an encoded object what the patch looks at. `None` where that is everything, or where there is something
/// to tell: errors and warnings show the whole object.
pub fn apply(row: &'static Resource, patch: &Patch, proto: &[u8]) -> Option<Box<dyn Object>> {
    let extent = Extent::of(patch);
    let mut document = excerpt(row.ty, proto, &extent).ok()??;
    document.insert("kind".to_owned(), row.kind.into());
    document.insert("apiVersion".to_owned(), row.api_version.into());
    let patched = patch.apply(row.ty, Value::Object(document)).ok()?;
    let json = serde_json::to_vec(&patched).ok()?;
    let decoded = read_json(&json, Expected::from(row)).ok()?;
    if !decoded.strict_errors.is_empty() {
        return None;
    }
    let proto = overlay(row.ty, proto, &decoded.proto, &extent).ok()?;
    (row.decode)(&proto).ok()
}

/// Which members of an object a patch looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Extent {
    /// All that there is.
    Whole,
    Members(BTreeMap<String, Extent>),
}

/// Directives of strategic merge patches that name a member.
const ABOUT_MEMBERS: [&str; 2] = ["$setElementOrder/", "$deleteFromPrimitiveList/"];

impl Extent {
    fn of(patch: &Patch) -> Extent {
        match patch {
            Patch::Json(operations) => Extent::of_operations(operations),
            Patch::Merge(patch) => Extent::of_members(patch),
            Patch::Strategic(patch) => Extent::of_members(patch),
            Patch::Apply(_) => Extent::Whole,
        }
    }

    fn of_members(patch: &Value) -> Extent {
        let Some(patched) = patch.as_object() else {
            return Extent::Whole;
        };
        let mut all = BTreeMap::new();
        for (name, value) in patched {
            let about = ABOUT_MEMBERS
                .iter()
                .find_map(|directive| name.strip_prefix(directive));
            match about {
                Some(member) => _ = all.insert(member.to_owned(), Extent::Whole),
                // Of the other directives all members are concerned.
                None if name.starts_with('$') => return Extent::Whole,
                None => {
                    _ = all
                        .entry(name.clone())
                        .or_insert_with(|| Extent::of_members(value))
                }
            }
        }
        Extent::Members(all)
    }

    fn of_operations(operations: &Value) -> Extent {
        let mut extent = Extent::Members(BTreeMap::new());
        for operation in operations.as_array().into_iter().flatten() {
            let pointers = ["path", "from"]
                .into_iter()
                .filter_map(|name| operation.get(name));
            for pointer in pointers {
                let tokens = pointer.as_str().and_then(|text| text.strip_prefix('/'));
                let Some(tokens) = tokens else {
                    return Extent::Whole;
                };
                extent.add(tokens.split('/'));
            }
        }
        extent
    }

    fn add<'t>(&mut self, mut tokens: impl Iterator<Item = &'t str>) {
        match (tokens.next(), &mut *self) {
            (None, _) => *self = Extent::Whole,
            (Some(_), Extent::Whole) => {}
            (Some(token), Extent::Members(members)) => {
                let name = token.replace("~1", "/").replace("~0", "~");
                let empty = || Extent::Members(BTreeMap::new());
                members.entry(name).or_insert_with(empty).add(tokens);
            }
        }
    }
}

/// The struct whose members a patch may look at one by one.
fn divisible(field: &Field) -> Option<&'static Type> {
    match (field.container, field.base) {
        (Container::One, Base::Message(ty)) if is_divisible(ty) => Some(ty),
        _ => None,
    }
}

/// An inlined struct's members stand elsewhere on the wire than in JSON.
fn is_divisible(ty: &Type) -> bool {
    ty.form == Form::Struct && ty.fields.iter().all(|field| !field.name.is_empty())
}

/// The members that a patch looks at, of an encoded object, as JSON. `None`: it has to look at all of them.
fn excerpt(
    ty: &'static Type,
    proto: &[u8],
    extent: &Extent,
) -> Result<Option<Map<String, Value>>, DecodeError> {
    match extent {
        Extent::Members(names) if is_divisible(ty) => message(ty, Some(whole(proto)), names).map(Some),
        _ => Ok(None),
    }
}

fn message(
    ty: &'static Type,
    message: Option<Wire<'_>>,
    names: &BTreeMap<String, Extent>,
) -> Result<Map<String, Value>, DecodeError> {
    let parts = members(ty, message)?;
    let mut shown = Map::new();
    for (name, extent) in names {
        let part = ty.member(name, &mut 0).and_then(|(slot, _)| parts[slot]);
        if let Some(part) = part {
            shown.insert(name.clone(), member(part, extent)?);
        }
    }
    Ok(shown)
}

fn member(part: Part<'_>, extent: &Extent) -> Result<Value, DecodeError> {
    if let (Extent::Members(names), Some((ty, content))) = (extent, part.message())
        && divisible(part.field).is_some()
    {
        return message(ty, content, names).map(Value::Object);
    }
    let mut json = Vec::new();
    part.write_json(&mut json)?;
    serde_json::from_slice(&json).map_err(|_| DecodeError::Document)
}

/// An encoded object with the members that a patch looks at taken from another one.
fn overlay(ty: &'static Type, old: &[u8], new: &[u8], extent: &Extent) -> Result<Vec<u8>, DecodeError> {
    let Extent::Members(names) = extent else {
        return Ok(new.to_vec());
    };
    let mut out = Vec::with_capacity(old.len() + new.len());
    each_field(ty, old, |field, _, bytes| {
        if field.is_none_or(|field| !names.contains_key(field.name)) {
            out.extend_from_slice(bytes);
        }
        Ok(())
    })?;
    each_field(ty, new, |field, content, bytes| {
        let named = field.and_then(|field| Some((field, names.get(field.name)?)));
        match named {
            None => {}
            Some((field, inner @ Extent::Members(_))) if let Some(ty) = divisible(field) => {
                let before = last_content(old, field)?;
                let nested = overlay(ty, before, content.bytes()?, inner)?;
                put_varint(&mut out, usize::from(field.number) << 3 | 2);
                put_varint(&mut out, nested.len());
                out.put_slice(&nested);
            }
            Some(_) => out.extend_from_slice(bytes),
        }
        Ok(())
    })?;
    Ok(out)
}

/// Calls with each field on the wire, its content, and all of its bytes.
fn each_field<'m>(
    ty: &'static Type,
    message: &'m [u8],
    mut of: impl FnMut(Option<&'static Field>, Wire<'m>, &'m [u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let (mut reader, mut expected) = (Reader::new(message), 0);
    loop {
        let start = reader.position();
        let Some((number, content)) = reader.field()? else {
            return Ok(());
        };
        let field = ty.index_of(number, &mut expected).map(|index| &ty.fields[index]);
        of(field, content, &message[start..reader.position()])?;
    }
}

/// What an encoded message has of a field that is a message; nothing if it has not.
fn last_content<'m>(message: &'m [u8], field: &Field) -> Result<&'m [u8], DecodeError> {
    let (mut reader, mut found) = (Reader::new(message), &[][..]);
    while let Some((number, content)) = reader.field()? {
        if number == u32::from(field.number) {
            found = content.bytes()?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
