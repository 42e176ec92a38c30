//! The built-in resources: what each kind defaults, clears, checks and shows.
//!
//! Reading order: [`rules`] (what a kind can differ in, and the adapter to the server's strategy), [`metadata`]
//! (rules of all objects), [`label_selector`], [`numbers`] and [`resources`] (parts that many kinds have), `warnings`, [`builtin`] (which kind has which rules), [`behaviour`](mod@behaviour) (the same with what it needs of
//! the cluster), then the API groups: [`core`], [`apps`],
//! [`batch`], [`networking`], and the rest. [`table`] renders the cells of `kubectl get`.
//!
//! Defaulting and validation are pure functions on typed structs: no store, no clock, no request. What must look
//! further (a Service's addresses) is a hook, in the module of its kind. Nothing here knows HTTP.
//!
//! Upstream: `pkg/registry`, `pkg/apis/*/{validation,v1/defaults.go}`, `pkg/printers/internalversion`.

pub mod behaviour;
pub mod builtin;
pub(crate) mod conditions;
pub(crate) mod internal;
pub mod label_selector;
pub mod metadata;
pub mod numbers;
pub mod resources;
pub mod rules;
pub mod scale;
pub mod table;
pub(crate) mod warnings;
pub mod webhook_client;

pub mod admissionregistration;
pub mod apps;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod extensions;
pub mod flowcontrol;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod resource;
pub mod scheduling;
pub mod storage;

pub use behaviour::{Config, behaviour};
pub use builtin::strategy;
pub use core::service::addresses::Cidr;
pub use core::service::node_ports;
pub use core::service::ports::{NodePorts, PortRange};
