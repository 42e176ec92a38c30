//! A cached object: the stored bytes, shared with the store, and what selectors read of them.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::pairs::Pairs;
use crate::{Key, KeyValue, Revision};

/// What selectors and indexes need to know of a stored object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    pub labels: Pairs,
    /// Selectable fields, such as `spec.nodeName`; those named in the cache's options are indexed.
    pub fields: Pairs,
}

/// Reads labels and selectable fields out of stored bytes, without decoding the rest.
pub trait Extract: Send + Sync + 'static {
    fn extract(&self, key: &[u8], value: &[u8]) -> Result<Extracted, String>;
}

/// A cached object.
pub struct Entry {
    stored: Arc<KeyValue>,
    extracted: Extracted,
    /// Boxed: most entries have none.
    alternate: Mutex<Option<Box<Alternate>>>,
}

/// Another encoding of the object than the stored one, such as JSON; `tag` tells which.
struct Alternate {
    tag: u16,
    bytes: Bytes,
}

impl Entry {
    pub fn new(stored: Arc<KeyValue>, extracted: Extracted) -> Self {
        Self {
            stored,
            extracted,
            alternate: Mutex::new(None),
        }
    }

    pub fn key(&self) -> &Key {
        &self.stored.key
    }

    /// The bytes as stored: shared, or unpacked for this call.
    pub fn value(&self) -> Bytes {
        self.stored.value.bytes()
    }

    /// Length of the bytes as stored.
    pub fn value_len(&self) -> usize {
        self.stored.value.len()
    }

    pub fn stored(&self) -> &Arc<KeyValue> {
        &self.stored
    }

    pub fn mod_revision(&self) -> Revision {
        self.stored.mod_revision
    }

    pub fn create_revision(&self) -> Revision {
        self.stored.create_revision
    }

    pub fn labels(&self) -> &Pairs {
        &self.extracted.labels
    }

    pub fn fields(&self) -> &Pairs {
        &self.extracted.fields
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.key(), self.mod_revision())
    }
}

/// Keeps other encodings of entries, oldest out first, within a bound of bytes for all caches that share it, and for
/// a while: see [`EncodingBudget::age`].
pub struct EncodingBudget {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    order: VecDeque<Made>,
    age: u64,
}

/// An encoding that is kept.
struct Made {
    entry: Weak<Entry>,
    tag: u16,
    size: usize,
    age: u64,
}

impl Kept {
    /// Takes the oldest encoding off the account.
    fn pop(&mut self) -> Option<Made> {
        let oldest = self.order.pop_front()?;
        self.bytes -= oldest.size;
        Some(oldest)
    }
}

impl Made {
    fn drop_encoding(self) {
        let Some(entry) = self.entry.upgrade() else {
            return;
        };
        let mut slot = entry.alternate.lock();
        if slot.as_ref().is_some_and(|alternate| alternate.tag == self.tag) {
            *slot = None;
        }
    }
}

impl EncodingBudget {
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit: limit_bytes,
            kept: Mutex::default(),
        }
    }

    /// The entry in the encoding `tag`, made at most once while it is kept.
    pub fn encoding<E>(
        &self,
        entry: &Arc<Entry>,
        tag: u16,
        make: impl FnOnce(&Entry) -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let mut slot = entry.alternate.lock();
        if let Some(alternate) = slot.as_ref().filter(|alternate| alternate.tag == tag) {
            return Ok(alternate.bytes.clone());
        }
        let bytes = make(entry)?;
        // One huge object must not push everything else out.
        if bytes.len() <= self.limit / 16 {
            *slot = Some(Box::new(Alternate {
                tag,
                bytes: bytes.clone(),
            }));
            drop(slot);
            self.account(entry, tag, bytes.len());
        }
        Ok(bytes)
    }

    /// Bytes of encodings kept now (of entries that are gone as well, until their turn comes).
    pub fn kept_bytes(&self) -> usize {
        self.kept.lock().bytes
    }

    /// Begins a new age and drops the encodings of all but this and the one before. To be called from time to time:
    /// memory goes back some time after the requests that it served.
    pub fn age(&self) {
        let mut kept = self.kept.lock();
        kept.age += 1;
        let now = kept.age;
        let mut dropped = Vec::new();
        while kept.order.front().is_some_and(|oldest| oldest.age + 2 <= now) {
            dropped.extend(kept.pop());
        }
        if kept.order.is_empty() {
            kept.order = VecDeque::new();
        }
        drop(kept);
        dropped.into_iter().for_each(Made::drop_encoding);
    }

    fn account(&self, entry: &Arc<Entry>, tag: u16, size: usize) {
        let mut evicted = Vec::new();
        let mut kept = self.kept.lock();
        kept.bytes += size;
        let age = kept.age;
        kept.order.push_back(Made {
            entry: Arc::downgrade(entry),
            tag,
            size,
            age,
        });
        while kept.bytes > self.limit {
            evicted.extend(kept.pop());
        }
        // Entries are locked after the budget's lock is gone: the two are never held together.
        drop(kept);
        evicted.into_iter().for_each(Made::drop_encoding);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn entry(name: &str) -> Arc<Entry> {
        let stored = KeyValue {
            key: Key::from(name),
            value: Bytes::new().into(),
            create_revision: Revision(2),
            mod_revision: Revision(2),
        };
        Arc::new(Entry::new(Arc::new(stored), Extracted::default()))
    }

    #[test]
    fn encodings_are_made_once_and_evicted_in_order() {
        let budget = EncodingBudget::new(1600);
        let entries: Vec<_> = (0..20).map(|n| entry(&n.to_string())).collect();
        let made = std::cell::Cell::new(0);
        let encode = |entry: &Arc<Entry>, tag| {
            let make = |_: &Entry| {
                made.set(made.get() + 1);
                Ok::<_, Infallible>(Bytes::from(vec![0; 100]))
            };
            budget.encoding(entry, tag, make).unwrap()
        };
        for entry in &entries {
            encode(entry, 1);
            encode(entry, 1);
        }
        assert_eq!(made.get(), 20);
        assert_eq!(budget.kept_bytes(), 1600);
        encode(&entries[19], 1);
        assert_eq!(made.get(), 20, "the newest is kept");
        encode(&entries[0], 1);
        assert_eq!(made.get(), 21, "the oldest was evicted");
        encode(&entries[19], 2);
        assert_eq!(made.get(), 22, "another encoding is another entry");
    }

    #[test]
    fn encodings_go_with_time() {
        let budget = EncodingBudget::new(1600);
        let entries = [entry("a"), entry("b")];
        let keep = |entry: &Arc<Entry>| {
            let make = |_: &Entry| Ok::<_, Infallible>(Bytes::from(vec![0; 100]));
            budget.encoding(entry, 1, make).unwrap();
        };
        keep(&entries[0]);
        budget.age();
        keep(&entries[1]);
        assert_eq!(budget.kept_bytes(), 200);
        budget.age();
        assert_eq!(budget.kept_bytes(), 100);
        assert!(entries[0].alternate.lock().is_none() && entries[1].alternate.lock().is_some());
        budget.age();
        assert_eq!(budget.kept_bytes(), 0);
    }

    #[test]
    fn too_large_an_encoding_is_not_kept() {
        let budget = EncodingBudget::new(160);
        let entry = entry("a");
        budget
            .encoding(&entry, 1, |_| Ok::<_, Infallible>(Bytes::from(vec![0; 11])))
            .unwrap();
        assert_eq!(budget.kept_bytes(), 0);
    }
}
