//! What only the store on disk can get wrong: restarts, torn and damaged files, failing disks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::directory::Directory;
use super::journal::LogJournal;
use super::segment::LogFile;
use super::{Options, fill, load, open, read, recovery, save};
use crate::contents::TransferError;
use crate::local::LocalStore;
use crate::packer::Packer;
use crate::{Error, Expect, RangeRequest, Revision, Store, Write};

fn small() -> Options {
    Options {
        segment_bytes: 2 << 10,
        snapshot_after_bytes: 8 << 10,
        ..Options::default()
    }
}

fn put(value: impl Into<Vec<u8>>) -> Write {
    Write::Put {
        value: Bytes::from(value.into()),
        ttl: None,
    }
}

/// Blocks on a store's future; the writer is a thread of its own.
fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn create(store: &LocalStore, key: &str, value: &str) -> Result<Revision, Error> {
    block(store.commit(key.as_bytes(), Expect::Absent, put(value)))
}

/// `key@revision` of all keys.
fn keys(store: &LocalStore) -> Vec<String> {
    let page = block(store.range(RangeRequest::default())).unwrap();
    page.items
        .iter()
        .map(|item| format!("{}@{}", item.key, item.mod_revision))
        .collect()
}

fn files(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(prefix);
    let mut files: Vec<_> = entries.filter(named).collect();
    files.sort();
    files
}

#[test]
fn a_restart_restores_state_revisions_and_history() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Options::default()).unwrap();
    let first = create(&store, "/a", "1").unwrap();
    block(store.commit(b"/a", Expect::Unchanged(first), put("2"))).unwrap();
    let deleted = create(&store, "/b", "x").unwrap();
    block(store.commit(b"/b", Expect::Unchanged(deleted), Write::Delete)).unwrap();
    drop(store);
    let store = open(directory.path(), Options::default()).unwrap();
    assert_eq!(keys(&store), ["/a@3"]);
    assert_eq!(block(store.current_revision()).unwrap(), Revision(5));
    let old = block(store.get(b"/a", Some(first))).unwrap().1.unwrap();
    assert_eq!((&old.value.bytes()[..], old.create_revision), (&b"1"[..], first));
    assert_eq!(create(&store, "/c", "3").unwrap(), Revision(6));
}

#[test]
fn churn_is_bounded_on_disk_and_survives_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = None;
    for round in 0..4 {
        let store = open(directory.path(), small()).unwrap();
        for n in 0..200 {
            let expect = last.map_or(Expect::Absent, Expect::Unchanged);
            last = Some(
                block(store.commit(b"/churn", expect, put(format!("{round} {n} {}", "x".repeat(200)))))
                    .unwrap(),
            );
        }
        create(&store, &format!("/kept/{round}"), "").unwrap();
        drop(store);
    }
    let store = open(directory.path(), small()).unwrap();
    assert_eq!(block(store.count(b"/kept/")).unwrap(), 4);
    assert_eq!(
        block(store.get(b"/churn", None)).unwrap().1.unwrap().mod_revision,
        last.unwrap()
    );
    let disk = block(store.size_on_disk()).unwrap();
    assert!(
        disk < 64 << 10,
        "{disk} bytes on disk after 180 KB of writes to one key"
    );
    assert_eq!(files(directory.path(), "snapshot-").len(), 1);
}

#[test]
fn times_to_live_survive_log_and_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let at = |seconds| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut options = small();
        options.local.clock = Arc::new(move || now);
        options
    };
    let store = open(directory.path(), at(1000)).unwrap();
    for n in 0..100 {
        let value = Bytes::from(vec![b'x'; 200]);
        let write = Write::Put {
            value,
            ttl: Some(Duration::from_secs(60 + n)),
        };
        block(store.commit(format!("/event/{n:02}").as_bytes(), Expect::Absent, write)).unwrap();
    }
    create(&store, "/kept", "").unwrap();
    drop(store);
    assert_eq!(
        files(directory.path(), "snapshot-").len(),
        1,
        "part of it is in a snapshot"
    );
    let store = open(directory.path(), at(1000 + 60 + 49)).unwrap();
    create(&store, "/wake", "").unwrap();
    assert_eq!(block(store.count(b"/event/")).unwrap(), 50);
    assert_eq!(block(store.count(b"/kept")).unwrap(), 1);
}

#[test]
fn a_second_process_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), small()).unwrap();
    let second = open(directory.path(), small()).err().unwrap();
    assert!(
        matches!(&second, Error::Unavailable(reason) if reason.contains("another process")),
        "{second}"
    );
    drop(store);
    open(directory.path(), small()).unwrap();
}

#[test]
fn an_unknown_format_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("format"), "oxikube-store 2\n").unwrap();
    assert!(matches!(open(directory.path(), small()), Err(Error::Corrupt(_))));
}

/// Three writes, and the log's path with its length after each.
fn three_writes(directory: &Path) -> (PathBuf, Vec<u64>) {
    let store = open(directory, Options::default()).unwrap();
    let log = files(directory, "log-").pop().unwrap();
    let len = || fs::metadata(&log).unwrap().len();
    let mut lens = vec![len()];
    for key in ["/a", "/b", "/c"] {
        create(&store, key, "some value").unwrap();
        lens.push(len());
    }
    (log, lens)
}

#[test]
fn a_torn_end_is_cut_off_at_every_length() {
    let directory = tempfile::tempdir().unwrap();
    let (log, lens) = three_writes(directory.path());
    let whole = fs::read(&log).unwrap();
    for len in 0..=whole.len() {
        fs::write(&log, &whole[..len]).unwrap();
        let store = open(directory.path(), Options::default()).unwrap();
        let complete = lens[1..].iter().filter(|end| **end <= len as u64).count();
        assert_eq!(keys(&store).len(), complete, "cut to {len}");
        assert_eq!(
            create(&store, "/next", "").unwrap(),
            Revision(2 + complete as u64)
        );
        drop(store);
        for file in files(directory.path(), "log-") {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn damage_within_the_log_is_told_from_a_torn_end() {
    let directory = tempfile::tempdir().unwrap();
    let (log, lens) = three_writes(directory.path());
    let whole = fs::read(&log).unwrap();
    for at in (0..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&log, &damaged).unwrap();
        match open(directory.path(), Options::default()) {
            Err(Error::Corrupt(_)) => assert!((at as u64) < lens[2], "the last write may be torn: byte {at}"),
            Err(error) => panic!("{error}"),
            Ok(store) => {
                assert!((at as u64) >= lens[2], "byte {at} is damaged, and nobody noticed");
                assert_eq!(keys(&store).len(), 2);
            }
        }
    }
}

/// What a cache packs is packed in the next snapshot and after a restart, and is what it was.
#[test]
fn packed_values_are_kept_packed() {
    let directory = tempfile::tempdir().unwrap();
    let value = |n: u64| {
        let common: String = (0..60u64).map(|part| format!("{:x} ", part.pow(9))).collect();
        format!("{n} {common}{:x}", n.pow(7))
    };
    let store = open(directory.path(), small()).unwrap();
    let mut packer = Packer::default();
    for n in 0..60 {
        create(&store, &format!("/{n:02}"), &value(n)).unwrap();
        let found = block(store.get(format!("/{n:02}").as_bytes(), None)).unwrap();
        packer.pack(&found.1.unwrap().value);
    }
    drop(store);
    let check = |least: usize| {
        let store = open(directory.path(), small()).unwrap();
        let items = block(store.range(RangeRequest::default())).unwrap().items;
        let plain: Vec<_> = items.iter().map(|item| item.value.bytes()).collect();
        assert_eq!(plain, (0..60).map(value).collect::<Vec<_>>());
        let packed = items.iter().filter(|item| item.value.is_packed()).count();
        assert!(packed >= least, "{packed}");
    };
    check(8);
    let backup = directory.path().join("backup");
    save(&backup, &read(directory.path()).unwrap()).unwrap();
    assert_eq!(
        load(&backup).unwrap().report(),
        read(directory.path()).unwrap().report()
    );
}

#[test]
fn a_damaged_snapshot_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), small()).unwrap();
    for n in 0..100 {
        create(&store, &format!("/k/{n}"), &"x".repeat(200)).unwrap();
    }
    drop(store);
    let snapshot = files(directory.path(), "snapshot-").pop().unwrap();
    let whole = fs::read(&snapshot).unwrap();
    for damaged in [
        &whole[..whole.len() - 1],
        &whole[..whole.len() - 24],
        &whole[..100],
        b"",
    ] {
        fs::write(&snapshot, damaged).unwrap();
        assert!(
            matches!(open(directory.path(), small()), Err(Error::Corrupt(_))),
            "cut to {}",
            damaged.len()
        );
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&snapshot, &flipped).unwrap();
    assert!(matches!(open(directory.path(), small()), Err(Error::Corrupt(_))));
    fs::write(&snapshot, &whole).unwrap();
    assert_eq!(keys(&open(directory.path(), small()).unwrap()).len(), 100);
}

#[test]
fn a_missing_segment_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        segment_bytes: 1 << 10,
        ..Options::default()
    };
    let store = open(directory.path(), options()).unwrap();
    for n in 0..20 {
        create(&store, &format!("/k/{n}"), &"x".repeat(200)).unwrap();
    }
    drop(store);
    let segments = files(directory.path(), "log-");
    assert!(segments.len() > 3);
    fs::remove_file(&segments[1]).unwrap();
    assert!(matches!(
        open(directory.path(), options()),
        Err(Error::Corrupt(_))
    ));
}

/// What the failing disk does.
const WELL: u8 = 0;
const FULL: u8 = 1;
const FAILS_TO_SYNC: u8 = 2;

struct FailingFile {
    file: Box<dyn LogFile>,
    mode: Arc<AtomicU8>,
}

impl LogFile for FailingFile {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.mode.load(Ordering::Relaxed) == FULL {
            // A part of it still fits.
            self.file.write_at(&bytes[..bytes.len() / 2], at)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(bytes, at)
    }
    fn sync(&mut self) -> io::Result<()> {
        match self.mode.load(Ordering::Relaxed) {
            FAILS_TO_SYNC => Err(io::Error::from_raw_os_error(nix::libc::EIO)),
            _ => self.file.sync(),
        }
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}

fn open_failing(path: &Path) -> (LocalStore, Arc<AtomicU8>) {
    let mode = Arc::new(AtomicU8::new(WELL));
    let directory = Arc::new(Directory::open(path).unwrap());
    let recovery = recovery::recover(
        &directory,
        recovery::TornEnd::Cut,
        Options::default().local.history,
    )
    .unwrap();
    let mut journal = LogJournal::open(directory, &recovery, &Options::default()).unwrap();
    let disk = mode.clone();
    journal.replace_file(|file| Box::new(FailingFile { file, mode: disk }));
    let store = LocalStore::start(
        recovery.recovered,
        Some(Box::new(journal)),
        Box::new(|| Ok(0)),
        Default::default(),
    );
    (store.unwrap(), mode)
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let (store, disk) = open_failing(directory.path());
    create(&store, "/a", "1").unwrap();
    disk.store(FULL, Ordering::Relaxed);
    assert!(matches!(create(&store, "/b", "2"), Err(Error::Unavailable(_))));
    assert_eq!(keys(&store), ["/a@2"], "reads go on, without the refused write");
    disk.store(WELL, Ordering::Relaxed);
    assert_eq!(create(&store, "/c", "3").unwrap(), Revision(3));
    drop(store);
    assert_eq!(
        keys(&open(directory.path(), Options::default()).unwrap()),
        ["/a@2", "/c@3"]
    );
}

#[test]
fn a_failed_sync_ends_acknowledgements_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let (store, disk) = open_failing(directory.path());
    create(&store, "/a", "1").unwrap();
    disk.store(FAILS_TO_SYNC, Ordering::Relaxed);
    assert!(matches!(create(&store, "/b", "2"), Err(Error::Unavailable(_))));
    disk.store(WELL, Ordering::Relaxed);
    assert!(
        matches!(create(&store, "/c", "3"), Err(Error::Unavailable(_))),
        "the disk's recovery is not believed"
    );
    assert_eq!(keys(&store), ["/a@2"]);
    drop(store);
    // Opened anew, the store shows what is on the disk: the write of unknown outcome may be there, no later one.
    let found = keys(&open(directory.path(), Options::default()).unwrap());
    assert!(found == ["/a@2"] || found == ["/a@2", "/b@3"], "{found:?}");
}

#[test]
fn backup_wipe_restore() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = elsewhere.path().join("backup");
    let store = open(directory.path(), small()).unwrap();
    for n in 0..100 {
        create(&store, &format!("/k/{n:02}"), &"x".repeat(200)).unwrap();
    }
    let saved = read(directory.path()).unwrap();
    save(&file, &saved).unwrap();
    let mut saved = load(&file).unwrap();
    assert_eq!(saved.report().keys, 100);
    create(&store, "/after", "the backup").unwrap();
    let refused = fill(directory.path(), &saved);
    assert!(
        matches!(refused, Err(TransferError::Store(Error::Unavailable(_)))),
        "the store is open"
    );
    drop(store);
    assert!(matches!(
        fill(directory.path(), &saved),
        Err(TransferError::NotEmpty(101))
    ));
    let newer = read(directory.path()).unwrap().report();
    assert_eq!(newer.keys, 101);
    assert_ne!(newer.digest, saved.report().digest);
    fs::remove_dir_all(directory.path()).unwrap();
    saved.skip_revisions(1000);
    fill(directory.path(), &saved).unwrap();
    let restored = read(directory.path()).unwrap().report();
    assert_eq!(
        (restored.digest, restored.revision),
        (saved.report().digest, Revision(1101))
    );
    let store = open(directory.path(), small()).unwrap();
    assert_eq!(create(&store, "/next", "").unwrap(), restored.revision.next());
    assert_eq!(keys(&store)[0], "/k/00@2");
}

/// A backup beside a server that writes, rotates and removes its files all the time.
#[test]
fn a_reader_beside_the_writer_sees_every_acknowledged_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path(), small()).unwrap());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (writer, told) = (store.clone(), acknowledged.clone());
    let writing = std::thread::spawn(move || {
        for n in 0..1500 {
            let revision = create(&writer, &format!("/k/{n:04}"), &"x".repeat(100)).unwrap();
            told.store(revision.0, Ordering::SeqCst);
        }
    });
    let mut reads = 0;
    while !writing.is_finished() {
        let least = acknowledged.load(Ordering::SeqCst);
        let report = read(directory.path()).unwrap().report();
        assert!(report.revision.0 >= least, "{report} lacks a write at {least}");
        assert_eq!(report.keys, report.revision.0 - 1, "one key a revision");
        reads += 1;
    }
    writing.join().unwrap();
    assert!(reads > 0);
}

#[test]
fn a_check_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (log, lens) = three_writes(directory.path());
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(read(directory.path()).unwrap().report().keys, 2);
    assert_eq!(fs::read(&log).unwrap().len(), whole.len() - 1);
    let mut damaged = whole;
    damaged[lens[0] as usize + 30] ^= 1;
    fs::write(&log, &damaged).unwrap();
    assert!(matches!(read(directory.path()).map(drop), Err(Error::Corrupt(_))));
}
