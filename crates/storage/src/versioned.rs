//! A persistent ordered map with a bounded history: any retained revision can be read, any retained change
//! replayed. Pure: no clock, locks or IO.
//!
//! The newest state is a map whose clones are O(1). A past revision is rebuilt by undoing the changes after it
//! from the nearest later checkpoint, so a version costs its change record only, and nothing per key.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use crate::{Error, Key, Revision};

/// Changes between two checkpoints: bounds the work of reading a past revision.
const CHECKPOINT_INTERVAL: usize = 4096;

/// One change of one key, of which the history keeps what was before and what came.
pub(crate) trait Change {
    type Value;
    fn revision(&self) -> Revision;
    fn key(&self) -> &Key;
    fn current(&self) -> Option<&Arc<Self::Value>>;
    fn previous(&self) -> Option<&Arc<Self::Value>>;
    /// Bytes that are retained for the sake of this change: about those of `previous`.
    fn weight(&self) -> usize;
}

/// How much history is retained when nobody compacts: whichever bound is met first.
#[derive(Clone, Copy, Debug)]
pub struct HistoryLimit {
    pub changes: usize,
    /// Of values that were overwritten or deleted.
    pub bytes: usize,
}

/// See the module.
pub(crate) struct Versioned<C: Change> {
    newest: View<C::Value>,
    /// Reads at and changes after this revision are retained.
    oldest: Revision,
    history: VecDeque<Arc<C>>,
    history_bytes: usize,
    limit: HistoryLimit,
    checkpoints: BTreeMap<Revision, OrdMap<Key, Arc<C::Value>>>,
    since_checkpoint: usize,
}

/// The whole map as of one revision; cheap to clone, independent of later changes.
pub(crate) struct View<T> {
    pub revision: Revision,
    pub map: OrdMap<Key, Arc<T>>,
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            revision: self.revision,
            map: self.map.clone(),
        }
    }
}

impl<T> View<T> {
    /// Entries under the prefix, strictly after `after`, in key order.
    pub fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.map
            .range::<_, [u8]>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, value)| value)
    }
}

impl<C: Change> Versioned<C> {
    /// Starts from a known state, without history before it.
    pub fn new(revision: Revision, map: OrdMap<Key, Arc<C::Value>>, limit: HistoryLimit) -> Self {
        Self {
            newest: View { revision, map },
            oldest: revision,
            history: VecDeque::new(),
            history_bytes: 0,
            limit,
            checkpoints: BTreeMap::new(),
            since_checkpoint: 0,
        }
    }

    pub fn revision(&self) -> Revision {
        self.newest.revision
    }

    pub fn oldest(&self) -> Revision {
        self.oldest
    }

    pub fn get(&self, key: &[u8]) -> Option<&Arc<C::Value>> {
        self.newest.map.get(key)
    }

    pub fn view(&self) -> View<C::Value> {
        self.newest.clone()
    }

    /// Applies the next change. Revisions never decrease.
    pub fn apply(&mut self, change: Arc<C>) {
        debug_assert!(change.revision() >= self.newest.revision);
        if self.since_checkpoint >= CHECKPOINT_INTERVAL && change.revision() > self.newest.revision {
            self.checkpoints
                .insert(self.newest.revision, self.newest.map.clone());
            self.since_checkpoint = 0;
        }
        self.since_checkpoint += 1;
        match change.current() {
            Some(value) => self.newest.map.insert(change.key().clone(), value.clone()),
            None => self.newest.map.remove(change.key()),
        };
        self.newest.revision = change.revision();
        self.history_bytes += change.weight();
        self.history.push_back(change);
        self.trim();
    }

    /// The whole map as of a retained revision.
    pub fn view_at(&self, revision: Revision) -> Result<View<C::Value>, Error> {
        self.check_retained(revision)?;
        if revision > self.newest.revision {
            return Err(Error::Future {
                requested: revision,
                newest: self.newest.revision,
            });
        }
        let (from, mut map) = match self.checkpoints.range(revision..).next() {
            Some((from, map)) => (*from, map.clone()),
            None => (self.newest.revision, self.newest.map.clone()),
        };
        let undone = self.position_after(revision)..self.position_after(from);
        for change in self.history.range(undone).rev() {
            match change.previous() {
                Some(value) => map.insert(change.key().clone(), value.clone()),
                None => map.remove(change.key()),
            };
        }
        Ok(View { revision, map })
    }

    /// One key as of a retained revision, without rebuilding the map.
    pub fn get_at(&self, key: &[u8], revision: Revision) -> Result<Option<&Arc<C::Value>>, Error> {
        self.check_retained(revision)?;
        if revision > self.newest.revision {
            return Err(Error::Future {
                requested: revision,
                newest: self.newest.revision,
            });
        }
        let later = self.history.range(self.position_after(revision)..);
        Ok(match later.into_iter().find(|change| &**change.key() == key) {
            Some(change) => change.previous(),
            None => self.get(key),
        })
    }

    /// Retained changes after `revision`, in order; [`Error::Compacted`] when some are gone.
    pub fn changes_after(&self, revision: Revision) -> Result<impl Iterator<Item = &Arc<C>>, Error> {
        self.check_retained(revision)?;
        Ok(self.history.range(self.position_after(revision)..))
    }

    /// Drops history before `revision`.
    pub fn compact(&mut self, revision: Revision) -> Result<(), Error> {
        if revision > self.newest.revision {
            return Err(Error::Future {
                requested: revision,
                newest: self.newest.revision,
            });
        }
        if revision <= self.oldest {
            return Ok(());
        }
        let gone = self.position_after(revision);
        self.history_bytes -= self
            .history
            .drain(..gone)
            .map(|change| change.weight())
            .sum::<usize>();
        self.history.shrink_to(self.history.len().max(1024) * 2);
        self.checkpoints = self.checkpoints.split_off(&revision);
        self.oldest = revision;
        Ok(())
    }

    fn trim(&mut self) {
        while self.history.len() > self.limit.changes || self.history_bytes > self.limit.bytes {
            self.drop_oldest();
        }
        while self
            .checkpoints
            .first_key_value()
            .is_some_and(|(revision, _)| *revision < self.oldest)
        {
            self.checkpoints.pop_first();
        }
    }

    /// Drops the oldest revision as a whole: the one after it is a readable state.
    fn drop_oldest(&mut self) {
        while let Some(dropped) = self.history.pop_front() {
            self.history_bytes -= dropped.weight();
            self.oldest = dropped.revision();
            if self
                .history
                .front()
                .is_none_or(|next| next.revision() > self.oldest)
            {
                break;
            }
        }
    }

    fn check_retained(&self, revision: Revision) -> Result<(), Error> {
        if revision < self.oldest {
            return Err(Error::Compacted {
                requested: revision,
                oldest: self.oldest,
            });
        }
        Ok(())
    }

    /// Index of the first change after `revision`.
    fn position_after(&self, revision: Revision) -> usize {
        self.history
            .partition_point(|change| change.revision() <= revision)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A change of a key to a number, or its deletion.
    #[derive(Debug)]
    struct Set {
        revision: Revision,
        key: Key,
        current: Option<Arc<u32>>,
        previous: Option<Arc<u32>>,
    }

    impl Change for Set {
        type Value = u32;
        fn revision(&self) -> Revision {
            self.revision
        }
        fn key(&self) -> &Key {
            &self.key
        }
        fn current(&self) -> Option<&Arc<u32>> {
            self.current.as_ref()
        }
        fn previous(&self) -> Option<&Arc<u32>> {
            self.previous.as_ref()
        }
        fn weight(&self) -> usize {
            self.previous.iter().count() * 10
        }
    }

    fn contents(view: &View<u32>) -> BTreeMap<String, u32> {
        view.map
            .iter()
            .map(|(key, value)| (key.to_string(), **value))
            .collect()
    }

    /// Applies the steps, and compares every revision with a plain copy of the map made at the time.
    fn check(steps: &[(u8, Option<u32>)], history: usize, compact_at: usize) {
        let mut versioned = Versioned::<Set>::new(
            Revision(1),
            OrdMap::new(),
            HistoryLimit {
                changes: history,
                bytes: history * 7,
            },
        );
        let mut copies = vec![(Revision(1), contents(&versioned.view()))];
        for (step, (key, value)) in steps.iter().enumerate() {
            let key = Key::from(format!("/{key}"));
            let previous = versioned.get(&key).cloned();
            let revision = versioned.revision().next();
            let current = value.map(Arc::new);
            versioned.apply(Arc::new(Set {
                revision,
                key,
                current,
                previous,
            }));
            copies.push((revision, contents(&versioned.view())));
            if step == compact_at {
                versioned.compact(Revision(revision.0 / 2 + 1)).unwrap();
            }
        }
        for (revision, copy) in &copies {
            match versioned.view_at(*revision) {
                Ok(view) => assert_eq!(&contents(&view), copy, "at {revision}"),
                Err(Error::Compacted { oldest, .. }) => assert!(*revision < oldest),
                Err(error) => panic!("{error}"),
            }
            for key in 0..8u8 {
                let key = format!("/{key}");
                if let Ok(found) = versioned.get_at(key.as_bytes(), *revision) {
                    assert_eq!(found.map(|value| **value), copy.get(&key).copied());
                }
            }
        }
        let retained = versioned.changes_after(versioned.oldest()).unwrap().count() as u64;
        assert_eq!(retained, versioned.revision().0 - versioned.oldest().0);
        assert!(retained <= history as u64 && versioned.history_bytes <= history * 7);
    }

    proptest! {
        #[test]
        fn every_retained_revision_can_be_read(
            steps in prop::collection::vec((0u8..8, prop::option::of(any::<u32>())), 0..80),
            history in 1usize..100,
            compact_at in 0usize..100,
        ) {
            check(&steps, history, compact_at);
        }
    }

    #[test]
    fn checkpoints_shorten_the_way_back() {
        let steps: Vec<_> = (0..2 * CHECKPOINT_INTERVAL as u32 + 10)
            .map(|n| ((n % 5) as u8, (n % 7 > 0).then_some(n)))
            .collect();
        let mut versioned = Versioned::<Set>::new(
            Revision(1),
            OrdMap::new(),
            HistoryLimit {
                changes: usize::MAX,
                bytes: usize::MAX,
            },
        );
        for (key, value) in &steps {
            let key = Key::from(format!("/{key}"));
            let (previous, revision) = (versioned.get(&key).cloned(), versioned.revision().next());
            versioned.apply(Arc::new(Set {
                revision,
                key,
                current: value.map(Arc::new),
                previous,
            }));
        }
        assert_eq!(versioned.checkpoints.len(), 2);
        let view = versioned.view_at(Revision(100)).unwrap();
        let replayed = steps[..99].iter().fold(BTreeMap::new(), |mut map, (key, value)| {
            match value {
                Some(value) => map.insert(format!("/{key}"), *value),
                None => map.remove(&format!("/{key}")),
            };
            map
        });
        assert_eq!(contents(&view), replayed);
        versioned.compact(versioned.revision()).unwrap();
        assert!(versioned.checkpoints.is_empty());
    }
}
