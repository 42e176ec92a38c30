//! Descriptors, and schemas of custom kinds, as structured-merge sees them.

mod custom;

use api::apiextensions::v1::JSONSchemaProps;
use api::catalogue::Resource;
use api::types::meta_v1::OBJECT_META;
use api::types::{Base, Container, Field, Form, Omit, Type};
use serde_json::{Value, json};
use structured_merge::{Name, Relation, ScalarKind, Schema, Shape};

use crate::strategy::Strategy;

/// A place in a type.
#[derive(Clone, Copy)]
pub enum Node<'s> {
    /// A whole object of a custom kind.
    Custom(&'s JSONSchemaProps),
    /// A value within one.
    Declared(&'s JSONSchemaProps),
    /// Whatever is there.
    Any,
    /// A whole object.
    Kind(&'static Type),
    /// A field as a whole.
    Field(&'static Field),
    /// A value of a map, an item of a list.
    Element(&'static Field),
    /// `kind` and `apiVersion`, which no descriptor lists.
    Name,
}

impl<'s> Node<'s> {
    /// Where an object of a row begins. A custom kind may have a schema.
    pub fn root(row: &Resource, strategy: &'s dyn Strategy) -> Self {
        match row.ty.form {
            Form::Open => strategy.schema().map_or(Self::Any, Self::Custom),
            _ => Self::Kind(row.ty),
        }
    }

    /// The struct at this place.
    fn fields(self) -> Option<&'static Type> {
        match self {
            Self::Kind(ty) => Some(ty),
            Self::Field(Field {
                container: Container::One,
                base: Base::Message(ty),
                ..
            })
            | Self::Element(Field {
                base: Base::Message(ty),
                ..
            }) => Some(ty),
            _ => None,
        }
    }
}

fn relation(atomic: bool) -> Relation {
    if atomic {
        Relation::Atomic
    } else {
        Relation::Separable
    }
}

fn struct_shape(ty: &Type, stated: &str) -> Shape {
    match ty.form {
        Form::Struct => Shape::Map(relation(
            stated == "atomic" || (ty.atomic && stated != "granular"),
        )),
        _ => Shape::Untyped,
    }
}

fn base_shape(base: Base, stated: &str) -> Shape {
    match base {
        Base::Message(ty) => struct_shape(ty, stated),
        Base::FieldsV1 => Shape::Untyped,
        // What is in a foreign document is owned as a whole, as a scalar is.
        _ => Shape::Scalar,
    }
}

impl Schema for Node<'_> {
    fn shape(&self) -> Shape {
        match self {
            Self::Kind(ty) => struct_shape(ty, ""),
            Self::Name => Shape::Scalar,
            Self::Any => Shape::Untyped,
            Self::Custom(_) => Shape::Map(Relation::Separable),
            Self::Declared(schema) => custom::shape(schema),
            Self::Field(field) => match field.container {
                Container::One => base_shape(field.base, field.map_type),
                Container::List | Container::WrappedList => {
                    Shape::List(relation(!matches!(field.list_type, "map" | "set")))
                }
                Container::Map | Container::MapOfLists => Shape::Map(relation(field.map_type == "atomic")),
            },
            Self::Element(Field {
                container: Container::MapOfLists,
                ..
            }) => Shape::List(Relation::Atomic),
            Self::Element(field) => base_shape(field.base, ""),
        }
    }

    fn field(&self, name: &str) -> Option<Self> {
        if let Self::Custom(schema) | Self::Declared(schema) = *self {
            let is_object = matches!(self, Self::Custom(_)) || schema.x_kubernetes_embedded_resource;
            return match name {
                "kind" | "apiVersion" if is_object => Some(Self::Name),
                "metadata" if is_object => Some(Self::Kind(&OBJECT_META)),
                name => schema.properties.get(name).map(Self::Declared),
            };
        }
        let ty = self.fields()?;
        if ty.kind.is_some() && matches!(name, "kind" | "apiVersion") {
            return Some(Self::Name);
        }
        ty.field(name).map(Self::Field)
    }

    fn element(&self) -> Option<Self> {
        match self {
            Self::Custom(schema) | Self::Declared(schema) => custom::element(schema),
            Self::Field(field) if field.container != Container::One => Some(Self::Element(field)),
            _ => None,
        }
    }

    fn key(&self, index: usize) -> Option<Name> {
        match self {
            Self::Declared(schema) => {
                let key = schema.x_kubernetes_list_map_keys.get(index)?;
                Some(Name::Owned(key.clone()))
            }
            Self::Field(field) => field.list_keys.get(index).copied().map(Name::Borrowed),
            _ => None,
        }
    }

    fn scalar(&self) -> ScalarKind {
        if let Self::Declared(schema) = self {
            return custom::scalar(schema);
        }
        let (Self::Field(field) | Self::Element(field)) = self else {
            return ScalarKind::Text;
        };
        match field.base {
            Base::String | Base::Bytes | Base::Duration => ScalarKind::Text,
            Base::Bool => ScalarKind::Boolean,
            Base::Int32 | Base::Int64 | Base::Float64 => ScalarKind::Numeric,
            _ => ScalarKind::Any,
        }
    }

    fn default_of(&self, name: &str) -> Option<Value> {
        if let Self::Custom(schema) | Self::Declared(schema) = self {
            let default = schema.properties.get(name)?.default.as_ref()?;
            return serde_json::from_slice(&default.raw).ok();
        }
        let field = self.fields()?.field(name)?;
        if let Some(default) = field.default {
            return serde_json::from_str(default).ok();
        }
        if field.pointer || field.omit != Omit::Never {
            return None;
        }
        match field.base {
            Base::String => Some(json!("")),
            Base::Bool => Some(json!(false)),
            Base::Int32 | Base::Int64 => Some(json!(0)),
            _ => None,
        }
    }
}
