//! The short forms: seconds each. The long ones are run by `hack/long-runs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use history::flood::{self, Flood};
use history::readers::{self, Readers};
use history::schedule::{Backend, COMPACTION, Schedule};
use history::site::Settings;
use history::{kills, seeds};

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_history"))
}

fn settings(backend: Backend) -> Settings {
    Settings {
        backend,
        server: (program(), vec!["server".to_owned()]),
        more_flags: Vec::new(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs schedules on one site and expects no violation.
fn check(backend: Backend, schedules: impl Iterator<Item = Schedule>) -> Option<seeds::Summary> {
    let settings = Settings {
        more_flags: vec![COMPACTION.to_owned()],
        ..settings(backend)
    };
    let outcome = runtime().block_on(seeds::run_all(&settings, schedules, true));
    let Some(summary) = outcome.unwrap() else {
        println!("skipped: etcd is not installed");
        return None;
    };
    assert!(
        summary.failed.is_empty(),
        "violations in seeds {:?}",
        summary.failed
    );
    Some(summary)
}

fn check_seeds(backend: Backend) {
    check(backend, (1..=3).map(|seed| Schedule::new(seed, backend)));
}

#[test]
fn histories_over_memory_are_right() {
    check_seeds(Backend::Memory);
}

#[test]
fn histories_over_the_embedded_store_are_right() {
    check_seeds(Backend::Embedded);
}

#[test]
fn histories_over_etcd_are_right() {
    check_seeds(Backend::Etcd);
}

#[test]
fn a_server_killed_twenty_times_loses_nothing() {
    let Some(summary) = check(Backend::Embedded, std::iter::once(Schedule::with_kills(7, 20))) else {
        panic!("the embedded store needs nothing installed");
    };
    let figures = summary.figures;
    assert!(figures.faults == 20 && figures.lost > 0, "{figures}");
    assert!(figures.writes > 50 && figures.deletes > 10, "{figures}");
}

#[test]
fn a_killed_store_has_all_that_it_acknowledged() {
    let settings = kills::Settings {
        program: program(),
        cycles: 40,
        seed: 1,
        report_every: 0,
    };
    let figures = kills::run(&settings).unwrap();
    assert!(figures.acknowledged > 400 && figures.events > 50, "{figures}");
}

#[test]
fn a_flood_of_events_arrives_in_full() {
    let settings = Settings {
        more_flags: vec!["--etcd-compaction-interval=200ms".to_owned()],
        ..settings(Backend::Embedded)
    };
    let flood = Flood {
        events: 30_000,
        watchers: 20,
        owners: 4,
        kill_every: Duration::from_secs(1),
        seed: 1,
    };
    let figures = runtime().block_on(flood::run(&settings, &flood)).unwrap();
    let figures = figures.unwrap();
    println!("{figures}");
    assert!(figures.events >= flood.events && figures.kills > 0, "{figures}");
}

#[test]
fn readers_that_do_not_read_harm_nobody() {
    let readers = Readers {
        watchers: 60,
        changes: 10,
    };
    let figures = runtime().block_on(readers::run(&settings(Backend::Memory), readers));
    let figures = figures.unwrap().unwrap();
    println!("{figures}");
    assert_eq!(figures.told_expired, 2, "both are told that they fell behind");
    let (before, after) = (figures.before.memory_kib, figures.stuck.memory_kib);
    // The history of the cache is 32 MiB, a watcher's buffer 8 MiB here, its stream's window one.
    assert!(after < before + (64 << 10), "{before} KiB became {after} KiB");
}
