//! Backup of a running store, restore into an empty directory, and the check of a directory's integrity.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::directory::{Directory, unavailable};
use super::recovery::{self, TornEnd};
use super::snapshot;
use crate::digest::Digest;
use crate::local::LocalStore;
use crate::{Error, KeyValue, Revision};

/// What a store or a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub revision: Revision,
    pub keys: u64,
    /// Of all keys and values, in order: equal for equal contents, in whatever kind of store.
    pub digest: Digest,
}

impl Report {
    fn of<'a>(revision: Revision, items: impl Iterator<Item = &'a Arc<KeyValue>>) -> Self {
        let mut keys = 0;
        let digest = Digest::of(
            items
                .inspect(|_| keys += 1)
                .map(|item| (&item.key[..], &item.value[..])),
        );
        Self {
            revision,
            keys,
            digest,
        }
    }
}

/// Writes everything that the store holds now into one file, while the store goes on.
pub fn backup(store: &LocalStore, file: &Path) -> Result<Report, Error> {
    let state = store.state();
    snapshot::write(file, &state).map_err(|error| unavailable("write", file, &error))?;
    Ok(Report::of(state.view.revision, state.view.map.values()))
}

/// Makes a store out of a backup, in a directory that holds none.
///
/// Clients may have seen revisions that were lost since the backup was made: `skipped_revisions` more than could
/// have been make sure that no revision is given a second time, with another meaning.
pub fn restore(file: &Path, directory: &Path, skipped_revisions: u64) -> Result<Report, Error> {
    let mut state = snapshot::read(file)?;
    state.view.revision.0 += skipped_revisions;
    let target = Directory::open(directory)?;
    let listing = target
        .list()
        .map_err(|error| unavailable("list", directory, &error))?;
    if !listing.segments.is_empty() || !listing.snapshots.is_empty() {
        return Err(Error::Unavailable(format!(
            "{} holds a store already",
            directory.display()
        )));
    }
    let path = target.snapshot(state.view.revision);
    snapshot::write(&path, &state).map_err(|error| unavailable("write", &path, &error))?;
    Ok(Report::of(state.view.revision, state.view.map.values()))
}

/// Reads everything in the directory of a store that is not open, and changes nothing.
/// An unfinished write at the end of the log is no damage.
pub fn check(directory: &Path) -> Result<Report, Error> {
    // Opening would make what is not there.
    fs::metadata(directory).map_err(|error: io::Error| unavailable("read", directory, &error))?;
    let directory = Directory::open(directory)?;
    let recovered = recovery::recover(&directory, TornEnd::Leave)?.recovered;
    let mut map = recovered.map;
    let mut revision = recovered.revision;
    for event in recovered.events {
        revision = event.revision;
        match &event.current {
            Some(item) => map.insert(item.key.clone(), item.clone()),
            None => map.remove(event.key()),
        };
    }
    Ok(Report::of(revision, map.values()))
}
