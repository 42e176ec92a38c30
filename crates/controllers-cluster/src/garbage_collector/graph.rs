//! Who owns whom. Pure: takes changes of objects and gives the work that follows from them.
//!
//! An owner that is named but wasn't seen is a *virtual* node, to be looked up. References may lie about kind, name
//! or namespace: the UID alone says which node is meant, and a dependent whose reference disagrees with what was
//! seen is looked at singly.
//!
//! Upstream: pkg/controller/garbagecollector/graph_builder.go

mod node;

use std::collections::{BTreeSet, HashMap};

use api::meta::v1::{ObjectMeta, OwnerReference};

pub use node::{FOREGROUND, Identity, Kind, Node, ORPHAN};

/// What a change gives to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Look whether the object is to be deleted, or whether it waits for dependents no more.
    AttemptDelete(String),
    /// Take the object out of its dependents' owners, then let it go.
    AttemptOrphan(String),
    /// This owner is known to be gone.
    Absent(Identity),
}

#[derive(Debug, Default)]
pub struct Graph {
    nodes: HashMap<String, Node>,
}

impl Graph {
    pub fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// An object was seen, new or changed.
    pub fn observe(&mut self, kind: &Kind, metadata: &ObjectMeta) -> Vec<Work> {
        let mut work = Vec::new();
        let uid = &metadata.uid;
        let identity = Identity::of(kind, metadata);
        if let Some(node) = self.nodes.get(uid).filter(|node| node.is_virtual) {
            if node.identity != identity {
                self.enqueue_disagreeing(uid, &identity, &mut work);
            }
            if let Some(node) = self.nodes.get_mut(uid) {
                node.identity = identity.clone();
                node.is_virtual = false;
            }
        }
        match self.nodes.get(uid).map(|node| node.owners.clone()) {
            None => {
                let node = Node {
                    owners: metadata.owner_references.clone(),
                    ..Node::new(identity)
                };
                self.nodes.insert(uid.clone(), node);
                self.add_to_owners(uid, &metadata.owner_references, &mut work);
            }
            Some(old) => self.change_owners(uid, &old, &metadata.owner_references, &mut work),
        }
        self.note_deletion(metadata, &mut work);
        work
    }

    /// An object is gone, as its watch says.
    pub fn forget(&mut self, uid: &str) -> Vec<Work> {
        let mut work = Vec::new();
        let Some(node) = self.nodes.remove(uid) else {
            return work;
        };
        self.remove_from_owners(uid, &node.owners);
        if !node.dependents.is_empty() {
            work.push(Work::Absent(node.identity.clone()));
        }
        work.extend(node.dependents.iter().cloned().map(Work::AttemptDelete));
        // Owners that wait for their last dependent.
        for owner in &node.owners {
            if self
                .nodes
                .get(&owner.uid)
                .is_some_and(|owner| owner.deleting_dependents)
            {
                work.push(Work::AttemptDelete(owner.uid.clone()));
            }
        }
        work
    }

    /// The server has no object of this identity. A node that was seen otherwise stays.
    pub fn forget_absent(&mut self, absent: &Identity) -> Vec<Work> {
        let Some(node) = self.nodes.get(&absent.uid) else {
            return Vec::new();
        };
        let (agreeing, others): (Vec<String>, Vec<String>) = node
            .dependents
            .iter()
            .cloned()
            .partition(|dependent| self.refers(dependent, absent));
        if node.is_virtual && others.is_empty() {
            return self.forget(&absent.uid);
        }
        if !node.is_virtual && node.identity == *absent {
            return self.forget(&absent.uid);
        }
        let mut work = Vec::new();
        if !agreeing.is_empty() {
            work.push(Work::Absent(absent.clone()));
            work.extend(agreeing.into_iter().map(Work::AttemptDelete));
        }
        if node.is_virtual && node.identity == *absent {
            self.try_another_identity(absent, &others, &mut work);
        }
        work
    }

    /// The UIDs of all seen objects of a kind: what a new list doesn't have of them is gone.
    pub fn uids_of(&self, kind: &Kind) -> Vec<String> {
        let of_kind = self
            .nodes
            .iter()
            .filter(|(_, node)| !node.is_virtual && node.identity.kind == *kind);
        of_kind.map(|(uid, _)| uid.clone()).collect()
    }

    /// The dependents that an owner in foreground deletion waits for.
    pub fn blocking_dependents(&self, uid: &str) -> Vec<&Node> {
        let Some(node) = self.nodes.get(uid) else {
            return Vec::new();
        };
        let dependents = node
            .dependents
            .iter()
            .filter_map(|dependent| self.nodes.get(dependent));
        dependents
            .filter(|dependent| dependent.owners.iter().any(|owner| blocks(owner, uid)))
            .collect()
    }

    /// The dependents of an object.
    pub fn dependents(&self, uid: &str) -> Vec<&Node> {
        let dependents = self.nodes.get(uid).into_iter().flat_map(|node| &node.dependents);
        dependents
            .filter_map(|dependent| self.nodes.get(dependent))
            .collect()
    }

    fn add_to_owners(&mut self, uid: &str, owners: &[OwnerReference], work: &mut Vec<Work>) {
        let Some(namespace) = self.nodes.get(uid).map(|node| node.identity.namespace.clone()) else {
            return;
        };
        let mut doubtful = false;
        for reference in owners {
            let claimed = Identity::claimed(reference, &namespace);
            let owner = self.nodes.entry(reference.uid.clone()).or_insert_with(|| {
                work.push(Work::AttemptDelete(reference.uid.clone()));
                Node {
                    is_virtual: true,
                    ..Node::new(claimed.clone())
                }
            });
            owner.dependents.insert(uid.to_owned());
            doubtful |= !owner.identity.matches(&claimed)
                || (owner.is_virtual && owner.identity.namespace != namespace);
        }
        if doubtful {
            work.push(Work::AttemptDelete(uid.to_owned()));
        }
    }

    fn remove_from_owners(&mut self, uid: &str, owners: &[OwnerReference]) {
        for owner in owners {
            if let Some(node) = self.nodes.get_mut(&owner.uid) {
                node.dependents.remove(uid);
            }
        }
    }

    fn change_owners(
        &mut self,
        uid: &str,
        old: &[OwnerReference],
        new: &[OwnerReference],
        work: &mut Vec<Work>,
    ) {
        if old == new {
            return;
        }
        let missing_in = |list: &[OwnerReference], owner: &OwnerReference| {
            !list.iter().any(|other| other.uid == owner.uid)
        };
        let removed: Vec<OwnerReference> = old
            .iter()
            .filter(|owner| missing_in(new, owner))
            .cloned()
            .collect();
        let added: Vec<OwnerReference> = new
            .iter()
            .filter(|owner| missing_in(old, owner))
            .cloned()
            .collect();
        // An owner that waited for this object waits no more.
        for owner in old
            .iter()
            .filter(|owner| owner.block_owner_deletion == Some(true))
        {
            if !new.iter().any(|other| blocks(other, &owner.uid)) && self.nodes.contains_key(&owner.uid) {
                work.push(Work::AttemptDelete(owner.uid.clone()));
            }
        }
        if let Some(node) = self.nodes.get_mut(uid) {
            node.owners = new.to_vec();
        }
        self.remove_from_owners(uid, &removed);
        self.add_to_owners(uid, &added, work);
    }

    fn note_deletion(&mut self, metadata: &ObjectMeta, work: &mut Vec<Work>) {
        let Some(node) = self.nodes.get_mut(&metadata.uid) else {
            return;
        };
        node.being_deleted = metadata.deletion_timestamp.is_some();
        let has = |finalizer: &str| node.being_deleted && metadata.finalizers.iter().any(|f| f == finalizer);
        let (orphaning, foreground) = (has(ORPHAN), has(FOREGROUND));
        if orphaning && !node.orphaning {
            work.push(Work::AttemptOrphan(metadata.uid.clone()));
        } else if foreground && !node.deleting_dependents {
            work.extend(node.dependents.iter().cloned().map(Work::AttemptDelete));
            work.push(Work::AttemptDelete(metadata.uid.clone()));
        }
        node.orphaning = orphaning;
        node.deleting_dependents = foreground;
    }

    /// Whether a dependent names its owner by this identity.
    fn refers(&self, dependent: &str, owner: &Identity) -> bool {
        self.nodes.get(dependent).is_some_and(|node| {
            let mut references = node.owners.iter().filter(|reference| reference.uid == owner.uid);
            references.any(|reference| owner.matches(&Identity::claimed(reference, &node.identity.namespace)))
        })
    }

    /// Dependents of a virtual node that turned out to be something else than they say.
    fn enqueue_disagreeing(&self, uid: &str, seen: &Identity, work: &mut Vec<Work>) {
        let Some(node) = self.nodes.get(uid) else { return };
        let disagreeing = node
            .dependents
            .iter()
            .filter(|dependent| !self.refers(dependent, seen));
        work.extend(disagreeing.cloned().map(Work::AttemptDelete));
    }

    /// A virtual node isn't what it was thought to be: perhaps it is what another dependent says.
    fn try_another_identity(&mut self, absent: &Identity, dependents: &[String], work: &mut Vec<Work>) {
        let claims: BTreeSet<Identity> = dependents
            .iter()
            .filter_map(|dependent| self.nodes.get(dependent))
            .flat_map(|node| {
                let namespace = &node.identity.namespace;
                let references = node.owners.iter().filter(|reference| reference.uid == absent.uid);
                references.map(|reference| Identity::claimed(reference, namespace))
            })
            .collect();
        // The next in order, around: each is tried in turn.
        let next = claims.range(absent.clone()..).find(|claim| *claim != absent);
        let Some(next) = next.or_else(|| claims.first()).cloned() else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(&absent.uid) {
            node.identity = next;
            work.push(Work::AttemptDelete(absent.uid.clone()));
        }
    }
}

fn blocks(reference: &OwnerReference, uid: &str) -> bool {
    reference.uid == uid && reference.block_owner_deletion == Some(true)
}

#[cfg(test)]
mod tests;
