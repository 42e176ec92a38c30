//! The Kubernetes API: descriptor tables, a codec that walks them, and typed structs per kind.
//!
//! Generated from the tables under `api/` by `hack/codegen`: the groups' modules, [`types::generated`] and the
//! resource [`catalogue`]. Written by hand, in reading order: [`types`] (what a descriptor says), [`message`] (what
//! every struct can do), [`wire`] (protobuf of typed structs), [`codec`] (JSON, YAML and protobuf by descriptor),
//! [`catalogue`] (what is served), [`custom`] (objects of kinds without a table), [`smp`] (strategic merge patch), [`descriptions`] (what types and fields mean).
//!
//! Nothing here does IO, knows a server or a client, or validates beyond form.
//!
//! Upstream: `staging/src/k8s.io/api`, `apimachinery/pkg/runtime/serializer`, `apimachinery/pkg/util/strategicpatch`.

pub mod catalogue;
pub mod codec;
pub mod custom;
pub mod descriptions;
pub mod message;
pub mod runtime;
pub mod smp;
pub mod types;
pub mod wire;

pub mod admission;
pub mod admissionregistration;
pub mod apidiscovery;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod events;
pub mod flowcontrol;
pub mod meta;
pub mod networking;
pub mod node;
pub mod node_affinity;
pub mod pod_conditions;
pub mod pod_references;
pub mod pod_requests;
pub mod policy;
pub mod qos;
pub mod quota;
pub mod rbac;
pub mod resource;
pub mod scheduling;
pub mod selector;
pub mod storage;
pub mod taints;

pub use custom::Custom;
pub use message::{Kind, List, Message, Object, Resource};
