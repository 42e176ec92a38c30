//! Descriptors: what the API's types are, as static data.
//!
//! The codec, strategic merge patch, server-side apply and OpenAPI walk these; nothing is generated per kind
//! beyond them and the typed structs.

pub mod generated;

pub use generated::*;

/// A Go package of API types.
#[derive(Debug)]
pub struct Package {
    /// Group's first label and version: `core/v1`.
    pub name: &'static str,
    /// `k8s.io/api/core/v1`
    pub path: &'static str,
    pub types: &'static [&'static Type],
}

/// A struct of the API.
#[derive(Debug)]
pub struct Type {
    pub package: &'static Package,
    pub name: &'static str,
    /// In JSON's order. An inlined struct is one field, without a name.
    pub fields: &'static [Field],
    /// Indices of the fields that protobuf carries, by ascending number.
    pub by_number: &'static [u8],
    /// How many fields there are, counting those of inlined structs instead of these.
    pub members: u16,
    pub form: Form,
    /// Whether apply treats the struct as one value (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Set for a top-level kind.
    pub kind: Option<&'static GroupKind>,
}

/// How a struct looks in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Struct,
    /// One schema, or a list of them.
    OrArray,
    /// One schema, or a boolean.
    OrBool,
    /// One schema, or a list of strings.
    OrStringArray,
    /// Metadata, and whatever else a document holds: see [`custom`](crate::custom).
    Open,
}

#[derive(Debug)]
pub struct Field {
    /// The JSON name; empty for an inlined struct.
    pub name: &'static str,
    /// The protobuf number; 0 when protobuf does not carry the field.
    pub number: u16,
    /// The index of this field (or of an inlined struct's first) among the type's members.
    pub slot: u16,
    pub base: Base,
    pub container: Container,
    pub pointer: bool,
    pub omit: Omit,
    pub required: bool,
    /// `merge`, `replace`, `retainKeys`, joined by commas; empty when not stated.
    pub patch: &'static str,
    pub merge_key: &'static str,
    /// `atomic`, `set`, `map` or empty.
    pub list_type: &'static str,
    pub list_keys: &'static [&'static str],
    /// `atomic`, `granular` or empty.
    pub map_type: &'static str,
    /// JSON of a stated default; the zero value of a field that is never absent is not stated.
    pub default: Option<&'static str>,
    /// The named type that the field was declared with, `core/v1.RestartPolicy`, if it is not a struct.
    pub alias: &'static str,
}

/// What one value of a field is.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    String,
    Int32,
    Int64,
    Bool,
    Bytes,
    Float64,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    Duration,
    FieldsV1,
    RawExtension,
    Json,
    Message(&'static Type),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    One,
    List,
    Map,
    /// A named list of strings, a message around its items in protobuf (`Verbs`).
    WrappedList,
    /// A map of such lists (`map[string]ExtraValue`).
    MapOfLists,
}

/// When JSON leaves a field out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    Never,
    /// Zero scalars, nil pointers, empty lists and maps; never structs.
    Empty,
    /// As `Empty`, and zero structs.
    Zero,
}

/// Where a kind is registered.
#[derive(Debug, PartialEq, Eq)]
pub struct GroupKind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// `v1` or `apps/v1`.
    pub api_version: &'static str,
}

/// The blank that generated fields start from.
pub const FIELD: Field = Field {
    name: "",
    number: 0,
    slot: 0,
    base: Base::String,
    container: Container::One,
    pointer: false,
    omit: Omit::Never,
    required: false,
    patch: "",
    merge_key: "",
    list_type: "",
    list_keys: &[],
    map_type: "",
    default: None,
    alias: "",
};

impl Type {
    /// The index of the field with a protobuf number. `expected` is where to look first: fields usually come in
    /// number order, each once or several times in a row.
    pub fn index_of(&self, number: u32, expected: &mut usize) -> Option<usize> {
        for place in [*expected, *expected + 1] {
            if let Some(index) = self.by_number.get(place).copied().map(usize::from)
                && u32::from(self.fields[index].number) == number
            {
                *expected = place;
                return Some(index);
            }
        }
        let found = self.by_number.binary_search_by_key(&number, |index| {
            u32::from(self.fields[usize::from(*index)].number)
        });
        *expected = found.ok()?;
        Some(usize::from(self.by_number[*expected]))
    }

    /// The field that a JSON member names, and its slot. `expected` is where to look first: writers usually keep
    /// the declared order.
    pub fn member(&self, name: &str, expected: &mut usize) -> Option<(usize, &'static Field)> {
        if let Some(field) = self.fields.get(*expected)
            && field.name == name
        {
            *expected += 1;
            return Some((usize::from(field.slot), field));
        }
        for (index, field) in self.fields.iter().enumerate() {
            match (field.name, field.base) {
                ("", Base::Message(inner)) => {
                    if let Some((slot, found)) = inner.member(name, &mut 0) {
                        return Some((usize::from(field.slot) + slot, found));
                    }
                }
                (own, _) if own == name => {
                    *expected = index + 1;
                    return Some((usize::from(field.slot), field));
                }
                _ => {}
            }
        }
        None
    }

    /// The field that a JSON member names, inlined ones included.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        if name.is_empty() {
            None
        } else {
            self.member(name, &mut 0).map(|(_, field)| field)
        }
    }
}
