//! The generic API server: every resource through one stack, one path a verb, one write path.
//!
//! Follow `kubectl apply` top-down: [`server`] (what a server is made of), [`stack`] (what each request passes),
//! [`request`] (what it asks for), [`dispatch`] (who serves it), `routes` (what its path takes), [`verbs`] (one path for each verb), [`decode`]
//! (bodies), [`write`] (the write path), [`managed_fields`] (who set which field), [`objects`] (keys and stored form), [`conversion`] (by webhooks), [`render`] (the answer's form),
//! [`response`]. Beside these: [`lifecycle`] (how a server ends), [`strategy`] (what a kind adds), [`resource`], [`kind`] and [`proto`] (versions and
//! envelopes), [`subresources`], [`virtual_resources`], [`paths`] (health, version, metrics, discovery),
//! [`object_reader`] (what authorizers and admission see), [`metrics`].
//!
//! It knows no kind of the API: what is peculiar to one comes as a [`strategy::Strategy`] from the registry. Nor
//! does it know how objects are stored beyond the store's contract.
//!
//! Upstream: `k8s.io/apiserver/pkg/{server,endpoints,registry}`.

pub mod aggregation;
pub mod conversion;
pub mod decode;
mod deprecation;
pub mod discovery;
mod dispatch;
mod error;
pub mod health;
pub mod kind;
pub mod lifecycle;
pub mod local;
pub mod managed_fields;
pub mod metrics;
pub mod object_reader;
pub mod objects;
pub mod openapi;
pub mod outbound;
pub mod paths;
pub mod proto;
pub mod proxy;
pub mod render;
pub mod request;
pub mod resource;
pub mod response;
mod routes;
pub mod served_kinds;
pub mod server;
pub mod stack;
pub mod state;
pub mod strategy;
pub mod subresources;
mod unstructured;
pub mod verbs;
pub mod virtual_resources;
mod websocket;
pub mod write;

pub use error::Error;
pub use server::{Config, Limits, Security, Server};
