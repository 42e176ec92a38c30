//! Descriptors of every table, also of the old versions that are not compiled in.

use api::codec::TypeMeta;
use api::types::{self, Base, Container, FIELD, Field, Form, GroupKind, Omit, Package, Type};
use codegen::catalogue::{Catalogue, Kind};
use codegen::table::{self, Tables};
use std::collections::HashMap;

pub struct Schema {
    /// By `core/v1.Pod`.
    types: HashMap<String, &'static Type>,
    kinds: HashMap<(String, String), &'static Type>,
    paths: HashMap<String, String>,
}

impl Schema {
    pub fn load() -> Self {
        let root = codegen::root();
        let tables = Tables::read(&root.join("api/types")).unwrap();
        let catalogue = Catalogue::read(&root.join("api")).unwrap();
        let mut loader = Loader {
            tables: &tables,
            catalogue: &catalogue,
            types: HashMap::new(),
        };
        for package in types::PACKAGES {
            for ty in package.types {
                loader.types.insert(format!("{}.{}", package.name, ty.name), ty);
            }
        }
        for package in tables.packages.values() {
            for item in &package.types {
                loader.load(&package.name, &item.name);
            }
        }
        let types = loader.types;
        let kinds = catalogue.kinds.iter().map(|kind| {
            let ty = types[&format!("{}.{}", kind.package, kind.type_name)];
            ((api_version(kind), kind.kind.clone()), ty)
        });
        let paths = tables
            .packages
            .values()
            .map(|p| (p.path.clone(), p.name.clone()))
            .collect();
        Self {
            kinds: kinds.collect(),
            paths,
            types,
        }
    }

    /// By `k8s.io/api/core/v1.Pod`.
    pub fn by_path(&self, path: &str) -> Option<&'static Type> {
        let (package, name) = path.rsplit_once('.')?;
        self.types
            .get(&format!("{}.{name}", self.paths.get(package)?))
            .copied()
    }

    pub fn by_kind(&self, meta: TypeMeta<'_>) -> Option<&'static Type> {
        self.kinds
            .get(&(meta.api_version.to_owned(), meta.kind.to_owned()))
            .copied()
    }
}

fn api_version(kind: &Kind) -> String {
    if kind.group.is_empty() {
        kind.version.clone()
    } else {
        format!("{}/{}", kind.group, kind.version)
    }
}

struct Loader<'a> {
    tables: &'a Tables,
    catalogue: &'a Catalogue,
    types: HashMap<String, &'static Type>,
}

impl Loader<'_> {
    /// Builds a descriptor after those it refers to: old versions have no recursive types.
    fn load(&mut self, package: &str, name: &str) -> &'static Type {
        let key = format!("{package}.{name}");
        if let Some(found) = self.types.get(&key) {
            return found;
        }
        let item = self.tables.find(package, name).unwrap();
        let mut slot = 0;
        let mut fields: Vec<Field> = Vec::new();
        for written in &item.fields {
            let field = self.field(package, written, slot);
            slot += match field.base {
                Base::Message(inner) if written.name.is_empty() => inner.members,
                _ => 1,
            };
            fields.push(field);
        }
        let mut by_number: Vec<u8> = (0..fields.len() as u8)
            .filter(|i| fields[usize::from(*i)].number != 0)
            .collect();
        by_number.sort_by_key(|i| fields[usize::from(*i)].number);
        let owner = &self.tables.packages[package];
        let kind = self
            .catalogue
            .kinds
            .iter()
            .find(|k| k.package == package && k.type_name == name);
        let ty: &'static Type = Box::leak(Box::new(Type {
            package: Box::leak(Box::new(Package {
                name: text(&owner.name),
                path: text(&owner.path),
                types: &[],
            })),
            name: text(name),
            fields: fields.leak(),
            by_number: by_number.leak(),
            members: slot,
            form: Form::Struct,
            atomic: item.atomic,
            kind: kind.map(leak_kind),
        }));
        self.types.insert(key, ty);
        ty
    }

    fn field(&mut self, package: &str, field: &table::Field, slot: u16) -> Field {
        let shape = self.tables.shape(package, &field.shape).unwrap();
        Field {
            name: text(&field.name),
            number: field.number.unwrap_or(0) as u16,
            slot,
            base: match &shape.base {
                table::Base::BuiltIn(name) => built_in(name),
                table::Base::Message { package, name } => Base::Message(self.load(package, name)),
            },
            container: match shape.container {
                table::Container::One => Container::One,
                table::Container::List => Container::List,
                table::Container::Map => Container::Map,
                table::Container::WrappedList => Container::WrappedList,
                table::Container::MapOfLists => Container::MapOfLists,
            },
            pointer: shape.pointer,
            omit: match field.omit {
                table::Omit::Never => Omit::Never,
                table::Omit::Empty => Omit::Empty,
                table::Omit::Zero => Omit::Zero,
            },
            ..FIELD
        }
    }
}

fn leak_kind(kind: &Kind) -> &'static GroupKind {
    Box::leak(Box::new(GroupKind {
        group: text(&kind.group),
        version: text(&kind.version),
        kind: text(&kind.kind),
        api_version: text(&api_version(kind)),
    }))
}

fn built_in(name: &str) -> Base {
    match name {
        "string" => Base::String,
        "int32" => Base::Int32,
        "int64" => Base::Int64,
        "bool" => Base::Bool,
        "bytes" => Base::Bytes,
        "float64" => Base::Float64,
        "Quantity" => Base::Quantity,
        "IntOrString" => Base::IntOrString,
        "Time" => Base::Time,
        "MicroTime" => Base::MicroTime,
        "Duration" => Base::Duration,
        "FieldsV1" => Base::FieldsV1,
        "RawExtension" => Base::RawExtension,
        "JSON" => Base::Json,
        other => panic!("unknown built-in {other}"),
    }
}

fn text(text: &str) -> &'static str {
    text.to_owned().leak()
}
