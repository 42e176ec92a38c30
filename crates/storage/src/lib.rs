//! Versioned key-value contract, its implementations, and the watch cache over it.

mod contract;

pub use contract::{Event, Expect, KeyValue, RangeRequest, RangeResponse, Revision, Store, WatchItem, Write};

/// Why a storage operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A write's expectation did not hold.
    #[error("conflict on {}", String::from_utf8_lossy(key))]
    Conflict { key: bytes::Bytes, current: Option<KeyValue> },
    /// The revision asked for was compacted away.
    #[error("required revision {} has been compacted (oldest is {})", requested.0, oldest.0)]
    Compacted { requested: Revision, oldest: Revision },
    /// The revision asked for is not there yet.
    #[error("required revision {} is a future revision (newest is {})", requested.0, newest.0)]
    Future { requested: Revision, newest: Revision },
    /// A watcher did not keep up with its bounded buffer.
    #[error("watcher is too slow")]
    Slow,
    /// The store can't serve now: closed, disk full, failed sync, no connection.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// Stored data does not check out.
    #[error("store corrupt: {0}")]
    Corrupt(String),
}
