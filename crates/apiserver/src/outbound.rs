//! Servers that this one calls: webhooks, aggregated servers.
//!
//! [`services`] finds where a service is, [`trust`] how its certificate is checked, [`dial`] gets there, [`webhook`] posts
//! a document and reads the answer over connections that are kept.
//!
//! Upstream: `k8s.io/apiserver/pkg/util/{webhook,proxy}`, `kube-aggregator/pkg/apiserver/resolvers.go`.

pub mod dial;
pub mod services;
pub mod trust;
pub mod webhook;

pub use services::{Reach, Routing, Services};
pub use webhook::WebhookClient;
