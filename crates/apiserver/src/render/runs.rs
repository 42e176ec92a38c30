//! Runs of a list's items, compressed, and kept while lists are asked for that have them.
//!
//! Clients that list, list again, and little has changed meanwhile. Deflate can be cut: a run is compressed without
//! reference to what stands before it, and ends with a whole byte, so that lists can be put together of runs
//! ([`super::list_gzip`]). Where a run ends the key of its last item tells: an object more or less changes one run.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use parking_lot::Mutex;
use storage::Key;
use storage::cache::Entry;

/// One key in so many ends its run.
const USUAL_ITEMS: u32 = 16;
/// A run ends after so many items, or so many stored bytes, whatever their keys.
const MAX_ITEMS: usize = 64;
const MAX_STORED_BYTES: usize = 256 * 1024;
/// Runs that may be made at a time: of two requests that want the same one, one makes it.
const MAKERS: usize = 16;

/// A compressed run.
pub struct Run {
    /// Only these very entries make these bytes. Held weakly: what was overwritten goes.
    entries: Box<[Weak<Entry>]>,
    pub plain_len: usize,
    /// CRC-32 of the plain bytes.
    pub checksum: u32,
    /// Blocks of deflate, the last of which is not marked as the last of all.
    pub deflated: Bytes,
}

/// Which run it is, whatever its state: a newer one takes the place of an older.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RunId {
    /// Tells apart all the forms that an entry can be shown in.
    pub form: (usize, u8),
    /// Nothing separates the first item of a list from what stands before it.
    pub is_first: bool,
    pub first: Key,
}

/// Keeps runs within a bound of bytes. When it is full, nothing new is kept until what was not asked for has gone, so
/// that a list of any length finds at least its beginning.
pub struct Runs {
    limit: usize,
    kept: Mutex<Kept>,
    makers: [Mutex<()>; MAKERS],
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    runs: HashMap<RunId, (Arc<Run>, u64)>,
    /// Ages that have passed.
    age: u64,
}

/// How many of the entries make the first run.
pub fn first_run(entries: &[Arc<Entry>]) -> usize {
    let mut stored = 0;
    let ends = |entry: &Arc<Entry>| {
        stored += entry.value_len();
        stored >= MAX_STORED_BYTES || crc32fast::hash(entry.key()).is_multiple_of(USUAL_ITEMS)
    };
    let end = entries.iter().take(MAX_ITEMS).position(ends);
    end.map_or(entries.len().min(MAX_ITEMS), |last| last + 1)
}

impl Run {
    fn new(entries: &[Arc<Entry>], plain: &[u8]) -> std::io::Result<Run> {
        Ok(Run {
            entries: entries.iter().map(Arc::downgrade).collect(),
            plain_len: plain.len(),
            checksum: crc32fast::hash(plain),
            deflated: deflate(plain)?,
        })
    }

    fn is_of(&self, entries: &[Arc<Entry>]) -> bool {
        self.entries.len() == entries.len()
            && self
                .entries
                .iter()
                .zip(entries)
                .all(|(kept, entry)| std::ptr::eq(kept.as_ptr(), Arc::as_ptr(entry)))
    }

    /// What it takes in memory, about.
    fn size(&self) -> usize {
        self.deflated.len() + size_of_val(&*self.entries) + size_of::<(RunId, Run)>()
    }
}

impl Runs {
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit: limit_bytes,
            kept: Mutex::default(),
            makers: Default::default(),
        }
    }

    /// The run of these entries, if it is kept.
    pub fn get(&self, id: &RunId, entries: &[Arc<Entry>]) -> Option<Arc<Run>> {
        let mut kept = self.kept.lock();
        let age = kept.age;
        let (run, used) = kept.runs.get_mut(id).filter(|(run, _)| run.is_of(entries))?;
        *used = age;
        Some(run.clone())
    }

    /// The run of these entries, made of their plain form unless it is kept.
    pub fn run<E: From<std::io::Error>>(
        &self,
        id: RunId,
        entries: &[Arc<Entry>],
        plain: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<Run>, E> {
        if let Some(run) = self.get(&id, entries) {
            return Ok(run);
        }
        let maker = crc32fast::hash(&id.first) as usize % MAKERS;
        let _making = self.makers[maker].lock();
        if let Some(run) = self.get(&id, entries) {
            return Ok(run);
        }
        let run = Arc::new(Run::new(entries, &plain()?)?);
        self.keep(id, run.clone());
        Ok(run)
    }

    fn keep(&self, id: RunId, run: Arc<Run>) {
        let mut kept = self.kept.lock();
        if let Some((older, _)) = kept.runs.remove(&id) {
            kept.bytes -= older.size();
        }
        if kept.bytes + run.size() <= self.limit {
            let age = kept.age;
            kept.bytes += run.size();
            kept.runs.insert(id, (run, age));
        }
    }

    /// Begins a new age and lets go what was not asked for in this and the one before. To be called from time to time.
    pub fn age(&self) {
        let mut kept = self.kept.lock();
        kept.age += 1;
        let now = kept.age;
        kept.runs.retain(|_, (_, used)| *used + 2 > now);
        kept.runs.shrink_to_fit();
        kept.bytes = kept.runs.values().map(|(run, _)| run.size()).sum();
    }
}

/// Whole bytes of deflate that stand for themselves and do not end the stream.
fn deflate(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut compress = Compress::new(Compression::fast(), false);
    // Lists shrink to a tenth or less, most of the time.
    let mut out = Vec::with_capacity(plain.len() / 8 + 256);
    loop {
        let taken = compress.total_in() as usize;
        let status = compress.compress_vec(&plain[taken..], &mut out, FlushCompress::Sync)?;
        let is_taken = compress.total_in() as usize == plain.len();
        // Room that is left says that everything is out.
        if is_taken && (out.len() < out.capacity() || status == Status::BufError) {
            return Ok(Bytes::from(out.into_boxed_slice()));
        }
        out.reserve(plain.len() / 8 + 256);
    }
}

#[cfg(test)]
mod tests {
    use storage::cache::Extracted;
    use storage::{KeyValue, Revision};

    use super::*;

    fn entry(key: &str) -> Arc<Entry> {
        let stored = KeyValue {
            key: Key::from(key),
            value: Bytes::from(vec![b'v'; 1000]).into(),
            create_revision: Revision(2),
            mod_revision: Revision(2),
        };
        Arc::new(Entry::new(Arc::new(stored), Extracted::default()))
    }

    fn entries(count: usize) -> Vec<Arc<Entry>> {
        (0..count).map(|n| entry(&format!("/pods/{n}"))).collect()
    }

    fn id(entries: &[Arc<Entry>]) -> RunId {
        RunId {
            form: (0, 0),
            is_first: false,
            first: entries[0].key().clone(),
        }
    }

    /// Makes runs of a list; tells how long each is and whether it had to be made.
    fn make(runs: &Runs, mut entries: &[Arc<Entry>]) -> Vec<(usize, bool)> {
        let mut made = Vec::new();
        while !entries.is_empty() {
            let (run, rest) = entries.split_at(first_run(entries));
            let mut is_new = false;
            let plain = || {
                is_new = true;
                Ok::<_, std::io::Error>(vec![b'p'; 100 * run.len()])
            };
            let found = runs.run(id(run), run, plain).unwrap();
            assert_eq!(found.plain_len, 100 * run.len());
            made.push((run.len(), is_new));
            entries = rest;
        }
        made
    }

    #[test]
    fn a_change_costs_its_run_only() {
        let (runs, mut list) = (Runs::new(1 << 20), entries(1000));
        let first = make(&runs, &list);
        assert!(first.len() > 30 && first.iter().all(|(len, is_new)| *is_new && *len <= MAX_ITEMS));
        assert!(make(&runs, &list).iter().all(|(_, is_new)| !is_new));
        list[500] = entry("/pods/500");
        assert_eq!(make(&runs, &list).iter().filter(|(_, is_new)| *is_new).count(), 1);
        list.remove(300);
        let after = make(&runs, &list);
        assert!(after.iter().filter(|(_, is_new)| *is_new).count() <= 2);
    }

    #[test]
    fn runs_are_bounded_and_go_with_time() {
        let list = entries(1000);
        let runs = Runs::new(5000);
        let count = |made: Vec<(usize, bool)>| made.iter().filter(|(_, is_new)| *is_new).count();
        let all = count(make(&runs, &list));
        let again = count(make(&runs, &list));
        assert!(again > 0 && again < all, "the beginning is kept");
        assert!(runs.kept.lock().bytes <= 5000);
        runs.age();
        assert_eq!(count(make(&runs, &list)), again, "what was asked for stays");
        runs.age();
        runs.age();
        let kept = runs.kept.lock();
        assert_eq!((kept.bytes, kept.runs.len()), (0, 0));
    }

    #[test]
    fn deflate_is_cut_at_bytes() {
        let texts = [&b"a text"[..], &[], &vec![b'x'; 200_000], b"the end"];
        let mut stream = Vec::new();
        for text in texts {
            stream.extend_from_slice(&deflate(text).unwrap());
        }
        // An empty block that is the last.
        stream.extend_from_slice(&[3, 0]);
        let mut inflated = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(&stream[..]), &mut inflated)
            .unwrap();
        assert_eq!(inflated, texts.concat());
    }
}
