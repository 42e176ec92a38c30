//! kill -9 of a process that writes to an embedded store: nothing that it was told is durable gets lost.
//!
//! `OXIKUBE_KILL_CYCLES` sets the number of cycles (20 when unset).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use storage::{Expect, RangeRequest, Revision, Store, Write, embedded};

const DIRECTORY: &str = "OXIKUBE_KILL_DIRECTORY";
const WRITERS: usize = 4;

fn options() -> embedded::Options {
    embedded::Options {
        segment_bytes: 32 << 10,
        snapshot_after_bytes: 64 << 10,
        ..Default::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The child's part: does nothing when the test harness runs it, as the variable is unset then.
#[test]
fn child_writes_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(embedded::open(Path::new(&directory), options()).unwrap());
    runtime().block_on(async {
        let writers = (0..WRITERS).map(|writer| write_forever(store.clone(), format!("/w/{writer}")));
        futures_util::future::join_all(writers).await;
    });
}

/// Counts a key up, and says so after each acknowledged write.
async fn write_forever(store: Arc<dyn Store>, key: String) {
    loop {
        let (_, current) = store.get(key.as_bytes(), None).await.unwrap();
        let (expect, count) = match &current {
            None => (Expect::Absent, 0),
            Some(item) => (Expect::Unchanged(item.mod_revision), count(&item.value)),
        };
        let value = Bytes::from(format!("{} {}", count + 1, "x".repeat(300 + count % 900)));
        let revision = store
            .commit(key.as_bytes(), expect, Write::Put { value, ttl: None })
            .await
            .unwrap();
        println!("acknowledged {key} {} {revision}", count + 1);
    }
}

fn count(value: &[u8]) -> usize {
    let text = std::str::from_utf8(value).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn acknowledged_writes_survive_kill() {
    let cycles = std::env::var("OXIKUBE_KILL_CYCLES").map_or(20, |cycles| cycles.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for cycle in 0..cycles {
        kill_after(directory.path(), 20 + cycle * 37 % 400, &mut acknowledged);
        verify(directory.path(), &acknowledged);
    }
    assert_eq!(acknowledged.len(), WRITERS);
}

/// Runs the child until it has acknowledged that many writes, kills it, and notes all it has acknowledged.
fn kill_after(directory: &Path, writes: usize, acknowledged: &mut BTreeMap<String, (usize, Revision)>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_writes_until_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    for line in lines.map_while(Result::ok) {
        // The harness may print its own line before the child's first on the same one.
        let Some((_, line)) = line.split_once("acknowledged ") else {
            continue;
        };
        let fields: Vec<_> = line.split(' ').collect();
        // A line may be cut by the kill.
        if let [key, count, revision] = fields[..]
            && let (Ok(count), Ok(revision)) = (count.parse(), revision.parse())
        {
            let before = acknowledged.entry(key.to_owned()).or_insert((0, Revision(0)));
            *before = (*before).max((count, Revision(revision)));
        }
        seen += 1;
        if seen == writes {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= writes, "the child ended by itself after {seen} writes");
}

fn verify(directory: &Path, acknowledged: &BTreeMap<String, (usize, Revision)>) {
    let store = embedded::open(directory, options()).unwrap();
    let page = runtime()
        .block_on(store.range(RangeRequest {
            prefix: "/w/".into(),
            ..Default::default()
        }))
        .unwrap();
    let found: BTreeMap<_, _> = page
        .items
        .iter()
        .map(|item| (item.key.to_string(), item))
        .collect();
    for (key, (told, revision)) in acknowledged {
        let item = found.get(key).unwrap_or_else(|| panic!("{key} is lost"));
        assert!(
            count(&item.value) >= *told,
            "{key}: {told} was acknowledged, {} found",
            count(&item.value)
        );
        assert!(item.mod_revision >= *revision);
    }
    let disk = runtime().block_on(store.size_on_disk()).unwrap();
    assert!(disk < 1 << 20, "{disk} bytes for {WRITERS} keys");
}
