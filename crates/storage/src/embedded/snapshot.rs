//! One file with the whole state as of a revision: a header, frames of records, an empty frame as end.
//!
//! Values that are packed in memory are packed in the file, after the exemplars that they need: a snapshot is written
//! and read about as fast as the memory that it takes. Files of the first format have plain values only.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use imbl::OrdMap;

use super::directory::{UNFINISHED, unavailable};
use super::frame::{Frame, FrameBuilder, HEADER_LEN, Header, Record};
use crate::local::expiry::Expiries;
use crate::local::journal::State;
use crate::value::{Exemplar, Form, Packed, Value};
use crate::versioned::View;
use crate::{Error, Key, KeyValue, Revision};

const HEADER: &[u8; 8] = b"OXISNAP2";
const FIRST_FORMAT: &[u8; 8] = b"OXISNAP1";
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
    let mut numbers = Numbers::default();
    for item in state.view.map.values() {
        push(&mut frame, item, state.expiries.get(&item.key), &mut numbers);
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

/// Which number an exemplar got, by its address: the state keeps it where it is.
type Numbers = HashMap<*const Exemplar, u32>;

fn push(frame: &mut FrameBuilder, item: &KeyValue, expires: Option<SystemTime>, numbers: &mut Numbers) {
    let (create_revision, mod_revision, key) = (item.create_revision, item.mod_revision, &item.key);
    item.value.with_form(|form| match form {
        Form::Plain(value) => frame.push(Record::Stored {
            create_revision,
            mod_revision,
            expires,
            key,
            value,
        }),
        Form::Packed(packed) => {
            let exemplar = packed.exemplar().map_or(0, |exemplar| {
                let next = numbers.len() as u32 + 1;
                *numbers.entry(Arc::as_ptr(exemplar)).or_insert_with(|| {
                    let value = exemplar.bytes();
                    frame.push(Record::Exemplar { value });
                    next
                })
            });
            frame.push(Record::Packed {
                create_revision,
                mod_revision,
                expires,
                key,
                exemplar,
                block: packed.block(),
            });
        }
    });
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
    if header != *HEADER && header != *FIRST_FORMAT {
        return Err(damaged("not a snapshot of this store"));
    }
    let mut state: Option<State> = None;
    let mut exemplars = Vec::new();
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
            state_so_far.add(record, &mut exemplars).map_err(damaged)?;
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

    fn add(&mut self, record: Record<'_>, exemplars: &mut Vec<Arc<Exemplar>>) -> Result<(), &'static str> {
        match record {
            Record::Stored {
                create_revision,
                mod_revision,
                expires,
                key,
                value,
            } => {
                let value = Value::from(Bytes::copy_from_slice(value));
                self.insert(key, value, (create_revision, mod_revision), expires);
            }
            Record::Exemplar { value } => exemplars.push(Exemplar::new(Bytes::copy_from_slice(value))),
            Record::Packed {
                create_revision,
                mod_revision,
                expires,
                key,
                exemplar,
                block,
            } => {
                let exemplar = match exemplar as usize {
                    0 => None,
                    number => Some(exemplars.get(number - 1).ok_or("an exemplar is missing")?.clone()),
                };
                let packed = Packed::from_block(block, exemplar).ok_or("a value can't be unpacked")?;
                self.insert(key, packed.into(), (create_revision, mod_revision), expires);
            }
            Record::Put { .. } | Record::Delete { .. } => {
                return Err("a record that does not belong in a snapshot");
            }
        }
        Ok(())
    }

    fn insert(
        &mut self,
        key: &[u8],
        value: Value,
        (create_revision, mod_revision): (Revision, Revision),
        expires: Option<SystemTime>,
    ) {
        let key = Key::from(key);
        if expires.is_some() {
            self.expiries.set(&key, expires);
        }
        let item = KeyValue {
            key: key.clone(),
            value,
            create_revision,
            mod_revision,
        };
        self.view.map.insert(key, Arc::new(item));
    }
}
