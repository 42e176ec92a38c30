//! Client of the Kubernetes API: what client-go's `rest`, `kubernetes`, `dynamic`, `metadata` and `discovery`
//! packages are to Go.
//!
//! In reading order: [`config`] (kubeconfig, in-cluster) says where the server is and who we are; [`transport`]
//! carries requests (hyper and rustls, or a fake in tests); [`request`] builds them, purely; [`Client`] adds
//! credentials, the rate limit and retries; [`Api`] is the typed view of one resource, [`metadata`] and
//! [`dynamic`] the views of resources known only at run time, [`watch`] the stream of their changes,
//! [`discovery`] the list of what the server serves. [`wire`] frames protobuf without knowing the kinds.
//!
//! This crate must not know any controller, cache or daemon, and keeps no process globals.
//!
//! Upstream: staging/src/k8s.io/client-go/{rest,kubernetes,dynamic,metadata,discovery,tools/clientcmd}

mod api_handle;
mod client;
pub mod config;
pub mod credentials;
pub mod discovery;
pub mod dynamic;
mod error;
pub mod metadata;
pub mod params;
pub mod rate_limit;
pub mod request;
pub mod transport;
pub mod watch;
pub mod wire;

pub use api_handle::{Api, ObjectList};
pub use client::{Client, Response};
pub use config::Config;
pub use error::Error;
pub use metadata::HasMetadata;
pub use params::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
pub use request::{Request, ResourcePath, Scope};
pub use watch::{Bookmark, WatchEvent, WatchStream};
