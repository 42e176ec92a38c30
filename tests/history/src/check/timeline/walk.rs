//! Follows one name through what was seen of it, version after version.

use std::collections::{BTreeMap, BTreeSet};

use super::sights::Sight;
use super::{Ending, Lifetime, NEVER, Timeline, Violation};
use crate::record::{Answer, Call, Item, Key, OpId, Operation, Precondition, Revision, Value};

/// One name, and how far its history has been followed.
pub struct Walk<'a> {
    key: Key,
    writes: &'a BTreeMap<OpId, &'a Operation>,
    /// Acknowledged deletes, by the uid that they were answered.
    deletes: BTreeMap<&'a str, Vec<&'a Operation>>,
    lost_deletes: Vec<&'a Operation>,
    /// Writes without an answer and without an effect that was seen.
    unseen: BTreeSet<OpId>,
    lifetimes: Vec<Lifetime>,
    /// The version that stands there now.
    current: Option<Item>,
}

impl<'a> Walk<'a> {
    pub fn new(key: Key, writes: &'a BTreeMap<OpId, &'a Operation>) -> Self {
        Self {
            key,
            writes,
            deletes: BTreeMap::new(),
            lost_deletes: Vec::new(),
            unseen: BTreeSet::new(),
            lifetimes: Vec::new(),
            current: None,
        }
    }

    pub fn note(&mut self, operation: &'a Operation, is_seen: bool) {
        match (&operation.call, &operation.answer) {
            (Call::Delete(_), Answer::Deleted { uid }) => {
                self.deletes.entry(uid).or_default().push(operation);
            }
            (Call::Delete(_), Answer::Lost) => self.lost_deletes.push(operation),
            (_, Answer::Lost) if !is_seen => {
                self.unseen.insert(operation.id);
            }
            _ => {}
        }
    }

    pub fn step(&mut self, sight: Sight, violations: &mut Vec<Violation>) {
        let outcome = match sight {
            Sight::Version(item) => self.version(item),
            Sight::Deletion(last) => self.deletion(&last),
        };
        if let Err(violation) = outcome {
            violations.push(*violation);
        }
    }

    fn version(&mut self, item: Item) -> Result<(), Box<Violation>> {
        // A version that nobody wrote has been told already.
        let Some(write) = self.writes.get(&item.value.last).copied() else {
            return Ok(());
        };
        let (begins, unseen, fits) = match &write.call {
            Call::Create => (true, false, Ok(())),
            Call::Update { expected } => (false, false, self.follows(&item, *expected, write.id)),
            _ => match self.patches(&item) {
                Patches::Current => (false, false, Ok(())),
                Patches::UnseenUpdate => (false, true, Ok(())),
                Patches::UnseenCreate => (true, true, Ok(())),
                Patches::Nothing => (self.current.is_none(), true, Err(self.unknown(&item, write.id))),
            },
        };
        let ended = if begins {
            self.end_unseen(item.revision - 1)
        } else {
            Ok(())
        };
        // Walk on from what was seen, also when it does not fit: one violation, not one for each later version.
        self.push(item, begins, unseen);
        fits.and(ended)
    }

    /// An update must follow the version that it was made for.
    fn follows(&self, item: &Item, expected: Revision, id: OpId) -> Result<(), Box<Violation>> {
        match &self.current {
            Some(current) if current.revision != expected => Err(self.unknown(item, id)),
            Some(current) if current.uid != item.uid => Err(Box::new(Violation::UidChanged {
                key: self.key,
                revision: item.revision,
            })),
            Some(_) => Ok(()),
            None => Err(self.unknown(item, id)),
        }
    }

    fn unknown(&self, item: &Item, id: OpId) -> Box<Violation> {
        Box::new(match &self.current {
            Some(current) => Violation::LostUpdate {
                id,
                revision: item.revision,
                overwritten: current.clone(),
            },
            None => Violation::WroteToNothing {
                id,
                revision: item.revision,
                key: self.key,
            },
        })
    }

    /// A patch keeps what the version before it held, which may be one that nobody saw.
    fn patches(&self, item: &Item) -> Patches {
        let base = item.value.base;
        if let Some(current) = &self.current
            && current.uid == item.uid
            && current.value.base == base
        {
            return Patches::Current;
        }
        if !self.unseen.contains(&base) {
            return Patches::Nothing;
        }
        match (self.writes.get(&base).map(|write| &write.call), &self.current) {
            (Some(Call::Create), _) => Patches::UnseenCreate,
            (Some(Call::Update { expected }), Some(current))
                if current.revision == *expected && current.uid == item.uid =>
            {
                Patches::UnseenUpdate
            }
            _ => Patches::Nothing,
        }
    }

    fn push(&mut self, item: Item, begins: bool, unseen: bool) {
        self.current = Some(item.clone());
        match self.lifetimes.last_mut() {
            Some(lifetime) if !begins && lifetime.end == Ending::Alive => {
                if unseen {
                    lifetime.after_unseen.insert(item.revision);
                }
                lifetime.versions.push(item);
            }
            _ => self.lifetimes.push(Lifetime {
                uid: item.uid.clone(),
                after_unseen: BTreeSet::new(),
                begins_with_creation: begins && !unseen,
                last: None,
                end: Ending::Alive,
                versions: vec![item],
            }),
        }
    }

    /// Something new begins: what stood there was deleted, by the latest at `before`.
    fn end_unseen(&mut self, before: Revision) -> Result<(), Box<Violation>> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        let is_explained = self.may_be_deleted(&current);
        if let Some(lifetime) = self.lifetimes.last_mut() {
            lifetime.end = Ending::Between {
                after: current.revision,
                before,
            };
        }
        if is_explained {
            return Ok(());
        }
        Err(Box::new(Violation::Vanished {
            item: current,
            by: before,
        }))
    }

    fn may_be_deleted(&self, item: &Item) -> bool {
        self.deletes.contains_key(item.uid.as_str())
            || self.lost_deletes.iter().any(|delete| match &delete.call {
                Call::Delete(Precondition::Revision(revision)) => *revision == item.revision,
                Call::Delete(Precondition::Uid(uid)) => *uid == item.uid,
                _ => true,
            })
    }

    fn deletion(&mut self, last: &Item) -> Result<(), Box<Violation>> {
        let stood = self.current.take();
        let fits = match &stood {
            Some(current) if current.uid == last.uid && current.value == last.value => true,
            _ => self.is_unseen_version(stood.as_ref(), last),
        };
        let same_life = stood.as_ref().is_some_and(|current| current.uid == last.uid);
        if let Some(lifetime) = self.lifetimes.last_mut().filter(|_| stood.is_some()) {
            lifetime.end = if same_life {
                lifetime.last = Some(last.value);
                Ending::At(last.revision)
            } else {
                let after = lifetime.versions.last().map_or(0, |item| item.revision);
                Ending::Between {
                    after,
                    before: last.revision - 1,
                }
            };
        }
        if !fits {
            return Err(Box::new(Violation::DeletedAnother {
                revision: last.revision,
                shown: last.clone(),
                stood,
            }));
        }
        // A version that nobody else saw has no revision by which a delete could have named it.
        let named = stood.filter(|_| same_life).unwrap_or_else(|| last.clone());
        if !self.may_be_deleted(&named) {
            return Err(Box::new(Violation::Vanished {
                item: named,
                by: last.revision,
            }));
        }
        Ok(())
    }

    /// Whether the last state, as a deletion shows it, is of a write without an answer that nobody else saw.
    fn is_unseen_version(&self, stood: Option<&Item>, last: &Item) -> bool {
        if !self.unseen.contains(&last.value.last) {
            return false;
        }
        let same_life = stood.filter(|current| current.uid == last.uid);
        match (
            self.writes.get(&last.value.last).map(|write| &write.call),
            same_life,
        ) {
            (Some(Call::Create), None) => last.value == Value::whole(last.value.last),
            (Some(Call::Update { expected }), Some(current)) => current.revision == *expected,
            (Some(Call::Patch), Some(current)) => {
                current.value.base == last.value.base || self.unseen.contains(&last.value.base)
            }
            (Some(Call::Patch), None) => self.unseen.contains(&last.value.base),
            _ => false,
        }
    }

    pub fn finish(mut self, violations: &mut Vec<Violation>) -> Timeline {
        if let Some(current) = self.current.take()
            && self.may_be_deleted(&current)
            && let Some(lifetime) = self.lifetimes.last_mut()
        {
            lifetime.end = Ending::Between {
                after: current.revision,
                before: NEVER,
            };
        }
        for (uid, deletes) in &self.deletes {
            if deletes.len() > 1 {
                violations.push(Violation::DeletedTwice {
                    key: self.key,
                    uid: (*uid).to_owned(),
                    times: deletes.len(),
                });
            }
            self.check_precondition(uid, deletes, violations);
        }
        Timeline {
            lifetimes: self.lifetimes,
            has_unseen_writes: !self.unseen.is_empty(),
        }
    }

    /// An acknowledged delete with a revision removed that version and no later one.
    fn check_precondition(&self, uid: &str, deletes: &[&Operation], violations: &mut Vec<Violation>) {
        let last = self
            .lifetimes
            .iter()
            .find(|lifetime| lifetime.uid == uid)
            .and_then(|lifetime| lifetime.versions.last());
        for delete in deletes {
            let ignored = match &delete.call {
                Call::Delete(Precondition::Revision(revision)) => {
                    last.is_some_and(|last| last.revision != *revision)
                }
                Call::Delete(Precondition::Uid(wanted)) => wanted != uid,
                _ => false,
            };
            if ignored {
                violations.push(Violation::PreconditionIgnored {
                    id: delete.id,
                    key: self.key,
                });
            }
        }
    }
}

/// What a patch was applied to.
enum Patches {
    Current,
    UnseenUpdate,
    UnseenCreate,
    Nothing,
}
