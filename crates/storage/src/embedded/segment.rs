//! One file of the log: a header, then frames.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tracing::warn;

use super::directory::{Directory, unavailable};
use super::frame::Frame;
use crate::{Error, Revision};

pub(super) const HEADER: &[u8; 8] = b"OXILOG1\n";

/// What the journal does to a file; tests put a failing one in its place.
pub(super) trait LogFile: Send {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

impl LogFile for File {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Makes an empty segment; its name and header are durable when this returns. Nothing is left of a failed try.
pub(super) fn create(directory: &Directory, first: Revision) -> io::Result<File> {
    let path = directory.segment(first);
    let write = || {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)?;
        file.write_all_at(HEADER, 0)?;
        file.sync_all()?;
        directory.sync()?;
        Ok(file)
    };
    write().inspect_err(|_| {
        if let Err(error) = fs::remove_file(&path) {
            warn!(%error, file = %path.display(), "an unfinished log segment can't be removed");
        }
    })
}

/// A segment that was read: its frames, whose checksums hold, and where the good part ends.
pub(super) struct Segment {
    bytes: Vec<u8>,
    /// Where each frame stands.
    frames: Vec<Range<usize>>,
    end: End,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Clean,
    /// Bytes after this length are no frame, and no later frame follows them.
    Torn {
        valid_len: u64,
    },
}

impl Segment {
    /// Reads and verifies a segment whose first frame has this revision. A missing or short header is that of a
    /// segment whose making was interrupted.
    pub fn read(path: &Path, first: Revision) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|error| unavailable("read", path, &error))?;
        let header = &bytes[..bytes.len().min(HEADER.len())];
        if !HEADER.starts_with(header) {
            return Err(Error::Corrupt(format!(
                "{} is not a log of this store",
                path.display()
            )));
        }
        let (frames, end) = scan(&bytes, first)?;
        Ok(Self { bytes, frames, end })
    }

    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().map(|at| {
            Frame::parse_verified(&self.bytes[at.clone()]).expect("invariant: the frame was verified")
        })
    }

    pub fn end(&self) -> End {
        self.end
    }
}

/// Finds the frames, each with the revision that is due after the one before.
fn scan(bytes: &[u8], first: Revision) -> Result<(Vec<Range<usize>>, End), Error> {
    let (mut frames, mut expected, mut at) = (Vec::new(), first, HEADER.len());
    if bytes.len() < HEADER.len() {
        return Ok((frames, End::Torn { valid_len: 0 }));
    }
    while at < bytes.len() {
        match Frame::parse(&bytes[at..]) {
            Some(frame) if frame.first_revision == expected => {
                expected = Revision(expected.0 + u64::from(frame.records));
                frames.push(at..at + frame.len());
                at += frame.len();
            }
            Some(frame) => {
                let found = frame.first_revision;
                return Err(Error::Corrupt(format!(
                    "log continues at {found} where {expected} was due"
                )));
            }
            None if is_followed(bytes, at, expected) => {
                return Err(Error::Corrupt(format!(
                    "damaged log at revision {expected}, with more after it"
                )));
            }
            None => return Ok((frames, End::Torn { valid_len: at as u64 })),
        }
    }
    Ok((frames, End::Clean))
}

/// Whether a later batch stands after a bad one: then the bad one had been synced, for the later one was written only
/// after that, and it is damaged and not torn.
fn is_followed(bytes: &[u8], bad: usize, expected: Revision) -> bool {
    let candidates = bad + 1..bytes.len();
    candidates
        .filter(|at| bytes[*at..].starts_with(b"OXF1"))
        .filter_map(|at| Frame::parse(&bytes[at..]))
        .any(|frame| frame.first_revision > expected)
}
