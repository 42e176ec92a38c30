//! Nothing lost, shown by tests: what clients of a server were told, while it is killed, paused and cut off, must be
//! one history, and everything acknowledged must be in it.
//!
//! Reading order: [`record`] (what clients did and were told), [`check`] (pure: whether that could have been),
//! [`schedule`] (pure: a run from its seed), [`site`] with [`process`] and [`relay`] (servers, store, and what
//! faults act on), [`clients`], [`watchers`], [`faults`], [`run`] (one seed), [`seeds`] (many).
//! Beside them: [`script`] and [`kills`] (the embedded store alone, killed), [`ledger`] and [`flood`] (millions of
//! events), [`readers`] (watchers that do not read).
//!
//! The short forms run with `cargo test`, the long ones with `hack/long-runs`.
//!
//! Upstream: `tests/robustness` of etcd, for the idea of judging histories.

pub mod check;
pub mod clients;
pub mod error;
pub mod faults;
pub mod flood;
pub mod journal;
pub mod kills;
pub mod ledger;
pub mod objects;
pub mod process;
pub mod random;
pub mod readers;
pub mod record;
pub mod relay;
pub mod run;
pub mod schedule;
pub mod script;
pub mod seeds;
pub mod site;
pub mod watchers;

pub use error::Error;
