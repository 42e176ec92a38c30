//! Bytes of a batch: a header with a checksum, then the records. Pure; little endian.
//!
//! ```text
//! header: magic u32, payload length u32, first revision u64, records u32, crc32 of the above and the payload u32
//! record: kind u8, then
//!   put     create revision u64, expires (ms since 1970, 0: never) u64, key, value
//!   delete  key
//!   stored  create revision u64, mod revision u64, expires u64, key, value      (snapshots only, as those below)
//!   exemplar  value: the first has the number 1, and so on, over the whole snapshot
//!   packed  create revision u64, mod revision u64, expires u64, key, exemplar's number u32 (0: none), LZ4 block
//! key, value, block: length u32, bytes
//! ```

use std::time::{Duration, SystemTime};

use crate::Revision;

pub(super) const HEADER_LEN: usize = 24;
const MAGIC: u32 = u32::from_le_bytes(*b"OXF1");
/// A frame holds one batch: anything larger is not one of ours.
pub(super) const MAX_PAYLOAD: usize = 1 << 30;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const STORED: u8 = 3;
const EXEMPLAR: u8 = 4;
const PACKED: u8 = 5;

/// One record, borrowed from the frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Put {
        create_revision: Revision,
        expires: Option<SystemTime>,
        key: &'a [u8],
        value: &'a [u8],
    },
    Delete {
        key: &'a [u8],
    },
    Stored {
        create_revision: Revision,
        mod_revision: Revision,
        expires: Option<SystemTime>,
        key: &'a [u8],
        value: &'a [u8],
    },
    Exemplar {
        value: &'a [u8],
    },
    Packed {
        create_revision: Revision,
        mod_revision: Revision,
        expires: Option<SystemTime>,
        key: &'a [u8],
        exemplar: u32,
        block: &'a [u8],
    },
}

/// A frame in the making.
pub(super) struct FrameBuilder {
    bytes: Vec<u8>,
    first_revision: Revision,
    records: u32,
}

impl FrameBuilder {
    /// Begins a frame whose first record has this revision; each further one has the next.
    pub fn new(mut buffer: Vec<u8>, first_revision: Revision) -> Self {
        buffer.clear();
        buffer.resize(HEADER_LEN, 0);
        Self {
            bytes: buffer,
            first_revision,
            records: 0,
        }
    }

    pub fn payload_len(&self) -> usize {
        self.bytes.len() - HEADER_LEN
    }

    pub fn push(&mut self, record: Record<'_>) {
        self.records += 1;
        match record {
            Record::Put {
                create_revision,
                expires,
                key,
                value,
            } => {
                self.bytes.push(PUT);
                self.number(create_revision.0);
                self.number(expires.map_or(0, to_millis));
                self.blob(key);
                self.blob(value);
            }
            Record::Delete { key } => {
                self.bytes.push(DELETE);
                self.blob(key);
            }
            Record::Stored {
                create_revision,
                mod_revision,
                expires,
                key,
                value,
            } => {
                self.bytes.push(STORED);
                self.number(create_revision.0);
                self.number(mod_revision.0);
                self.number(expires.map_or(0, to_millis));
                self.blob(key);
                self.blob(value);
            }
            Record::Exemplar { value } => {
                self.bytes.push(EXEMPLAR);
                self.blob(value);
            }
            Record::Packed {
                create_revision,
                mod_revision,
                expires,
                key,
                exemplar,
                block,
            } => {
                self.bytes.push(PACKED);
                self.number(create_revision.0);
                self.number(mod_revision.0);
                self.number(expires.map_or(0, to_millis));
                self.blob(key);
                self.bytes.extend_from_slice(&exemplar.to_le_bytes());
                self.blob(block);
            }
        }
    }

    /// The frame's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let payload_len = self.payload_len() as u32;
        let header = &mut self.bytes[..HEADER_LEN];
        header[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4..8].copy_from_slice(&payload_len.to_le_bytes());
        header[8..16].copy_from_slice(&self.first_revision.0.to_le_bytes());
        header[16..20].copy_from_slice(&self.records.to_le_bytes());
        let crc = checksum(&self.bytes);
        self.bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn blob(&mut self, blob: &[u8]) {
        self.bytes.extend_from_slice(&(blob.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(blob);
    }
}

/// A frame whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub first_revision: Revision,
    pub records: u32,
    payload: &'a [u8],
}

/// What a header promises; nothing of it is checked but the magic and the bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub payload_len: usize,
    first_revision: Revision,
    records: u32,
    crc: u32,
}

impl Header {
    pub fn parse(header: &[u8; HEADER_LEN]) -> Option<Self> {
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let payload_len = word(4) as usize;
        let revision = u64::from(word(8)) | u64::from(word(12)) << 32;
        let plausible = word(0) == MAGIC && payload_len <= MAX_PAYLOAD;
        plausible.then(|| Self {
            payload_len,
            first_revision: Revision(revision),
            records: word(16),
            crc: word(20),
        })
    }
}

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, if a whole and undamaged one stands there.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = Header::parse(bytes.first_chunk()?)?;
        let frame = bytes.get(..HEADER_LEN + header.payload_len)?;
        (checksum(frame) == header.crc).then(|| Self::of(&header, frame))
    }

    /// The frame that `bytes` are, as [`Frame::parse`] has found it there before.
    pub fn parse_verified(bytes: &'a [u8]) -> Option<Self> {
        let header = Header::parse(bytes.first_chunk()?)?;
        Some(Self::of(&header, bytes.get(..HEADER_LEN + header.payload_len)?))
    }

    fn of(header: &Header, frame: &'a [u8]) -> Self {
        Self {
            first_revision: header.first_revision,
            records: header.records,
            payload: &frame[HEADER_LEN..],
        }
    }

    /// Length of header and payload.
    pub fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// The records, each with its revision; an error for what can't be one, which ends the iteration.
    pub fn records(&self) -> impl Iterator<Item = Result<(Revision, Record<'a>), &'static str>> + use<'a> {
        let mut reader = Reader(self.payload);
        let mut left = self.records;
        let mut revision = self.first_revision;
        std::iter::from_fn(move || {
            if left == 0 {
                return (!std::mem::take(&mut reader.0).is_empty())
                    .then_some(Err("bytes after the last record"));
            }
            let Some(record) = reader.record() else {
                (left, reader.0) = (0, &[]);
                return Some(Err("truncated or unknown record"));
            };
            left -= 1;
            let at = revision;
            revision = revision.next();
            Some(Ok((at, record)))
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn record(&mut self) -> Option<Record<'a>> {
        let (kind, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match *kind {
            PUT => Record::Put {
                create_revision: Revision(self.number()?),
                expires: from_millis(self.number()?),
                key: self.blob()?,
                value: self.blob()?,
            },
            DELETE => Record::Delete { key: self.blob()? },
            STORED => Record::Stored {
                create_revision: Revision(self.number()?),
                mod_revision: Revision(self.number()?),
                expires: from_millis(self.number()?),
                key: self.blob()?,
                value: self.blob()?,
            },
            EXEMPLAR => Record::Exemplar { value: self.blob()? },
            PACKED => Record::Packed {
                create_revision: Revision(self.number()?),
                mod_revision: Revision(self.number()?),
                expires: from_millis(self.number()?),
                key: self.blob()?,
                exemplar: self.word()?,
                block: self.blob()?,
            },
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let len = self.word()?;
        let (blob, rest) = self.0.split_at_checked(len as usize)?;
        self.0 = rest;
        Some(blob)
    }
}

/// Of a whole frame, without the checksum's own place.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..20]);
    hasher.update(&frame[HEADER_LEN..]);
    hasher.finalize()
}

fn to_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn from_millis(millis: u64) -> Option<SystemTime> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    time.filter(|_| millis != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let mut frame = FrameBuilder::new(Vec::new(), Revision(7));
        let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1234));
        frame.push(Record::Put {
            create_revision: Revision(3),
            expires,
            key: b"/a",
            value: b"one",
        });
        frame.push(Record::Delete { key: b"/b" });
        let (create_revision, mod_revision) = (Revision(1), Revision(2));
        frame.push(Record::Stored {
            create_revision,
            mod_revision,
            expires: None,
            key: b"/c",
            value: b"",
        });
        frame.push(Record::Exemplar { value: b"other" });
        frame.push(Record::Packed {
            create_revision,
            mod_revision,
            expires,
            key: b"/d",
            exemplar: 1,
            block: b"block",
        });
        frame.finish()
    }

    #[test]
    fn round_trip() {
        let bytes = sample();
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!((frame.first_revision, frame.len()), (Revision(7), bytes.len()));
        let records: Vec<_> = frame.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(
            records.iter().map(|(revision, _)| revision.0).collect::<Vec<_>>(),
            [7, 8, 9, 10, 11]
        );
        assert_eq!(records[1].1, Record::Delete { key: b"/b" });
        let mut again = FrameBuilder::new(Vec::new(), Revision(7));
        records.into_iter().for_each(|(_, record)| again.push(record));
        assert_eq!(again.finish(), bytes);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample();
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(Frame::parse(&damaged), None, "bit {at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Frame::parse(&bytes[..len]), None, "cut to {len}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200), records in 0u32..20) {
            let frame = Frame { first_revision: Revision(1), records, payload: &payload };
            let read: Vec<_> = frame.records().collect();
            prop_assert!(read.len() <= records as usize + 1);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Frame::parse(&bytes), None);
        }
    }
}
