//! Controllers of the cluster itself.
//!
//! In reading order: [`service_account`] and [`root_ca`] furnish namespaces and [`namespace`] empties them;
//! [`garbage_collector`] deletes what has no owner left.
//!
//! Each controller is observe (informer stores), plan (pure) and execute (requests). This crate must not know the
//! controller-manager that starts them, nor any other component.
//!
//! Upstream: pkg/controller/{serviceaccount,certificates/rootcacertpublisher,namespace,garbagecollector}

pub mod garbage_collector;
pub mod namespace;
pub mod node_lifecycle;
pub mod nodes;
pub mod pod_gc;
pub mod root_ca;
pub mod service_account;
pub mod taint_eviction;
