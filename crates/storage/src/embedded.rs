//! The store on the local disk: the state in memory, a log of checksummed batches and snapshots of the state.
//!
//! Reading order: `frame` (pure: bytes of a batch and back), `directory` (names, lock, syncing of names),
//! `segment` (one log file), `snapshot` (one state file), `recovery`, `journal` (the log as the writer sees it),
//! `backup` (reading beside a server, backups, making a store of one).
//!
//! A batch of writes is one frame, appended and synced before anything of it is acknowledged or visible. A frame
//! that is incomplete at the very end of the log is a write that nobody was told of: recovery cuts it off. A bad
//! frame anywhere else is damage, and the store refuses to open.
//!
//! Values are needed in memory anyhow, where caches share them with the store. So the disk is only ever written,
//! but for the start: an append-only log costs one sequential write a batch, where a tree on disk (redb) rewrites
//! pages and keeps a second copy of hot pages in memory. docs/BENCHMARKS.md has the measurement.
//!
//! When the log has outgrown the last snapshot, a thread writes a new one from an O(1) copy of the state while
//! writes go on; then the older files go. The directory stays below a small multiple of the live data.
//!
//! Upstream: etcd's `wal`, `snap` and `mvcc`.

use std::path::Path;
use std::sync::Arc;

mod backup;
mod directory;
mod frame;
mod journal;
mod recovery;
mod segment;
mod snapshot;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::local;
pub use crate::local::LocalStore;
pub use backup::{fill, load, read, save};
use directory::Directory;
use journal::LogJournal;

/// Bounds and clock of an embedded store.
#[derive(Clone)]
pub struct Options {
    pub local: local::Options,
    /// A log file is closed and the next begun at this size.
    pub segment_bytes: u64,
    /// The log is replaced by a snapshot when it is larger than this and than the last snapshot.
    pub snapshot_after_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            local: local::Options::default(),
            segment_bytes: 64 << 20,
            snapshot_after_bytes: 64 << 20,
        }
    }
}

/// Opens the store in a directory, which is made if it isn't there; one process at a time.
/// [`Error::Corrupt`] when what stands there does not check out.
pub fn open(path: &Path, options: Options) -> Result<LocalStore, Error> {
    let directory = Arc::new(Directory::open(path)?);
    let recovery = recovery::recover(&directory, recovery::TornEnd::Cut, options.local.history)?;
    let journal = LogJournal::open(directory.clone(), &recovery, &options)?;
    let usage = move || directory.usage();
    LocalStore::start(
        recovery.recovered,
        Some(Box::new(journal)),
        Box::new(usage),
        options.local,
    )
}
