//! What every daemon shares: options, configuration, logging, metrics, health, TLS serving, shutdown.
//!
//! Reading order: [`options`] (command line), [`config`] (configuration files), [`features`] (feature
//! gates), [`logging`], [`version`], [`clock`], [`shutdown`], [`metrics`], [`health`], [`tls`], [`serving`].
//!
//! It knows nothing of any API kind or daemon: the tables of flags, gates and checks come from the caller.
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
pub mod version;
