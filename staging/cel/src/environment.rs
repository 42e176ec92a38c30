//! What an expression may name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::functions::{self, Function};
use crate::library::patches;
use crate::types::Type;

/// Variables with their types, beside Kubernetes' functions. A compiled expression is given values for them in the
/// order in which they were declared.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: Vec<(String, Type)>,
    types: BTreeMap<String, Type>,
    /// Whether `cel.bind` is there.
    pub(crate) bindings: bool,
    /// Whether objects and patches can be made.
    patches: bool,
}

impl Environment {
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a variable; the name may have dots.
    #[must_use]
    pub fn with(mut self, name: &str, of: Type) -> Self {
        self.declare(name, of);
        self
    }

    /// Lets expressions name a value: `cel.bind(x, value, expression about x)`.
    #[must_use]
    pub fn with_bindings(mut self) -> Self {
        self.bindings = true;
        self
    }

    /// Lets expressions make parts of an object, `Object{spec: Object.spec{replicas: 3}}`, whose types are named by
    /// where they stand, and operations on one, `JSONPatch{op: "remove", path: "/spec"}`.
    #[must_use]
    pub fn with_patches(mut self) -> Self {
        self.patches = true;
        self
    }

    /// Declares a variable, or gives another type to one.
    pub fn declare(&mut self, name: &str, of: Type) {
        match self.variables.iter_mut().find(|(other, _)| other == name) {
            Some(declared) => declared.1 = of,
            None => self.variables.push((name.to_owned(), of)),
        }
    }

    /// Lets expressions make objects of the types that variables have, and of those within: `Name{field: value}`.
    pub fn declare_types(&mut self) {
        let mut left: Vec<Type> = self.variables.iter().map(|(_, of)| of.clone()).collect();
        while let Some(of) = left.pop() {
            match &of {
                Type::Object(object) if !self.types.contains_key(&object.name) => {
                    left.extend(object.fields.values().cloned());
                    self.types.insert(object.name.clone(), of);
                }
                Type::List(element) => left.push((**element).clone()),
                Type::Map(_, value) => left.push((**value).clone()),
                _ => {}
            }
        }
    }

    /// The place of a variable among those declared.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|(other, _)| other == name)
    }

    /// The type of a variable, or of a type's name.
    pub(crate) fn ident(&self, name: &str) -> Option<Type> {
        if let Some((_, of)) = self.variables.iter().find(|(other, _)| other == name) {
            return Some(of.clone());
        }
        self.type_named(name).map(|of| Type::Type(Some(Arc::new(of))))
    }

    /// A type by its name in expressions.
    pub(crate) fn type_named(&self, name: &str) -> Option<Type> {
        Some(match name {
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "null_type" => Type::Null,
            "type" => Type::Type(None),
            "list" => Type::list(Type::Dyn),
            "map" => Type::map(Type::Dyn, Type::Dyn),
            "google.protobuf.Duration" => Type::Duration,
            "google.protobuf.Timestamp" => Type::Timestamp,
            "optional_type" => Type::optional(Type::Dyn),
            "net.IP" => Type::opaque("net.IP"),
            "net.CIDR" => Type::opaque("net.CIDR"),
            _ if self.patches && patches::is_type(name) => patches::of_name(name),
            _ => return self.types.get(name).cloned(),
        })
    }

    pub(crate) fn function(&self, name: &str) -> Option<&'static Function> {
        let found = functions::all().get(name)?;
        (self.patches || !patches::is_function(name)).then_some(found)
    }
}
