//! One file with the whole state as of a revision: a header, frames of `stored` records, an empty frame as end.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use super::directory::{UNFINISHED, unavailable};
use super::frame::{Frame, FrameBuilder, HEADER_LEN, Header, Record};
use crate::local::expiry::Expiries;
use crate::local::journal::State;
use crate::versioned::View;
use crate::{Error, Key, KeyValue, Revision};

const HEADER: &[u8; 8] = b"OXISNAP1";
const FRAME_BYTES: usize = 256 << 10;
/// Synced in steps, so that the last sync does not hold up the log's syncs for long.
const SYNC_BYTES: usize = 4 << 20;

/// Writes a snapshot, and gives it its name when it is complete; returns its size.
pub(super) fn write(path: &Path, state: &State) -> io::Result<u64> {
    let unfinished = path.with_extension(UNFINISHED);
    let revision = state.view.revision;
    let mut output = Output {
        file: File::create(&unfinished)?,
        written: 0,
        unsynced: 0,
    };
    output.write(HEADER)?;
    let mut frame = FrameBuilder::new(Vec::new(), revision);
    for item in state.view.map.values() {
        frame.push(Record::Stored {
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
            expires: state.expiries.get(&item.key),
            key: &item.key,
            value: &item.value,
        });
        if frame.payload_len() >= FRAME_BYTES {
            let bytes = frame.finish();
            output.write(&bytes)?;
            frame = FrameBuilder::new(bytes, revision);
        }
    }
    if frame.payload_len() > 0 {
        output.write(&frame.finish())?;
    }
    output.write(&FrameBuilder::new(Vec::new(), revision).finish())?;
    output.file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(output.written)
}

struct Output {
    file: File,
    written: u64,
    unsynced: usize,
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

/// Reads a snapshot. It got its name when it was complete: anything amiss is damage.
pub(super) fn read(path: &Path) -> Result<State, Error> {
    let file = File::open(path).map_err(|error| unavailable("open", path, &error))?;
    let mut input = BufReader::with_capacity(FRAME_BYTES, file);
    let damaged = |what: &str| Error::Corrupt(format!("{}: {what}", path.display()));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("the end is missing"),
        _ => unavailable("read", path, &error),
    };
    let mut header = [0; HEADER.len()];
    input.read_exact(&mut header).map_err(failed)?;
    if header != *HEADER {
        return Err(damaged("not a snapshot of this store"));
    }
    let mut state: Option<State> = None;
    let mut buffer = Vec::new();
    loop {
        read_frame(&mut input, &mut buffer).map_err(failed)?;
        let frame = Frame::parse(&buffer).ok_or_else(|| damaged("a checksum does not hold"))?;
        let state_so_far = state.get_or_insert_with(|| State::empty(frame.first_revision));
        if state_so_far.view.revision != frame.first_revision {
            return Err(damaged("frames of different revisions"));
        }
        for record in frame.records() {
            let (_, record) = record.map_err(damaged)?;
            state_so_far.add(record).map_err(damaged)?;
        }
        if frame.records == 0 {
            return state.ok_or_else(|| damaged("empty"));
        }
    }
}

/// Reads the bytes that a header promises; whether they are a frame is not looked at here.
fn read_frame(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut header = [0; HEADER_LEN];
    input.read_exact(&mut header)?;
    let payload_len = Header::parse(&header).map_or(0, |header| header.payload_len);
    buffer.clear();
    buffer.extend_from_slice(&header);
    let read = input.take(payload_len as u64).read_to_end(buffer)?;
    if read == payload_len {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

impl State {
    /// A store without keys.
    pub fn empty(revision: Revision) -> Self {
        Self {
            view: View {
                revision,
                map: OrdMap::new(),
            },
            expiries: Expiries::default(),
        }
    }

    fn add(&mut self, record: Record<'_>) -> Result<(), &'static str> {
        let Record::Stored {
            create_revision,
            mod_revision,
            expires,
            key,
            value,
        } = record
        else {
            return Err("a record that does not belong in a snapshot");
        };
        let key = Key::from(key);
        let value = Bytes::copy_from_slice(value);
        let item = KeyValue {
            key: key.clone(),
            value,
            create_revision,
            mod_revision,
        };
        if expires.is_some() {
            self.expiries.set(&key, expires);
        }
        self.view.map.insert(key, Arc::new(item));
        Ok(())
    }
}
