//! Cluster DNS: names for services and pods, by the specification of kubernetes/dns; the rest is forwarded.
//!
//! Reading order: [`service`] (Services and EndpointSlices reduced to what names need), [`zone`] (their current
//! state), [`lookup`] (from a name to records, pure), [`message`] (from a query's bytes to an answer's), [`cache`] and
//! [`forward`] (names of others), [`resolver`] (all of these together), [`server`] (UDP and TCP), [`metrics`],
//! [`options`], [`daemon`].
//!
//! It must not know how services get their addresses. The wire format is hickory-proto's.
//!
//! Upstream: CoreDNS with its plugins kubernetes, forward, cache and loop, as kubeadm configures it

pub mod cache;
pub mod daemon;
pub mod forward;
pub mod lookup;
pub mod message;
pub mod metrics;
pub mod options;
pub mod resolver;
pub mod server;
pub mod service;
pub mod zone;
