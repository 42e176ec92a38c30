//! Objects of kinds that no table describes: custom resources.
//!
//! On its way through a server such an object is a message as any other: field 1 is its metadata, so that whatever looks
//! at metadata alone needs not know the kind; the rest is one JSON document. The codec reads and writes it by
//! [`Form::Open`]. What the document may hold is for the kind's definition to say, not for this module.

mod codec;

use std::any::Any;

use apimachinery::gvk::{GroupVersion, GroupVersionKind};
use serde_json::{Map, Value};

use crate::message::{Message, Object};
use crate::meta::v1::ObjectMeta;
use crate::types::{Base, FIELD, Field, Form, Omit, Package, Type};
use crate::wire::{DecodeError, FieldValue, Value as WireValue, Writer};

pub(crate) use codec::{read, stated, write};

/// Members of documents that are not part of [`Custom::content`].
const OWN_MEMBERS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Numbers of the message's fields.
const METADATA: u32 = 1;
const CONTENT: u32 = 2;
const API_VERSION: u32 = 3;
const KIND: u32 = 4;

static PACKAGE: Package = Package {
    name: "custom",
    path: "",
    types: &[&CUSTOM],
};

/// The type of every [`Custom`].
pub static CUSTOM: Type = Type {
    package: &PACKAGE,
    name: "Custom",
    fields: &[Field {
        name: "metadata",
        number: METADATA as u16,
        base: Base::Message(&crate::types::meta_v1::OBJECT_META),
        omit: Omit::Never,
        ..FIELD
    }],
    by_number: &[0],
    members: 1,
    form: Form::Open,
    atomic: false,
    kind: None,
};

/// An object of a custom kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Custom {
    /// `example.com/v1`
    pub api_version: String,
    pub kind: String,
    pub metadata: ObjectMeta,
    /// All other members of the document.
    pub content: Map<String, Value>,
}

impl Custom {
    /// Reads an object from its message; what a row of the catalogue decodes with.
    pub fn decode_object(bytes: &[u8]) -> Result<Box<dyn Object>, DecodeError> {
        Custom::decode(bytes).map(|object| Box::new(object) as Box<dyn Object>)
    }

    /// An object of no kind yet.
    pub fn empty_object() -> Box<dyn Object> {
        Box::new(Custom::default())
    }

    /// The object as a custom one; `None`: it is of a built-in kind.
    pub fn of(object: &dyn Object) -> Option<&Custom> {
        object.as_any().downcast_ref()
    }

    /// [`Custom::of`], to be changed.
    pub fn of_mut(object: &mut dyn Object) -> Option<&mut Custom> {
        object.as_any_mut().downcast_mut()
    }

    /// The whole document, as a tree.
    pub fn document(&self) -> Map<String, Value> {
        let mut document = self.content.clone();
        document.insert("apiVersion".to_owned(), self.api_version.as_str().into());
        document.insert("kind".to_owned(), self.kind.as_str().into());
        let metadata = serde_json::from_slice(&self.metadata.to_json());
        document.insert(
            "metadata".to_owned(),
            metadata.expect("invariant: our own JSON can be read back"),
        );
        document
    }
}

impl Message for Custom {
    fn descriptor(&self) -> &'static Type {
        &CUSTOM
    }

    fn encode_fields(&self, w: &mut Writer) {
        self.kind.put(KIND, w);
        self.api_version.put(API_VERSION, w);
        let content = serde_json::to_vec(&self.content);
        content.expect("invariant: a tree can be written").put(CONTENT, w);
        self.metadata.put(METADATA, w);
    }

    fn merge_field(&mut self, number: u32, value: WireValue<'_>) -> Result<(), DecodeError> {
        match number {
            METADATA => self.metadata.merge_value(value),
            CONTENT => {
                self.content = codec::content(value.bytes()?)?;
                Ok(())
            }
            API_VERSION => self.api_version.merge_value(value),
            KIND => self.kind.merge_value(value),
            _ => Ok(()),
        }
    }
}

impl Object for Custom {
    fn gvk(&self) -> GroupVersionKind {
        let GroupVersion { group, version } = GroupVersion::parse(&self.api_version).unwrap_or_default();
        GroupVersionKind {
            group,
            version,
            kind: self.kind.clone(),
        }
    }

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encode_to_vec());
    }

    fn clone_box(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests;
