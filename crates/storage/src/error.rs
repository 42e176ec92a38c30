//! Why a storage operation failed.

use std::sync::Arc;

use crate::{Key, KeyValue, Revision};

/// Why a storage operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A write's expectation did not hold; `current` is what stands there.
    #[error("conflict on {key}")]
    Conflict {
        key: Key,
        current: Option<Arc<KeyValue>>,
    },
    /// The revision asked for was compacted away.
    #[error("required revision {requested} has been compacted (oldest is {oldest})")]
    Compacted { requested: Revision, oldest: Revision },
    /// The revision asked for is not there yet.
    #[error("required revision {requested} is a future revision (newest is {newest})")]
    Future { requested: Revision, newest: Revision },
    /// A watcher did not keep up with its bounded buffer.
    #[error("watcher is too slow")]
    Slow,
    /// A key or value is larger than the store takes.
    #[error("request of {size} bytes is larger than the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    /// The store can't serve now: closed, disk full, failed sync, no connection.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// What was watched is served no more.
    #[error("the resource is not served any more")]
    Retired,
    /// Stored data does not check out.
    #[error("store corrupt: {0}")]
    Corrupt(String),
}
