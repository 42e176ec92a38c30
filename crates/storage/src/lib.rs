//! Versioned key-value contract, its implementations, and the watch cache over it.
//!
//! Owns: what a store promises, how it keeps the promise in memory and on disk, and the cache from which the
//! API server answers reads and watches. Reading order:
//!
//! - `contract`: revisions, keys, compare-and-swap, ranges, watch, follow.
//! - `value`: what stands at a key, plain or packed; `packer`: the values of a kind, packed against each other.
//! - `versioned`: the pure heart of both stores and caches: a persistent ordered map with a bounded history.
//! - `local`: the store within the process: one writer thread, group commit, followers fed in commit order.
//! - [`memory`] and [`embedded`]: the local store without and with a log on disk.
//! - [`etcd`]: the store on an etcd cluster.
//! - `translated`: a store seen through a translation; [`encryption`]: plain values over a store that keeps them
//!   encrypted; [`rooted`]: keys under another root.
//! - [`metrics`], `measured`: what is measured, and a store that does it.
//! - `stores`: which store holds which keys.
//! - [`update`]: compare-and-swap loops.
//! - [`compaction`]: history goes by time.
//! - [`contents`], [`digest`]: everything that a store holds, for backups and for another store; the comparison.
//! - [`cache`]: entries, snapshots, watchers.
//!
//! Must not know: HTTP, object kinds, encodings. Bytes go in and come out; an injected [`cache::Extract`] reads
//! labels and fields from them.
//!
//! Upstream: `apiserver/pkg/storage` (`etcd3`, `cacher`), and etcd itself for the embedded store.

pub mod contents;
mod contract;
pub mod digest;
mod error;

pub mod cache;
pub mod compaction;
pub mod embedded;
pub mod encryption;
pub mod etcd;
mod local;
mod measured;
pub mod memory;
pub mod metrics;
mod packer;
pub mod rooted;
mod stores;
mod translated;
pub mod update;
mod value;
mod versioned;

pub use contract::{
    Event, Expect, Follower, Following, Found, Key, KeyValue, RangeRequest, RangeResponse, Revision, Store,
    WatchItem, WatchStream, Write,
};
pub use error::Error;
pub use measured::Measured;
pub use stores::Stores;
pub use value::Value;
pub use versioned::HistoryLimit;
