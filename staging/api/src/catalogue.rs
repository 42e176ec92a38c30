//! What the API serves: groups, resources with their subresources and columns, and every kind.

#[rustfmt::skip]
mod generated;

pub use generated::{GROUPS, KINDS, RESOURCES};

use crate::message::{Object, Resource as TypedResource};
use crate::types::Type;
use crate::wire::DecodeError;

/// Reads an object of one kind from bare protobuf.
pub type Decode = fn(&[u8]) -> Result<Box<dyn Object>, DecodeError>;

#[derive(Debug)]
pub struct Group {
    pub name: &'static str,
    /// In order of preference.
    pub versions: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// A served resource of one version.
#[derive(Debug)]
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// `v1`, `apps/v1`
    pub api_version: &'static str,
    /// The kind of its lists.
    pub list_kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    pub namespaced: bool,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [Subresource],
    pub columns: &'static [Column],
    /// Group and version in which objects are stored; `None`: they are not.
    pub storage: Option<(&'static str, &'static str)>,
    /// Where the store keeps them, below `/registry/`.
    pub prefix: &'static str,
    pub ty: &'static Type,
    pub decode: Decode,
    pub new: fn() -> Box<dyn Object>,
}

#[derive(Debug)]
pub struct Subresource {
    pub name: &'static str,
    /// Group, version and kind of what it takes or answers.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub verbs: &'static [&'static str],
}

/// A column of the Table form.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: &'static str,
    pub format: &'static str,
    /// Empty for built-in kinds.
    pub description: &'static str,
    pub priority: i32,
}

/// A registered kind, stored or not.
#[derive(Debug)]
pub struct KindInfo {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// `v1`, `apps/v1`
    pub api_version: &'static str,
    pub ty: &'static Type,
    /// Set for kinds with object metadata.
    pub decode: Option<Decode>,
    pub new: Option<fn() -> Box<dyn Object>>,
}

impl Resource {
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Whether the version is the one that is stored.
    pub fn is_stored(&self) -> bool {
        self.storage == Some((self.group, self.version))
    }
}

/// The row that serves a resource.
pub fn resource(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|r| r.plural == plural && r.group == group && r.version == version)
}

/// A kind by name. The option kinds, WatchEvent and Status are registered in every group.
pub fn kind(group: &str, version: &str, kind: &str) -> Option<&'static KindInfo> {
    let find = |group: &str, version: &str| {
        KINDS
            .iter()
            .find(|k| k.kind == kind && k.group == group && k.version == version)
    };
    let everywhere = kind.ends_with("Options") || matches!(kind, "WatchEvent" | "Status");
    find(group, version).or_else(|| if everywhere { find("", "v1") } else { None })
}

fn decode<T: TypedResource>(bytes: &[u8]) -> Result<Box<dyn Object>, DecodeError> {
    T::decode(bytes).map(|object| Box::new(object) as Box<dyn Object>)
}

fn new<T: TypedResource>() -> Box<dyn Object> {
    Box::new(T::default())
}
