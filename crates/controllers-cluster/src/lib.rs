//! Controllers of the cluster itself.
//!
//! In reading order: [`service_account`] and [`root_ca`] furnish namespaces, [`service_account_tokens`] fills secrets and [`namespace`] empties them;
//! [`garbage_collector`] deletes what has no owner left; [`nodes`] is what the next three share: [`node_lifecycle`]
//! watches over nodes, [`taint_eviction`] evicts from tainted ones, [`pod_gc`] deletes pods that no kubelet will;
//! [`disruption`] accounts for evictions; [`certificates`] approves, signs and cleans up signing requests; [`role_aggregation`] fills cluster roles made of
//! others; [`resource_quota`] counts what namespaces use; [`bootstrap_signer`] vouches for the
//! cluster to nodes that join; [`token_cleaner`] and [`node_ttl`] are small chores.
//!
//! Each controller is observe (informer stores), plan (pure) and execute (requests). This crate must not know the
//! controller-manager that starts them, nor any other component.
//!
//! Upstream: pkg/controller/{serviceaccount,certificates,namespace,garbagecollector,nodelifecycle,tainteviction,podgc,
//! clusterroleaggregation,bootstrap,ttl,disruption,resourcequota}

pub mod bootstrap_signer;
pub mod certificates;
pub mod disruption;
pub mod garbage_collector;
pub mod namespace;
pub mod node_lifecycle;
pub mod node_ttl;
pub mod nodes;
pub mod pod_gc;
pub mod resource_quota;
pub mod role_aggregation;
pub mod root_ca;
pub mod service_account;
pub mod service_account_tokens;
pub mod taint_eviction;
pub mod token_cleaner;
