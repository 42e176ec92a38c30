//! Real etcd servers for tests: each a process on free ports, with its data in a temporary directory.
//!
//! Reading order: [`programs`] (which servers there are), [`Server`] (one that runs), [`certificates`] (for TLS both
//! ways), [`ports`] (where it listens).
//!
//! Must not know: stores, clients. Tests of the store, of the API server and of whole clusters share it.

pub mod certificates;
pub mod ports;
pub mod programs;
mod server;

pub use certificates::Certificates;
pub use programs::{Program, programs};
pub use server::{Error, Server};
