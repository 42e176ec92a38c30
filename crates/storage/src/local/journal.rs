//! The seam between the writer and the disk.

use imbl::OrdMap;

use super::Index;
use super::expiry::Expiries;
use super::plan::Planned;
use crate::versioned::View;
use crate::{Error, HistoryLimit, KeyValue, Revision};

/// What stood in a journal when it was opened: the state with its recent history, and the times to live.
pub(crate) struct Recovered {
    pub index: Index,
    pub expiries: Expiries,
}

impl Recovered {
    /// A store that was never written to.
    pub fn empty(limit: HistoryLimit) -> Self {
        Self {
            index: Index::new(Revision(1), OrdMap::new(), limit),
            expiries: Expiries::default(),
        }
    }
}

/// Everything that a store holds as of one revision.
pub(crate) struct State {
    pub view: View<KeyValue>,
    pub expiries: Expiries,
}

/// Why a batch was not made durable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The batch left no trace; later ones may succeed (the disk was full).
    #[error("{0}")]
    Refused(String),
    /// What is on disk is unknown (a sync failed): nothing may be acknowledged until the store was opened anew.
    #[error("{0}")]
    Broken(String),
}

/// Makes changes durable.
pub(crate) trait Journal: Send {
    /// Returns once the batch is on disk, all of it or nothing.
    fn append(&mut self, batch: &[Planned]) -> Result<(), JournalError>;

    /// Called after each batch was applied: a chance to replace a long log by a snapshot of the state.
    fn maintain(&mut self, state: &dyn Fn() -> State);
}

/// Measures what a store holds on disk, in bytes.
pub(crate) type DiskUsage = Box<dyn Fn() -> Result<u64, Error> + Send + Sync>;
