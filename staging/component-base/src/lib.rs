//! What every daemon shares: options, configuration, logging, metrics, health, TLS serving, shutdown.
//!
//! Reading order: [`options`] (command line), [`config`] (configuration files), [`features`] (feature
//! gates), [`logging`], [`version`], [`clock`], [`shutdown`], [`metrics`], [`health`], [`tls`], [`serving`].
//!
//! [`upstream`] holds tables of the flags and gates that upstream's daemons accept; beyond those it knows
//! nothing of any API kind or daemon.
//! Nothing here is a process global except the tracing subscriber that [`logging::init`] installs.
//!
//! Upstream: `staging/src/k8s.io/component-base`, and the serving half of `k8s.io/apiserver/pkg/server`.

pub mod clock;
pub mod config;
pub mod features;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod options;
pub mod serving;
pub mod shutdown;
pub mod tls;
pub mod upstream;
pub mod version;
