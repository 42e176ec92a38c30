//! Owner references, and which children a controller may call its own.
//!
//! Upstream: apimachinery/pkg/apis/meta/v1/controller_ref.go, pkg/controller/controller_ref_manager.go

use std::collections::BTreeMap;

use api::Resource;
use api::meta::v1::{ObjectMeta, OwnerReference};
use apimachinery::labels::Selector;
use serde_json::{Value, json};

/// `group/version`, or the version alone for the core group.
pub fn api_version<K: Resource>() -> String {
    if K::GROUP.is_empty() {
        K::VERSION.to_owned()
    } else {
        format!("{}/{}", K::GROUP, K::VERSION)
    }
}

/// A reference that makes `owner` the controller of the object that bears it.
pub fn controller_ref<K: Resource>(owner: &K) -> OwnerReference {
    OwnerReference {
        controller: Some(true),
        block_owner_deletion: Some(true),
        ..owner_ref(owner)
    }
}

/// A plain reference.
pub fn owner_ref<K: Resource>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: api_version::<K>(),
        kind: K::KIND.to_owned(),
        name: owner.metadata().name.clone(),
        uid: owner.metadata().uid.clone(),
        ..OwnerReference::default()
    }
}

/// The controller of an object, if it has one.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata
        .owner_references
        .iter()
        .find(|reference| reference.controller == Some(true))
}

pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controller_of(metadata).is_some_and(|reference| reference.uid == uid)
}

/// What a controller does about one possible child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Keep,
    /// It is an orphan that we select: take it.
    Adopt,
    /// It is ours and no longer selected: let it go.
    Release,
    Ignore,
}

/// Decides about one child of a controller that is itself `deleting` or not.
pub fn claim(
    child: &ObjectMeta,
    owner_uid: &str,
    owner_deleting: bool,
    selected: impl Fn(&BTreeMap<String, String>) -> bool,
) -> Claim {
    match controller_of(child) {
        Some(reference) if reference.uid != owner_uid => Claim::Ignore,
        Some(_) if selected(&child.labels) => Claim::Keep,
        Some(_) if owner_deleting => Claim::Ignore,
        Some(_) => Claim::Release,
        None if owner_deleting || child.deletion_timestamp.is_some() => Claim::Ignore,
        None if selected(&child.labels) => Claim::Adopt,
        None => Claim::Ignore,
    }
}

/// The same, by a selector.
pub fn claim_by(child: &ObjectMeta, owner: &ObjectMeta, selector: &Selector) -> Claim {
    claim(child, &owner.uid, owner.deletion_timestamp.is_some(), |labels| {
        selector.matches(labels)
    })
}

/// The strategic merge patch that adopts a child, guarded by its UID.
pub fn adopt_patch(reference: &OwnerReference, child_uid: &str) -> Value {
    json!({"metadata": {"ownerReferences": [{
        "apiVersion": reference.api_version,
        "kind": reference.kind,
        "name": reference.name,
        "uid": reference.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    }], "uid": child_uid}})
}

/// The strategic merge patch that removes an owner's reference from a child, guarded by its UID.
pub fn release_patch(owner_uid: &str, child_uid: &str) -> Value {
    json!({"metadata": {"uid": child_uid, "ownerReferences": [{"$patch": "delete", "uid": owner_uid}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(owner: Option<&str>, app: &str) -> ObjectMeta {
        let reference = |uid: &str| OwnerReference {
            uid: uid.into(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        ObjectMeta {
            owner_references: owner.map(reference).into_iter().collect(),
            labels: [("app".to_owned(), app.to_owned())].into(),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn claims() {
        let check = |owner: Option<&str>, app: &str, deleting: bool, expected: Claim| {
            let selected =
                |labels: &BTreeMap<String, String>| labels.get("app").is_some_and(|app| app == "web");
            assert_eq!(
                claim(&child(owner, app), "me", deleting, selected),
                expected,
                "{owner:?} {app} {deleting}"
            );
        };
        check(Some("me"), "web", false, Claim::Keep);
        check(Some("me"), "web", true, Claim::Keep);
        check(Some("me"), "db", false, Claim::Release);
        check(Some("me"), "db", true, Claim::Ignore);
        check(Some("other"), "web", false, Claim::Ignore);
        check(None, "web", false, Claim::Adopt);
        check(None, "web", true, Claim::Ignore);
        check(None, "db", false, Claim::Ignore);
    }
}
