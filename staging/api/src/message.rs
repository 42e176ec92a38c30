//! What every type, kind, resource and list of the API can do, generically and behind `dyn`.

use crate::codec;
use crate::meta::v1::{ListMeta, ObjectMeta};
use crate::types::Type;
use crate::wire::{DecodeError, Reader, Value, Writer, written};
use apimachinery::gvk::GroupVersionKind;
use std::any::Any;
use std::fmt::Debug;

/// A struct of the API. Generated; encoded as bare protobuf, without the envelope that names its kind.
pub trait Message: Any + Debug + Send + Sync {
    fn descriptor(&self) -> &'static Type;

    /// Writes the fields, the highest number first, into a writer that fills backwards.
    fn encode_fields(&self, w: &mut Writer);

    /// Takes in one field of the protobuf form; unknown ones are ignored.
    fn merge_field(&mut self, number: u32, value: Value<'_>) -> Result<(), DecodeError>;

    fn encode_to_vec(&self) -> Vec<u8> {
        written(&|writer| self.encode_fields(writer), <[u8]>::to_vec)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>
    where
        Self: Sized + Default,
    {
        let mut message = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            message.merge_field(number, value)?;
        }
        Ok(message)
    }

    /// JSON as upstream prints it; a top-level kind states `kind` and `apiVersion` first.
    fn to_json(&self) -> Vec<u8> {
        codec::message_to_json(self.descriptor(), &self.encode_to_vec())
    }

    /// Reads JSON leniently: unknown and repeated fields are ignored.
    fn from_json(json: &[u8]) -> Result<Self, codec::Error>
    where
        Self: Sized + Default,
    {
        codec::message_from_json(json)
    }
}

/// A message that is registered under a group, version and kind.
pub trait Kind: Message + Clone + Default + PartialEq {
    const GROUP: &'static str;
    const VERSION: &'static str;
    const KIND: &'static str;
}

/// A kind with object metadata.
pub trait Resource: Kind {
    /// Empty for a kind that is only served below another resource (Scale, Eviction, TokenRequest).
    const PLURAL: &'static str;
    const NAMESPACED: bool;

    fn metadata(&self) -> &ObjectMeta;
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

/// A kind that lists others.
pub trait List: Kind {
    type Item: Resource;

    fn metadata(&self) -> &ListMeta;
    fn metadata_mut(&mut self) -> &mut ListMeta;
    fn items(&self) -> &[Self::Item];
    fn into_items(self) -> Vec<Self::Item>;
}

/// A resource behind `dyn`: what admission, strategies and the write path pass around.
pub trait Object: Message {
    fn gvk(&self) -> GroupVersionKind;
    fn metadata(&self) -> &ObjectMeta;
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
    /// Appends the bare protobuf form.
    fn encode(&self, out: &mut Vec<u8>);
    fn clone_box(&self) -> Box<dyn Object>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Resource> Object for T {
    fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind {
            group: T::GROUP.to_owned(),
            version: T::VERSION.to_owned(),
            kind: T::KIND.to_owned(),
        }
    }

    fn metadata(&self) -> &ObjectMeta {
        Resource::metadata(self)
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        Resource::metadata_mut(self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let write = |writer: &mut Writer| self.encode_fields(writer);
        written(&write, |bytes| out.extend_from_slice(bytes));
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

impl dyn Object {
    pub fn is<T: Resource>(&self) -> bool {
        self.as_any().is::<T>()
    }

    pub fn downcast_ref<T: Resource>(&self) -> Option<&T> {
        self.as_any().downcast_ref()
    }

    pub fn downcast_mut<T: Resource>(&mut self) -> Option<&mut T> {
        self.as_any_mut().downcast_mut()
    }

    /// The concrete object, or the box back when it is another kind.
    pub fn downcast<T: Resource>(self: Box<Self>) -> Result<Box<T>, Box<dyn Object>> {
        if self.is::<T>() {
            Ok(self
                .into_any()
                .downcast()
                .expect("invariant: the type was just checked"))
        } else {
            Err(self)
        }
    }
}

impl Clone for Box<dyn Object> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}
