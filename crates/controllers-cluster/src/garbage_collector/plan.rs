//! What to do about one object, from its live state and that of its owners. Pure.

use api::meta::v1::{ObjectMeta, OwnerReference};

use super::graph::{FOREGROUND, ORPHAN};

/// An owner as the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    Exists,
    Absent,
    /// It is being deleted and waits for this object to go first.
    WaitsForDependents,
}

/// What an object's dependents in the graph are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    pub any: bool,
    /// One of them is in foreground deletion itself: the two might wait for each other.
    pub any_deleting_theirs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Background,
    Foreground,
    Orphan,
}

impl Policy {
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Background => "Background",
            Policy::Foreground => "Foreground",
            Policy::Orphan => "Orphan",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It has an owner, or none at all.
    Keep,
    /// It has an owner; these others are gone, or wait for it to let go.
    DropOwners(Vec<String>),
    /// No owner is left.
    Delete { policy: Policy, unblock_owners: bool },
}

pub fn plan(object: &ObjectMeta, owners: &[(OwnerReference, OwnerState)], dependents: Dependents) -> Action {
    if owners.is_empty() {
        return Action::Keep;
    }
    let is = |wanted: OwnerState| owners.iter().filter(move |(_, state)| *state == wanted);
    if is(OwnerState::Exists).next().is_some() {
        let gone = owners.iter().filter(|(_, state)| *state != OwnerState::Exists);
        let gone: Vec<String> = gone.map(|(reference, _)| reference.uid.clone()).collect();
        return if gone.is_empty() {
            Action::Keep
        } else {
            Action::DropOwners(gone)
        };
    }
    if is(OwnerState::WaitsForDependents).next().is_some() && dependents.any {
        let unblock_owners = dependents.any_deleting_theirs;
        return Action::Delete {
            policy: Policy::Foreground,
            unblock_owners,
        };
    }
    // Its own finalizers say what becomes of its dependents.
    let has = |finalizer: &str| object.finalizers.iter().any(|other| other == finalizer);
    let policy = if has(ORPHAN) {
        Policy::Orphan
    } else if has(FOREGROUND) {
        Policy::Foreground
    } else {
        Policy::Background
    };
    Action::Delete {
        policy,
        unblock_owners: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owners by a letter each: `e`xists, `a`bsent, `w`aits.
    fn check(owners: &str, finalizers: &[&str], dependents: Dependents, expected: Action) {
        let state = |letter: char| match letter {
            'e' => OwnerState::Exists,
            'a' => OwnerState::Absent,
            _ => OwnerState::WaitsForDependents,
        };
        let owners: Vec<(OwnerReference, OwnerState)> = owners
            .chars()
            .map(|letter| {
                (
                    OwnerReference {
                        uid: letter.into(),
                        ..OwnerReference::default()
                    },
                    state(letter),
                )
            })
            .collect();
        let object = ObjectMeta {
            finalizers: finalizers.iter().map(|&finalizer| finalizer.into()).collect(),
            ..ObjectMeta::default()
        };
        assert_eq!(plan(&object, &owners, dependents), expected);
    }

    #[test]
    fn decisions() {
        let none = Dependents::default();
        let some = Dependents {
            any: true,
            any_deleting_theirs: false,
        };
        let circle = Dependents {
            any: true,
            any_deleting_theirs: true,
        };
        let delete = |policy, unblock_owners| Action::Delete {
            policy,
            unblock_owners,
        };

        check("", &[], none, Action::Keep);
        check("e", &[], none, Action::Keep);
        check("ea", &[], none, Action::DropOwners(vec!["a".into()]));
        check("ew", &[], some, Action::DropOwners(vec!["w".into()]));
        check("a", &[], some, delete(Policy::Background, false));
        check("a", &["orphan"], none, delete(Policy::Orphan, false));
        check(
            "a",
            &["foregroundDeletion"],
            none,
            delete(Policy::Foreground, false),
        );
        check("w", &[], none, delete(Policy::Background, false));
        check("aw", &[], some, delete(Policy::Foreground, false));
        check("w", &[], circle, delete(Policy::Foreground, true));
    }
}
