//! Test support: a whole API server in this process, with real certificates, a real port and the memory store.
//!
//! ```ignore
//! let server = ApiServer::start().await;
//! let pods = server.client().api::<Pod>().namespace("default");
//! ```
//!
//! For tests only: everything here panics where a test would fail anyway.

#![allow(clippy::panic, clippy::unwrap_used)]

mod api_server;

pub use api_server::ApiServer;
