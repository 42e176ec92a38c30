//! The pure part of a commit: a batch of writes against the newest state and against each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Index;
use crate::{Error, Event, Expect, Key, KeyValue, Revision, Write};

/// A planned change of one key, and when the key is to be deleted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub event: Arc<Event>,
    pub expires: Option<SystemTime>,
}

/// A batch in the making: nothing of it is visible before it was applied.
pub(super) struct Plan<'a> {
    index: &'a Index,
    now: SystemTime,
    revision: Revision,
    changes: Vec<Planned>,
    /// What the batch so far leaves of a key that it changes.
    overlay: HashMap<Key, Option<Arc<KeyValue>>>,
}

impl<'a> Plan<'a> {
    pub fn new(index: &'a Index, now: SystemTime) -> Self {
        Self {
            index,
            now,
            revision: index.revision(),
            changes: Vec::new(),
            overlay: HashMap::new(),
        }
    }

    /// Adds a write if its expectation holds; [`Error::Conflict`] leaves the plan as it was.
    pub fn add(&mut self, key: &Key, expect: Expect, write: Write) -> Result<Revision, Error> {
        let current = self.current(key);
        let holds = match (expect, &current) {
            (Expect::Absent, None) => matches!(write, Write::Put { .. }),
            (Expect::Unchanged(revision), Some(current)) => current.mod_revision == revision,
            _ => false,
        };
        if !holds {
            return Err(Error::Conflict {
                key: key.clone(),
                current,
            });
        }
        Ok(match write {
            Write::Put { value, ttl } => self.put(key, current, &value, ttl),
            Write::Delete => self.change(key, current, None, None),
        })
    }

    /// Deletes a key whose time has passed, if it is still there.
    pub fn expire(&mut self, key: &Key) {
        if let Some(current) = self.current(key) {
            self.change(key, Some(current), None, None);
        }
    }

    pub fn finish(self) -> Vec<Planned> {
        self.changes
    }

    fn current(&self, key: &Key) -> Option<Arc<KeyValue>> {
        match self.overlay.get(key) {
            Some(changed) => changed.clone(),
            None => self.index.get(key).cloned(),
        }
    }

    fn put(
        &mut self,
        key: &Key,
        current: Option<Arc<KeyValue>>,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Revision {
        let mod_revision = self.revision.next();
        let (key, create_revision) = match &current {
            // The old key's allocation is reused: all versions and mirrors of a key share one.
            Some(current) => (current.key.clone(), current.create_revision),
            None => (key.clone(), mod_revision),
        };
        // The value is copied into an allocation of its exact size: encoders leave slack in theirs.
        let value = Bytes::copy_from_slice(value).into();
        let stored = Arc::new(KeyValue {
            key: key.clone(),
            value,
            create_revision,
            mod_revision,
        });
        let expires = ttl.map(|ttl| self.now + ttl);
        self.change(&key, current, Some(stored), expires)
    }

    fn change(
        &mut self,
        key: &Key,
        previous: Option<Arc<KeyValue>>,
        current: Option<Arc<KeyValue>>,
        expires: Option<SystemTime>,
    ) -> Revision {
        self.revision = self.revision.next();
        self.overlay.insert(key.clone(), current.clone());
        let event = Arc::new(Event {
            revision: self.revision,
            current,
            previous,
        });
        self.changes.push(Planned { event, expires });
        self.revision
    }
}
