//! From files to state: the newest snapshot, then the log after it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use tracing::{info, warn};

use super::directory::{Directory, unavailable};
use super::frame::{Frame, Record};
use super::segment::{End, Segment};
use super::snapshot;
use crate::local::Index;
use crate::local::expiry::Expiries;
use crate::local::journal::{Recovered, State};
use crate::{Error, Event, HistoryLimit, Key, KeyValue, Revision};

/// What was found, and where the log goes on.
pub(super) struct Recovery {
    pub recovered: Recovered,
    /// The segment to append to, with its length; `None`: a new one must be made.
    pub open_segment: Option<(Revision, u64)>,
    pub next: Revision,
    pub snapshot_bytes: u64,
    pub log_bytes: u64,
}

/// What to do with an unfinished write at the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TornEnd {
    Cut,
    Leave,
}

/// Segments that are read and verified ahead of their replay: the disk and the checksums on one core, the state on
/// another.
const READ_AHEAD: usize = 1;

/// Reads everything. Of the history, as much is kept as the limit says.
pub(super) fn recover(
    directory: &Directory,
    torn_end: TornEnd,
    limit: HistoryLimit,
) -> Result<Recovery, Error> {
    let listing = directory
        .list()
        .map_err(|error| Error::Unavailable(format!("can't list the store: {error}")))?;
    let base = match listing.snapshots.last() {
        Some(revision) => snapshot::read(&directory.snapshot(*revision))?,
        None => State::empty(Revision(1)),
    };
    let snapshot_bytes = listing
        .snapshots
        .last()
        .map_or(0, |revision| file_len(directory, *revision));
    let mut replay = Replay {
        index: Index::new(base.view.revision, base.view.map, limit),
        expiries: base.expiries,
    };
    let segments = needed(&listing.segments, replay.next());
    let (log_bytes, open_segment) = replay_log(directory, &segments, torn_end, &mut replay)?;
    let next = replay.next();
    let Replay { index, expiries } = replay;
    info!(
        revision = index.revision().0,
        keys = index.view().map.len(),
        log_bytes,
        "store recovered"
    );
    Ok(Recovery {
        recovered: Recovered { index, expiries },
        open_segment,
        next,
        snapshot_bytes,
        log_bytes,
    })
}

/// Replays segments; returns their bytes, and the segment to append to.
fn replay_log(
    directory: &Directory,
    segments: &[Revision],
    torn_end: TornEnd,
    replay: &mut Replay,
) -> Result<(u64, Option<(Revision, u64)>), Error> {
    let (mut log_bytes, mut open_segment) = (0, None);
    std::thread::scope(|scope| {
        let (sender, read) = mpsc::sync_channel(READ_AHEAD);
        let reader = move || {
            for first in segments {
                let segment = Segment::read(&directory.segment(*first), *first);
                // Nobody is interested after a failure.
                if sender.send(segment).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("store-reader".into())
            .spawn_scoped(scope, reader)
            .map_err(|error| Error::Unavailable(format!("the reader can't be started: {error}")))?;
        for (position, (first, segment)) in segments.iter().zip(read).enumerate() {
            let torn_end = (position + 1 == segments.len()).then_some(torn_end);
            let len = replay_segment(directory, *first, segment?, torn_end, replay)?;
            log_bytes += len;
            open_segment = (len > 0).then_some((*first, len));
        }
        Ok((log_bytes, open_segment))
    })
}

/// Segments that may hold `next` or later ones.
fn needed(segments: &[Revision], next: Revision) -> Vec<Revision> {
    let older = segments.partition_point(|first| *first <= next);
    segments[older.saturating_sub(1)..].to_vec()
}

/// Replays one segment; returns the length of its good part. `torn_end`: only the last segment may have one.
fn replay_segment(
    directory: &Directory,
    first: Revision,
    segment: Segment,
    torn_end: Option<TornEnd>,
    replay: &mut Replay,
) -> Result<u64, Error> {
    let path = directory.segment(first);
    if first > replay.next() {
        let due = replay.next();
        return Err(Error::Corrupt(format!(
            "the log lacks revisions {due} to {first}"
        )));
    }
    for frame in segment.frames() {
        replay.apply(frame)?;
    }
    match (segment.end(), torn_end) {
        (End::Clean, _) => Ok(file_size(&path)),
        (End::Torn { .. }, None) => Err(Error::Corrupt(format!("{} ends in damage", path.display()))),
        (End::Torn { valid_len }, Some(TornEnd::Leave)) => Ok(valid_len),
        (End::Torn { valid_len }, Some(TornEnd::Cut)) => {
            warn!(file = %path.display(), valid_len, "cutting off an unfinished write");
            cut(directory, &path, valid_len).map_err(|error| unavailable("repair", &path, &error))?;
            Ok(valid_len)
        }
    }
}

/// Shortens a segment to its good part; one without even a header goes.
fn cut(directory: &Directory, path: &Path, valid_len: u64) -> io::Result<()> {
    if valid_len == 0 {
        fs::remove_file(path)?;
        return directory.sync();
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(valid_len)?;
    file.sync_all()
}

fn file_len(directory: &Directory, snapshot: Revision) -> u64 {
    file_size(&directory.snapshot(snapshot))
}

/// For bookkeeping only: when it can't be told, the next snapshot comes a little early.
fn file_size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Applies the log to a state.
struct Replay {
    index: Index,
    expiries: Expiries,
}

impl Replay {
    fn next(&self) -> Revision {
        self.index.revision().next()
    }

    fn apply(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        for record in frame.records() {
            let (revision, record) = record.map_err(|what| Error::Corrupt(format!("log: {what}")))?;
            // The segment may begin before the snapshot.
            if revision > self.index.revision() {
                self.apply_record(revision, record)?;
            }
        }
        Ok(())
    }

    fn apply_record(&mut self, revision: Revision, record: Record<'_>) -> Result<(), Error> {
        let misplaced = || Error::Corrupt(format!("log: a record at {revision} does not fit the state"));
        let event = match record {
            Record::Put {
                create_revision,
                expires,
                key,
                value,
            } => {
                let previous = self.index.get(key).cloned();
                let key = previous
                    .as_ref()
                    .map_or_else(|| Key::from(key), |previous| previous.key.clone());
                self.expiries.set(&key, expires);
                let item = KeyValue {
                    key,
                    value: Bytes::copy_from_slice(value).into(),
                    create_revision,
                    mod_revision: revision,
                };
                Event {
                    revision,
                    current: Some(Arc::new(item)),
                    previous,
                }
            }
            Record::Delete { key } => {
                let previous = self.index.get(key).cloned().ok_or_else(misplaced)?;
                self.expiries.set(&previous.key, None);
                Event {
                    revision,
                    current: None,
                    previous: Some(previous),
                }
            }
            Record::Stored { .. } | Record::Exemplar { .. } | Record::Packed { .. } => {
                return Err(misplaced());
            }
        };
        self.index.apply(Arc::new(event));
        Ok(())
    }
}
