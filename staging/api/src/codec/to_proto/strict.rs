//! Where in the document the parser is, and the messages that say so.

use super::Parser;
use crate::codec::Error;
use crate::types::{Base, Container, Field, Type};
use std::borrow::Cow;
use std::fmt::Write;

/// Reports are bounded: a request cannot make the answer grow with it.
const MAX_REPORTS: usize = 100;

pub enum Segment<'a> {
    Field(&'static str),
    Key(Cow<'a, str>),
    Index(usize),
}

#[derive(Default)]
pub struct Path<'a>(Vec<Segment<'a>>);

impl<'a> Path<'a> {
    pub fn push(&mut self, segment: Segment<'a>) {
        self.0.push(segment);
    }

    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// The path of a member here: `spec.containers[0].foo`.
    fn member(&self, name: &str) -> String {
        let mut path = String::new();
        for segment in &self.0 {
            let _ = match segment {
                Segment::Index(index) => write!(path, "[{index}]"),
                Segment::Field(name) => write!(path, "{}{name}", dot(&path)),
                Segment::Key(key) => write!(path, "{}{key}", dot(&path)),
            };
        }
        let _ = write!(path, "{}{name}", dot(&path));
        path
    }

    /// The names of the fields on the way here; Go's type errors leave out indices and map keys.
    fn fields(&self) -> String {
        let names = self.0.iter().filter_map(|segment| match segment {
            Segment::Field(name) => Some(*name),
            Segment::Key(_) | Segment::Index(_) => None,
        });
        names.collect::<Vec<_>>().join(".")
    }
}

fn dot(path: &str) -> &'static str {
    if path.is_empty() { "" } else { "." }
}

impl Parser<'_> {
    /// Reports a member that strict decoding refuses, once.
    pub fn strict(&mut self, problem: &str, name: &str) {
        let errors = &mut self.parsed.strict_errors;
        if errors.len() >= MAX_REPORTS {
            return;
        }
        let error = format!("{problem} field \"{}\"", self.path.member(name));
        if !errors.contains(&error) {
            errors.push(error);
        }
    }

    /// A value of the wrong type for a field of `owner`.
    pub fn type_error(&self, owner: &Type, value: &str, expected: &str) -> Error {
        let fields = self.path.fields();
        Error::Json(if fields.is_empty() {
            format!("json: cannot unmarshal {value} into Go value of type {expected}")
        } else {
            let owner = owner.name;
            format!("json: cannot unmarshal {value} into Go struct field {owner}.{fields} of type {expected}")
        })
    }
}

/// A type's Go name: `v1.PodSpec`.
pub fn go_type(ty: &Type) -> String {
    let version = ty.package.name.rsplit('/').next().unwrap_or_default();
    format!("{version}.{}", ty.name)
}

/// The Go type of one value of a field.
pub fn go_base(field: &Field) -> String {
    if field.container != Container::WrappedList && !field.alias.is_empty() {
        return go_alias(field.alias);
    }
    match field.base {
        Base::Message(ty) => go_type(ty),
        Base::String => "string".to_owned(),
        Base::Int32 => "int32".to_owned(),
        Base::Int64 => "int64".to_owned(),
        Base::Bool => "bool".to_owned(),
        Base::Bytes => "[]uint8".to_owned(),
        Base::Float64 => "float64".to_owned(),
        Base::Quantity => "resource.Quantity".to_owned(),
        Base::IntOrString => "intstr.IntOrString".to_owned(),
        Base::Time => "v1.Time".to_owned(),
        Base::MicroTime => "v1.MicroTime".to_owned(),
        Base::Duration => "v1.Duration".to_owned(),
        Base::FieldsV1 => "v1.FieldsV1".to_owned(),
        Base::RawExtension => "runtime.RawExtension".to_owned(),
        Base::Json => "v1.JSON".to_owned(),
    }
}

/// The Go type of a whole field.
pub fn go_field_type(field: &Field) -> String {
    let whole_alias = field.alias.ends_with("ResourceList") || field.alias.contains("JSONSchemaDe");
    match field.container {
        Container::One => go_base(field),
        Container::WrappedList => go_alias(field.alias),
        Container::Map if whole_alias => go_alias(field.alias),
        Container::List => format!("[]{}", go_base(field)),
        Container::Map | Container::MapOfLists => format!("map[string]{}", go_base(field)),
    }
}

/// `core/v1.RestartPolicy` -> `v1.RestartPolicy`
fn go_alias(alias: &str) -> String {
    alias.rsplit('/').next().unwrap_or_default().to_owned()
}
