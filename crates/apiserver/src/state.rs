//! What handlers share.

use std::sync::Arc;
use std::time::Duration;

use auth::{Authenticator, Authorizer};
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use storage::Store;
use storage::cache::EncodingBudget;

use crate::discovery::Group;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::paths::TokenKeys;
use crate::resource::Resources;

/// The server's parts, built once.
pub struct Api {
    pub store: Arc<dyn Store>,
    pub resources: Arc<Resources>,
    pub admission: admission::Chain,
    pub authenticator: Arc<dyn Authenticator>,
    pub authorizer: Arc<dyn Authorizer>,
    pub clock: Arc<dyn Clock>,
    /// Keeps the JSON of cached objects while it is asked for.
    pub kept: EncodingBudget,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    /// What discovery shows.
    pub groups: Vec<Group>,
    /// `address:port` where clients reach this server.
    pub server_address: String,
    pub token_keys: TokenKeys,
    /// Watches without a timeout of their own last so long, up to twice.
    pub min_request_timeout: Duration,
    pub shutdown: Shutdown,
}
