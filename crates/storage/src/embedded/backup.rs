//! What is in a directory or a backup, read beside a server that may be writing, and a directory made of it.

use std::io;
use std::path::Path;

use super::directory::{Directory, Listing, unavailable};
use super::recovery::{self, TornEnd};
use super::snapshot;
use crate::contents::{Contents, TransferError, verify};
use crate::local::journal::State;
use crate::{Error, HistoryLimit};

/// A server replaces old files by a snapshot from time to time: a reader that finds some gone begins again.
const MAX_ATTEMPTS: usize = 8;
const NO_HISTORY: HistoryLimit = HistoryLimit { changes: 0, bytes: 0 };

/// Reads and checks everything in the directory of a store, and changes nothing; a server may have it open.
///
/// What was acknowledged before the call is there. An unfinished write at the end of the log is no damage.
pub fn read(directory: &Path) -> Result<Contents, Error> {
    let directory = Directory::look(directory)?;
    let list = || {
        directory
            .list()
            .map_err(|error| Error::Unavailable(format!("can't list the store: {error}")))
    };
    let mut before: Listing = list()?;
    for _ in 1..MAX_ATTEMPTS {
        let outcome = read_once(&directory);
        let after = list()?;
        if outcome.is_ok() || before == after {
            return outcome;
        }
        before = after;
    }
    read_once(&directory)
}

fn read_once(directory: &Directory) -> Result<Contents, Error> {
    let recovered = recovery::recover(directory, TornEnd::Leave, NO_HISTORY)?.recovered;
    Ok(Contents(State {
        view: recovered.index.view(),
        expiries: recovered.expiries,
    }))
}

/// Reads and checks a backup.
pub fn load(file: &Path) -> Result<Contents, Error> {
    snapshot::read(file).map(Contents)
}

/// Writes a backup. The file bears its name once it is complete and on disk.
pub fn save(file: &Path, contents: &Contents) -> Result<(), Error> {
    snapshot::write(file, &contents.0)
        .map(drop)
        .map_err(|error| unavailable("write", file, &error))
}

/// Makes a store of the contents, in a directory that holds none, and reads it again.
pub fn fill(directory: &Path, contents: &Contents) -> Result<(), TransferError> {
    let target = Directory::open(directory)?;
    let listing = target
        .list()
        .map_err(|error: io::Error| unavailable("list", directory, &error))?;
    if !listing.segments.is_empty() || !listing.snapshots.is_empty() {
        return Err(TransferError::NotEmpty(read_once(&target)?.report().keys));
    }
    let path = target.snapshot(contents.0.view.revision);
    save(&path, contents)?;
    verify(&contents.report(), &read_once(&target)?.report())
}
