//! The mirrored state of a cache, and its feeding by the store.

use std::sync::Arc;

use imbl::OrdMap;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tracing::{error, warn};

use super::entry::{Entry, Extract, Extracted};
use super::index::{FieldIndex, IndexedFields};
use super::packing::Young;
use super::snapshot::Snapshot;
use super::watchers::Watchers;
use crate::metrics::ResourceMetrics;
use crate::versioned::{Change, HistoryLimit, Versioned};
use crate::{Error, Event, Follower, Key, KeyValue, Revision};

/// A change of one entry.
pub(super) struct EntryChange {
    revision: Revision,
    key: Key,
    current: Option<Arc<Entry>>,
    previous: Option<Arc<Entry>>,
}

impl Change for EntryChange {
    type Value = Entry;
    fn revision(&self) -> Revision {
        self.revision
    }
    fn key(&self) -> &Key {
        &self.key
    }
    fn current(&self) -> Option<&Arc<Entry>> {
        self.current.as_ref()
    }
    fn previous(&self) -> Option<&Arc<Entry>> {
        self.previous.as_ref()
    }
    fn weight(&self) -> usize {
        self.previous.as_ref().map_or(0, |previous| previous.value_len())
    }
}

/// What the store feeds, the dispatcher drains and readers look at.
pub(super) struct Mirror {
    extract: Arc<dyn Extract>,
    fields: IndexedFields,
    limit: HistoryLimit,
    metrics: Option<ResourceMetrics>,
    state: RwLock<Option<State>>,
    pub watchers: Arc<Watchers>,
    /// Rung on every change for the dispatcher.
    pub changed: Notify,
    pub young: Young,
}

/// The content, once the store has given it.
pub(super) struct State {
    pub entries: Versioned<EntryChange>,
    index: FieldIndex,
    /// Changes up to this revision were given to the watchers.
    dispatched: Revision,
}

impl Mirror {
    pub fn new(
        prefix: Key,
        extract: Arc<dyn Extract>,
        fields: IndexedFields,
        limit: HistoryLimit,
        metrics: Option<ResourceMetrics>,
    ) -> Self {
        let watchers = Arc::new(Watchers::new(prefix, fields.clone()));
        Self {
            extract,
            fields,
            limit,
            metrics,
            state: RwLock::new(None),
            watchers,
            changed: Notify::new(),
            young: Young::default(),
        }
    }

    /// Looks at the state; `None` until the store has given it. Changes wait meanwhile: be quick.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Option<T> {
        self.state.read().as_ref().map(look)
    }

    /// Gives what the store has fed since the last time to the watchers, in order. Called by one task only.
    pub fn dispatch(&self) {
        loop {
            let pending = {
                let mut state = self.state.write();
                let Some(state) = state.as_mut() else { return };
                state.take_pending()
            };
            match pending {
                Ok(changes) if changes.is_empty() => return,
                Ok(changes) => self.give(&changes),
                // More changes than the history holds came in between: nobody can be served without a gap.
                Err(_) => self.watchers.end_all(&Error::Slow),
            }
        }
    }

    fn give(&self, changes: &[Arc<EntryChange>]) {
        let terminated: usize = changes.iter().map(|change| self.watchers.dispatch(change)).sum();
        let (Some(metrics), Some(last)) = (&self.metrics, changes.last()) else {
            return;
        };
        metrics.dispatched(changes.len(), last.revision);
        if terminated > 0 {
            metrics.terminated(terminated);
        }
    }

    /// Drops history before a revision that the watchers have left behind.
    pub fn forget_before(&self, revision: Revision) {
        let mut state = self.state.write();
        let Some(state) = state.as_mut() else { return };
        let revision = revision.min(state.dispatched).min(state.entries.revision());
        state
            .entries
            .compact(revision)
            .expect("invariant: not beyond the newest revision");
    }

    pub fn entry(&self, stored: &Arc<KeyValue>) -> Arc<Entry> {
        let extracted = self.extract.extract(&stored.key, &stored.value.bytes()).unwrap_or_else(|reason| {
            error!(key = %stored.key, revision = %stored.mod_revision, %reason, "stored object can't be read");
            Extracted::default()
        });
        Arc::new(Entry::new(stored.clone(), extracted))
    }
}

impl State {
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            view: self.entries.view(),
            index: Some(self.index.clone()),
        }
    }

    fn apply(&mut self, event: &Event, current: Option<Arc<Entry>>) {
        let previous = self.entries.get(event.key()).cloned();
        self.index.update(previous.as_ref(), current.as_ref());
        let key = event.key().clone();
        self.entries.apply(Arc::new(EntryChange {
            revision: event.revision,
            key,
            current,
            previous,
        }));
    }

    fn take_pending(&mut self) -> Result<Vec<Arc<EntryChange>>, Error> {
        let pending = self
            .entries
            .changes_after(self.dispatched)
            .map(|changes| changes.cloned().collect());
        self.dispatched = self.entries.revision();
        pending
    }
}

impl Follower for Mirror {
    fn reset(&self, revision: Revision, items: Vec<Arc<KeyValue>>) {
        if let Some(metrics) = &self.metrics {
            metrics.initialized(items.len(), self.limit.changes);
        }
        let entries: Vec<_> = items.iter().map(|item| self.entry(item)).collect();
        let mut index = FieldIndex::new(self.fields.clone());
        for entry in &entries {
            index.update(None, Some(entry));
        }
        let map: OrdMap<_, _> = entries
            .into_iter()
            .map(|entry| (entry.key().clone(), entry))
            .collect();
        let entries = Versioned::new(revision, map, self.limit);
        let replaced = self.state.write().replace(State {
            entries,
            index,
            dispatched: revision,
        });
        if replaced.is_some() {
            // What happened in between is unknown: watchers start again from a list.
            self.watchers.end_all(&Error::Compacted {
                requested: revision,
                oldest: revision,
            });
        }
        self.changed.notify_one();
        self.young.add(items.iter());
    }

    fn apply(&self, events: &[Arc<Event>]) {
        if let Some(metrics) = &self.metrics {
            metrics.received(events.len());
        }
        let current: Vec<_> = events
            .iter()
            .map(|event| event.current.as_ref().map(|item| self.entry(item)))
            .collect();
        let mut state = self.state.write();
        let Some(state) = state.as_mut() else { return };
        for (event, current) in events.iter().zip(current) {
            state.apply(event, current);
        }
        self.changed.notify_one();
        self.young
            .add(events.iter().filter_map(|event| event.current.as_ref()));
    }

    fn interrupted(&self, error: &Error) {
        warn!(%error, "the store stopped feeding a cache");
    }
}
