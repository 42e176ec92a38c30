//! What to do about an object that the table wants.

use std::collections::BTreeMap;

use api::meta::v1::ObjectMeta;
use api::rbac::v1::{PolicyRule, RoleRef, Subject};

use super::policy::AUTOUPDATE;
use crate::escalation::covers;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<T> {
    Nothing,
    Update(T),
    /// A binding's role cannot be changed: it is deleted and made anew.
    Recreate(T),
}

/// The parts of a role that are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleParts {
    pub metadata: ObjectMeta,
    pub rules: Vec<PolicyRule>,
}

/// Adds the missing rules, labels and annotations to an existing role; never takes any away. The rules of
/// an aggregated role belong to the controller that gathers them.
pub fn role(existing: &RoleParts, wanted: &RoleParts, aggregated: bool) -> Action<RoleParts> {
    if !is_updated(&existing.metadata) {
        return Action::Nothing;
    }
    let mut updated = existing.clone();
    add_metadata(&mut updated.metadata, &wanted.metadata);
    if !aggregated {
        updated
            .rules
            .extend(covers::compact(covers::uncovered(&existing.rules, &wanted.rules)));
    }
    if updated == *existing {
        Action::Nothing
    } else {
        Action::Update(updated)
    }
}

/// The parts of a binding that are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingParts {
    pub metadata: ObjectMeta,
    pub subjects: Vec<Subject>,
    pub role: RoleRef,
}

/// Adds the missing subjects, labels and annotations to an existing binding.
pub fn binding(existing: &BindingParts, wanted: &BindingParts) -> Action<BindingParts> {
    if !is_updated(&existing.metadata) {
        return Action::Nothing;
    }
    let mut updated = existing.clone();
    add_metadata(&mut updated.metadata, &wanted.metadata);
    for subject in &wanted.subjects {
        if !updated.subjects.contains(subject) {
            updated.subjects.push(subject.clone());
        }
    }
    if existing.role != wanted.role {
        updated.role = wanted.role.clone();
        return Action::Recreate(updated);
    }
    if updated == *existing {
        Action::Nothing
    } else {
        Action::Update(updated)
    }
}

fn is_updated(metadata: &ObjectMeta) -> bool {
    metadata
        .annotations
        .get(AUTOUPDATE)
        .is_some_and(|value| value == "true")
}

/// The existing object's own values win.
fn add_metadata(metadata: &mut ObjectMeta, wanted: &ObjectMeta) {
    let add = |to: &mut BTreeMap<String, String>, from: &BTreeMap<String, String>| {
        for (key, value) in from {
            to.entry(key.clone()).or_insert_with(|| value.clone());
        }
    };
    add(&mut metadata.labels, &wanted.labels);
    add(&mut metadata.annotations, &wanted.annotations);
}
