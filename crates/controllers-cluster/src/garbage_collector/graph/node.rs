//! An object in the graph.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::meta::v1::{ObjectMeta, OwnerReference};
use apimachinery::gvk::GroupVersion;

/// The finalizer of foreground deletion: dependents go first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of orphaning: dependents stay.
pub const ORPHAN: &str = "orphan";

/// A kind by group; shared, for there are many objects of each. The version doesn't tell objects apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    pub group: Arc<str>,
    pub kind: Arc<str>,
}

impl Kind {
    pub fn new(group: &str, kind: &str) -> Self {
        Kind {
            group: group.into(),
            kind: kind.into(),
        }
    }
}

/// What an object is, or is said to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl Identity {
    pub fn of(kind: &Kind, metadata: &ObjectMeta) -> Self {
        Identity {
            kind: kind.clone(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
        }
    }

    /// The owner as a reference in `namespace` names it. Whether it is in that namespace or in none isn't said.
    pub fn claimed(reference: &OwnerReference, namespace: &str) -> Self {
        let group = match GroupVersion::parse(&reference.api_version) {
            Ok(version) => version.group,
            Err(_) => String::new(),
        };
        Identity {
            kind: Kind::new(&group, &reference.kind),
            namespace: namespace.to_owned(),
            name: reference.name.clone(),
            uid: reference.uid.clone(),
        }
    }

    /// Whether a claim fits this object: the same kind and name, in the claim's namespace or in none.
    pub fn matches(&self, claim: &Identity) -> bool {
        self.kind == claim.kind
            && self.name == claim.name
            && (self.namespace.is_empty() || self.namespace == claim.namespace)
    }
}

#[derive(Clone, Debug)]
pub struct Node {
    pub identity: Identity,
    pub owners: Vec<OwnerReference>,
    /// UIDs of the objects that name this one as an owner.
    pub dependents: BTreeSet<String>,
    /// Named by dependents, not seen itself.
    pub is_virtual: bool,
    pub being_deleted: bool,
    pub deleting_dependents: bool,
    pub orphaning: bool,
}

impl Node {
    pub fn new(identity: Identity) -> Self {
        Node {
            identity,
            owners: Vec::new(),
            dependents: BTreeSet::new(),
            is_virtual: false,
            being_deleted: false,
            deleting_dependents: false,
            orphaning: false,
        }
    }
}
