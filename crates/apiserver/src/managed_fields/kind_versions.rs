//! The versions of a served kind.

use std::borrow::Cow;

use api::catalogue::{self, Resource};
use api::types::Type;
use serde_json::Value;
use structured_merge::{Set, Versions};

use super::node::Node;
use crate::decode::{Expected, decode_json};
use crate::kind;
use crate::objects::Version;
use crate::resource::Served;
use crate::strategy::Strategy;

pub struct KindVersions<'a> {
    served: &'a Served,
    subresource: &'a str,
}

impl<'a> KindVersions<'a> {
    pub fn new(served: &'a Served, subresource: &'a str) -> Self {
        Self { served, subresource }
    }

    /// The row of another version; Events are the one kind that stands in two groups.
    fn row(&self, version: &str) -> Option<&'static Resource> {
        if self.served.is_custom() {
            return self.version(version).map(|version| version.row);
        }
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let row = catalogue::resource(group, version, self.served.row.plural)?;
        (row.kind == self.served.row.kind).then_some(row)
    }

    /// A version of a custom kind.
    fn version(&self, version: &str) -> Option<&'a Version> {
        let served: &'a Served = self.served;
        let versions = &served.objects.versions;
        versions.iter().find(|known| known.row.api_version == version)
    }

    fn strategy(&self) -> &dyn Strategy {
        &*self.served.objects.behaviour(self.subresource).strategy
    }

    /// An encoded object of the served version, in another one; `None` if there is no such version.
    pub fn encoded_at<'r>(&self, raw: &'r [u8], version: &str) -> Option<(&'static Type, Cow<'r, [u8]>)> {
        let to = self.row(version)?;
        if std::ptr::eq(self.served.row, to) {
            return Some((to.ty, Cow::Borrowed(raw)));
        }
        let object = kind::convert((self.served.row.decode)(raw).ok()?, to).ok()?;
        Some((to.ty, Cow::Owned(object.encode_to_vec())))
    }

    fn between(&self, value: &Value, from: &'static Resource, to: &'static Resource) -> Option<Value> {
        if std::ptr::eq(from, to) {
            return Some(value.clone());
        }
        let json = serde_json::to_vec(value).ok()?;
        let decoded = decode_json(&json, Expected::from(from)).ok()?;
        let object = kind::convert((from.decode)(&decoded.proto).ok()?, to).ok()?;
        let json = kind::json(to.ty, &object.encode_to_vec()).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

impl<'a> Versions for KindVersions<'a> {
    type Schema = Node<'a>;

    fn own(&self) -> &str {
        self.served.row.api_version
    }

    fn schema(&self, version: &str) -> Option<Node<'a>> {
        if self.served.is_custom() {
            let version = self.version(version)?;
            return Some(Node::root(version.row, &*version.strategy));
        }
        self.row(version).map(|row| Node::Kind(row.ty))
    }

    fn convert(&self, value: &Value, version: &str) -> Option<Value> {
        self.between(value, self.served.row, self.row(version)?)
    }

    fn convert_back(&self, value: &Value, version: &str) -> Option<Value> {
        self.between(value, self.row(version)?, self.served.row)
    }

    /// An update of an object leaves its status alone, and one of the status the rest.
    fn ignored(&self, _version: &str) -> Set {
        let left_alone = Set::of_fields(self.strategy().left_alone(self.subresource));
        if self.subresource.is_empty() && self.served.row.subresource("status").is_some() {
            return left_alone.union(Set::of_fields(&[&["status"]]));
        }
        left_alone
    }
}
