//! The type tables: packages of types of fields, and their text form under `api/types`.
//!
//! A table file holds one package. Its lines:
//!
//! ```text
//! package core/v1 k8s.io/api/core/v1
//! alias ResourceList {}Quantity
//! type Container
//!   1 name string required
//!   7 env []EnvVar omitempty patch=merge key=name list=map:name
//! ```
//!
//! A field is its protobuf number (`-`: not in protobuf), its JSON name (`^`: inlined), its type and its facts.
//! A type is a scalar, a built-in, a name of the same package, or `package.Name`; `*`, `[]` and `{}` before it
//! mean pointer, list and string-keyed map.

use crate::Result;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Types whose wire and JSON forms are not those of a plain struct; named without a package.
pub const BUILT_IN: [&str; 15] = [
    "string",
    "int32",
    "int64",
    "bool",
    "bytes",
    "float64",
    "Quantity",
    "IntOrString",
    "Time",
    "MicroTime",
    "Duration",
    "FieldsV1",
    "RawExtension",
    "JSON",
    "any",
];

#[derive(Default)]
pub struct Tables {
    /// By short name (`core/v1`).
    pub packages: BTreeMap<String, Package>,
}

#[derive(Default)]
pub struct Package {
    /// `core/v1`
    pub name: String,
    /// `k8s.io/api/core/v1`
    pub path: String,
    pub aliases: BTreeMap<String, String>,
    pub types: Vec<Type>,
}

pub struct Type {
    pub name: String,
    /// A map-like struct that apply replaces as a whole.
    pub atomic: bool,
    pub fields: Vec<Field>,
}

#[derive(Clone, Default)]
pub struct Field {
    pub number: Option<u32>,
    /// Empty for an inlined struct.
    pub name: String,
    pub shape: String,
    pub required: bool,
    pub omit: Omit,
    pub patch: String,
    pub merge_key: String,
    pub list_type: String,
    pub list_keys: Vec<String>,
    pub map_type: String,
    pub default: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq)]
pub enum Omit {
    #[default]
    Never,
    Empty,
    Zero,
}

/// A resolved field type.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub pointer: bool,
    pub container: Container,
    pub base: Base,
    /// The named string, list or map that the type was written as, e.g. `core/v1.RestartPolicy`.
    pub alias: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Container {
    One,
    List,
    Map,
    /// A named list in a message of its own (`Verbs`).
    WrappedList,
    /// A map of such lists (`map[string]ExtraValue`).
    MapOfLists,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    BuiltIn(&'static str),
    Message { package: String, name: String },
}

impl Tables {
    pub fn read(directory: &Path) -> Result<Self> {
        let mut tables = Self::default();
        let mut paths: Vec<_> = fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.sort();
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        {
            tables
                .parse(&fs::read_to_string(path)?)
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(tables)
    }

    /// Adds a file's lines; two files may add to one package.
    pub fn parse(&mut self, text: &str) -> Result<()> {
        let mut current = String::new();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let package = self.packages.entry(current.clone());
            match words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["package", name, path] => {
                    current = (*name).to_owned();
                    let package = self.packages.entry(current.clone()).or_default();
                    (package.name, package.path) = ((*name).to_owned(), (*path).to_owned());
                }
                ["alias", name, shape] => {
                    package
                        .or_default()
                        .aliases
                        .insert((*name).to_owned(), (*shape).to_owned());
                }
                ["type", name, facts @ ..] => package.or_default().types.push(Type {
                    name: (*name).to_owned(),
                    atomic: facts.contains(&"atomic"),
                    fields: Vec::new(),
                }),
                words => {
                    let field = Field::parse(words).map_err(|e| format!("line {}: {e}", index + 1))?;
                    let last = package.or_default().types.last_mut();
                    last.ok_or("a field before any type")?.fields.push(field);
                }
            }
        }
        self.packages.remove("");
        Ok(())
    }

    pub fn find(&self, package: &str, name: &str) -> Option<&Type> {
        self.packages.get(package)?.types.iter().find(|t| t.name == name)
    }

    /// Resolves a written type as seen from `package`.
    pub fn shape(&self, package: &str, written: &str) -> Result<Shape> {
        let (pointer, rest) = match written.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, written),
        };
        let (container, rest) = if let Some(rest) = rest.strip_prefix("[]") {
            (Container::List, rest)
        } else if let Some(rest) = rest.strip_prefix("{}") {
            (Container::Map, rest)
        } else {
            (Container::One, rest)
        };
        if let Some(name) = BUILT_IN.iter().find(|name| **name == rest) {
            return Ok(Shape {
                pointer,
                container,
                base: Base::BuiltIn(name),
                alias: None,
            });
        }
        let (owner, name) = rest.split_once('.').unwrap_or((package, rest));
        if let Some(target) = self.packages.get(owner).and_then(|p| p.aliases.get(name)) {
            return self.alias(owner, name, target, pointer, container);
        }
        if self.find(owner, name).is_none() {
            return Err(format!("no type {owner}.{name}").into());
        }
        let base = Base::Message {
            package: owner.to_owned(),
            name: name.to_owned(),
        };
        Ok(Shape {
            pointer,
            container,
            base,
            alias: None,
        })
    }

    fn alias(&self, owner: &str, name: &str, target: &str, pointer: bool, outer: Container) -> Result<Shape> {
        let inner = self.shape(owner, target)?;
        let container = match (outer, inner.container) {
            (outer, Container::One) => outer,
            // Named lists are messages of their own, except where the protobuf definition inlines them.
            (Container::One, Container::List) if name == "ValidationRules" => Container::List,
            (Container::One, Container::List) => Container::WrappedList,
            (Container::One, inner) => inner,
            (Container::Map, Container::List) => Container::MapOfLists,
            (outer, inner) => return Err(format!("{owner}.{name}: {outer:?} of {inner:?}").into()),
        };
        Ok(Shape {
            pointer,
            container,
            base: inner.base,
            alias: Some(format!("{owner}.{name}")),
        })
    }
}

impl Package {
    pub fn print(&self) -> String {
        let mut out =
            String::from("# Derived from facts recorded from upstream; written by `codegen facts`.\n");
        let _ = writeln!(out, "package {} {}", self.name, self.path);
        if !self.aliases.is_empty() {
            out.push('\n');
        }
        for (name, shape) in &self.aliases {
            let _ = writeln!(out, "alias {name} {shape}");
        }
        for item in &self.types {
            let _ = writeln!(
                out,
                "\ntype {}{}",
                item.name,
                if item.atomic { " atomic" } else { "" }
            );
            for field in &item.fields {
                let _ = writeln!(out, "  {}", field.print());
            }
        }
        out
    }
}

impl Field {
    fn parse(words: &[&str]) -> Result<Self> {
        let [number, name, shape, facts @ ..] = words else {
            return Err("a field needs three words".into());
        };
        let mut field = Self {
            number: if *number == "-" {
                None
            } else {
                Some(number.parse()?)
            },
            name: if *name == "^" {
                String::new()
            } else {
                (*name).to_owned()
            },
            shape: (*shape).to_owned(),
            ..Self::default()
        };
        for fact in facts {
            let (key, value) = fact.split_once('=').unwrap_or((fact, ""));
            match key {
                "required" => field.required = true,
                "omitempty" => field.omit = Omit::Empty,
                "omitzero" => field.omit = Omit::Zero,
                "patch" => field.patch = value.to_owned(),
                "key" => field.merge_key = value.to_owned(),
                "map" => field.map_type = value.to_owned(),
                "default" => field.default = Some(value.to_owned()),
                "list" => {
                    let (kind, keys) = value.split_once(':').unwrap_or((value, ""));
                    field.list_type = kind.to_owned();
                    field.list_keys = keys
                        .split(',')
                        .filter(|k| !k.is_empty())
                        .map(str::to_owned)
                        .collect();
                }
                _ => return Err(format!("unknown fact {fact:?}").into()),
            }
        }
        Ok(field)
    }

    fn print(&self) -> String {
        let number = self.number.map_or("-".to_owned(), |n| n.to_string());
        let name = if self.name.is_empty() { "^" } else { &self.name };
        let mut out = format!("{number} {name} {}", self.shape);
        out.push_str(if self.required { " required" } else { "" });
        out.push_str(match self.omit {
            Omit::Never => "",
            Omit::Empty => " omitempty",
            Omit::Zero => " omitzero",
        });
        for (key, value) in [
            ("patch", &self.patch),
            ("key", &self.merge_key),
            ("map", &self.map_type),
        ] {
            if !value.is_empty() {
                let _ = write!(out, " {key}={value}");
            }
        }
        if !self.list_type.is_empty() {
            let _ = write!(out, " list={}", self.list_type);
            if !self.list_keys.is_empty() {
                let _ = write!(out, ":{}", self.list_keys.join(","));
            }
        }
        if let Some(default) = &self.default {
            let _ = write!(out, " default={default}");
        }
        out
    }
}
