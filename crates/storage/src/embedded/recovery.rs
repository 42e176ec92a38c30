//! From files to state: the newest snapshot, then the log after it.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use tracing::{info, warn};

use super::directory::{Directory, unavailable};
use super::frame::{Frame, Record};
use super::segment::{End, Segment};
use super::snapshot;
use crate::local::expiry::Expiries;
use crate::local::journal::{Recovered, State};
use crate::{Error, Event, Key, KeyValue, Revision};

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

/// Reads everything.
pub(super) fn recover(directory: &Directory, torn_end: TornEnd) -> Result<Recovery, Error> {
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
    let mut replay = Replay::new(base);
    let mut segments = needed(&listing.segments, replay.next());
    let mut log_bytes = 0;
    let mut open_segment = None;
    while let Some(first) = segments.pop_front() {
        let len = read_segment(
            directory,
            first,
            segments.is_empty().then_some(torn_end),
            &mut replay,
        )?;
        log_bytes += len;
        open_segment = (len > 0).then_some((first, len));
    }
    let next = replay.next();
    info!(
        revision = replay.revision.0,
        keys = replay.map.len(),
        log_bytes,
        "store recovered"
    );
    Ok(Recovery {
        recovered: replay.finish(),
        open_segment,
        next,
        snapshot_bytes,
        log_bytes,
    })
}

/// Segments that may hold `next` or later ones.
fn needed(segments: &[Revision], next: Revision) -> VecDeque<Revision> {
    let older = segments.partition_point(|first| *first <= next);
    segments[older.saturating_sub(1)..].iter().copied().collect()
}

/// Replays one segment; returns the length of its good part. `torn_end`: only the last segment may have one.
fn read_segment(
    directory: &Directory,
    first: Revision,
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
    let segment = Segment::read(&path, first)?;
    let (_, end) = segment.replay(|frame| replay.apply(frame))?;
    match (end, torn_end) {
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

/// Applies the log to a state, and keeps the changes as history.
struct Replay {
    base: OrdMap<Key, Arc<KeyValue>>,
    base_revision: Revision,
    map: OrdMap<Key, Arc<KeyValue>>,
    revision: Revision,
    events: Vec<Arc<Event>>,
    expiries: Expiries,
}

impl Replay {
    fn new(state: State) -> Self {
        Self {
            base: state.view.map.clone(),
            base_revision: state.view.revision,
            map: state.view.map,
            revision: state.view.revision,
            events: Vec::new(),
            expiries: state.expiries,
        }
    }

    fn next(&self) -> Revision {
        self.revision.next()
    }

    fn apply(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        for record in frame.records() {
            let (revision, record) = record.map_err(|what| Error::Corrupt(format!("log: {what}")))?;
            // The segment may begin before the snapshot.
            if revision > self.revision {
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
                let previous = self.map.get(key).cloned();
                let key = previous
                    .as_ref()
                    .map_or_else(|| Key::from(key), |previous| previous.key.clone());
                let value = Bytes::copy_from_slice(value);
                let item = KeyValue {
                    key: key.clone(),
                    value,
                    create_revision,
                    mod_revision: revision,
                };
                let item = Arc::new(item);
                self.expiries.set(&key, expires);
                self.map.insert(key, item.clone());
                Event {
                    revision,
                    current: Some(item),
                    previous,
                }
            }
            Record::Delete { key } => {
                let previous = self.map.remove(key).ok_or_else(misplaced)?;
                self.expiries.set(&previous.key, None);
                Event {
                    revision,
                    current: None,
                    previous: Some(previous),
                }
            }
            Record::Stored { .. } => return Err(misplaced()),
        };
        self.revision = revision;
        self.events.push(Arc::new(event));
        Ok(())
    }

    fn finish(self) -> Recovered {
        Recovered {
            revision: self.base_revision,
            map: self.base,
            events: self.events,
            expiries: self.expiries,
        }
    }
}
