//! One suite for every store: what the contract promises, shown on each implementation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cases;
mod etcd;
mod history;
mod subject;

use etcd::Etcd;
use subject::{Embedded, Memory, Subject, Translated};

/// Runs each case against each store, one test a pair.
macro_rules! cases {
    ($($case:ident),* ; local only: $($local:ident),*) => {
        mod memory { use super::*; $(#[test] fn $case() { run(Memory::default(), cases::$case); })* $(#[test] fn $local() { run(Memory::default(), cases::$local); })* }
        mod embedded { use super::*; $(#[test] fn $case() { run(Embedded::default(), cases::$case); })* $(#[test] fn $local() { run(Embedded::default(), cases::$local); })* }
        mod translated { use super::*; $(#[test] fn $case() { run(Translated::default(), cases::$case); })* $(#[test] fn $local() { run(Translated::default(), cases::$local); })* }
        // Once for each version of etcd that there is.
        mod etcd_v3 {
            use super::*;
            $(#[test] fn $case() { for etcd in Etcd::each() { run(etcd, cases::$case); } })*
        }
    };
}

cases!(
    writes_follow_expectations,
    revisions_grow_by_one,
    reads_in_the_past,
    ranges_page_at_a_revision,
    prefixes_do_not_leak,
    watch_from_a_revision_has_no_gap,
    watch_from_now,
    compaction_ends_the_past,
    future_revisions_are_refused,
    keys_expire,
    concurrent_writers_lose_nothing,
    followers_are_never_behind,
    too_large_writes_are_refused,
    history_is_linearizable;
    // etcd tells progress only every ten minutes by itself.
    local only: watch_of_a_quiet_prefix_progresses
);

fn run<S: Subject, F: Future<Output = ()>>(subject: S, case: impl FnOnce(S) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(case(subject));
}
