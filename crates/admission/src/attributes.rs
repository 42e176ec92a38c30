//! What is being done, to what, by whom.

use api::Object;
use apimachinery::gvk::{GroupResource, GroupVersionKind, GroupVersionResource};
use apimachinery::status::Status;
use auth::UserInfo;

/// The kinds of requests that admission sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Create = 0,
    Update = 1,
    Delete = 2,
    /// exec, attach, portforward, proxy.
    Connect = 3,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// The facts of a request that no plugin changes.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    pub operation: Operation,
    pub kind: GroupVersionKind,
    pub resource: GroupVersionResource,
    pub subresource: &'a str,
    pub namespace: &'a str,
    /// The object's own if the request has none; empty when the server is to generate it.
    pub name: &'a str,
    pub user: &'a UserInfo,
    pub dry_run: bool,
    /// CreateOptions, UpdateOptions or DeleteOptions as JSON; empty for none.
    pub options: &'a [u8],
    /// When the request is handled.
    pub now: jiff::Timestamp,
}

impl Attributes<'_> {
    /// Is this about a resource itself (`""`) or its subresource?
    pub fn is(&self, group: &str, resource: &str, subresource: &str) -> bool {
        self.resource.group == group && self.resource.resource == resource && self.subresource == subresource
    }

    /// The namespace as reviews and policies state it: a namespace is in itself. `name` is the object's.
    pub fn review_namespace<'a>(&'a self, name: &'a str) -> &'a str {
        if self.namespace.is_empty()
            && self.resource.group.is_empty()
            && self.resource.resource == "namespaces"
        {
            name
        } else {
            self.namespace
        }
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.resource.group.clone(),
            resource: self.resource.resource.clone(),
        }
    }

    /// 403 in the words that every plugin's refusal has: `pods "x" is forbidden: …`. The name falls back to
    /// the object's, then to its generateName.
    pub fn forbidden(&self, object: Option<&dyn Object>, message: impl Into<String>) -> Status {
        let name = match (self.name, object) {
            ("", Some(object)) if !object.metadata().name.is_empty() => object.metadata().name.clone(),
            ("", Some(object)) => object.metadata().generate_name.clone(),
            (name, _) => name.to_owned(),
        };
        let name = if name.is_empty() {
            "Unknown".to_owned()
        } else {
            name
        };
        Status::forbidden(&self.group_resource(), &name, message.into())
    }
}
