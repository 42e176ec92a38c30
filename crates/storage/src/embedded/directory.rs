//! The directory of a store: its lock, the names in it, and the durability of names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::{Error, Revision};

/// Version of the layout: a store of another one is not touched.
const FORMAT: &str = "oxikube-store 1\n";
const LOCK: &str = "lock";
const FORMAT_FILE: &str = "format";
const LOG_PREFIX: &str = "log-";
const SNAPSHOT_PREFIX: &str = "snapshot-";
/// The extension of a file that does not bear its name yet.
pub(super) const UNFINISHED: &str = "tmp";

/// An open and locked directory.
pub(super) struct Directory {
    path: PathBuf,
    handle: File,
    /// Of the one who writes.
    _lock: Option<Flock<File>>,
}

/// The files that hold data, each kind in order of revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// By the first revision that the segment may hold.
    pub segments: Vec<Revision>,
    /// By the revision that the snapshot shows.
    pub snapshots: Vec<Revision>,
}

/// What becomes of a directory that is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

impl Directory {
    /// Makes, locks and checks the directory, and removes what an interrupted snapshot left.
    pub fn open(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(|error| unavailable("make", path, &error))?;
        let lock = Self::lock(&path.join(LOCK))?;
        let handle = File::open(path).map_err(|error| unavailable("open", path, &error))?;
        let directory = Self {
            path: path.to_owned(),
            handle,
            _lock: Some(lock),
        };
        directory.check_format(Missing::Made)?;
        directory
            .remove_unfinished()
            .map_err(|error| unavailable("clean", path, &error))?;
        Ok(directory)
    }

    /// A directory to read from, whoever has it open. Nothing is made or changed.
    pub fn look(path: &Path) -> Result<Self, Error> {
        let directory = Self {
            path: path.to_owned(),
            handle: File::open(path).map_err(|error| unavailable("open", path, &error))?,
            _lock: None,
        };
        directory.check_format(Missing::Refused)?;
        Ok(directory)
    }

    fn lock(path: &Path) -> Result<Flock<File>, Error> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path);
        let file = file.map_err(|error| unavailable("open", path, &error))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            Error::Unavailable(format!("{} is held by another process ({errno})", path.display()))
        })
    }

    fn check_format(&self, missing: Missing) -> Result<(), Error> {
        let path = self.path.join(FORMAT_FILE);
        let mut found = String::new();
        match File::open(&path).and_then(|mut file| file.read_to_string(&mut found)) {
            Ok(_) if found == FORMAT => Ok(()),
            Ok(_) => Err(Error::Corrupt(format!(
                "{}: unknown format {found:?}",
                path.display()
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Made => {
                self.write_format(&path)
            }
            Err(error) => Err(unavailable("read", &path, &error)),
        }
    }

    fn write_format(&self, path: &Path) -> Result<(), Error> {
        let unfinished = path.with_extension(UNFINISHED);
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(FORMAT.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            self.sync()
        };
        write().map_err(|error| unavailable("write", path, &error))
    }

    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == UNFINISHED)
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if let Some(revision) = parse_name(&name, LOG_PREFIX) {
                listing.segments.push(revision);
            } else if let Some(revision) = parse_name(&name, SNAPSHOT_PREFIX) {
                listing.snapshots.push(revision);
            }
        }
        listing.segments.sort_unstable();
        listing.snapshots.sort_unstable();
        Ok(listing)
    }

    pub fn segment(&self, first: Revision) -> PathBuf {
        self.path.join(format!("{LOG_PREFIX}{:016x}", first.0))
    }

    pub fn snapshot(&self, revision: Revision) -> PathBuf {
        self.path.join(format!("{SNAPSHOT_PREFIX}{:016x}", revision.0))
    }

    /// Makes created, renamed and removed names durable.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Removes the files that a snapshot makes superfluous.
    pub fn remove_before(&self, snapshot: Revision) -> io::Result<()> {
        let listing = self.list()?;
        for old in listing.snapshots.iter().filter(|revision| **revision < snapshot) {
            fs::remove_file(self.snapshot(*old))?;
        }
        // A segment ends where the next begins; the newest is being written.
        for pair in listing.segments.windows(2) {
            if pair[1] <= snapshot.next() {
                fs::remove_file(self.segment(pair[0]))?;
            }
        }
        self.sync()
    }

    /// Bytes of all files.
    pub fn usage(&self) -> Result<u64, Error> {
        let measure = || {
            let mut bytes = 0;
            for entry in fs::read_dir(&self.path)? {
                match entry?.metadata() {
                    Ok(metadata) => bytes += metadata.len(),
                    // Removed since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(bytes)
        };
        measure().map_err(|error: io::Error| unavailable("measure", &self.path, &error))
    }
}

fn parse_name(name: &str, prefix: &str) -> Option<Revision> {
    let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().map(Revision)
}

pub(super) fn unavailable(action: &str, path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("can't {action} {}: {error}", path.display()))
}
