//! The server: configuration in, a handler out.
//!
//! `Config -> Server::build` opens the caches and waits for the indexes of authorizers; what comes out answers
//! requests, on a socket or in a test.

use std::sync::{Arc, Weak};
use std::time::Duration;

use admission::matching::Kinds;
use api::catalogue::{RESOURCES, Resource};
use arc_swap::ArcSwap;
use auth::{Authenticator, Authorizer, TokenAuthenticator};
use component_base::clock::Clock;
use component_base::metrics::Registry;
use component_base::serving;
use flow_control::FlowControl;
use futures_util::future::BoxFuture;
use http::StatusCode;
use storage::cache::{Cache, EncodingBudget, Options as CacheOptions};
use storage::metrics::Metrics as StoreMetrics;
use storage::{Key, Measured, Store, Stores};

use crate::aggregation::Aggregation;
use crate::discovery;
use crate::dispatch::Dispatch;
use crate::health::{Dependencies, Health};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::object_reader::{CachedObjects, follow};
use crate::objects::{Behaviours, Objects, Selectable, indexed_fields, prefix};
use crate::openapi;
use crate::outbound::trust::Identity;
use crate::outbound::{Reach, WebhookClient};
use crate::paths::TokenKeys;
use crate::proxy::Backends;
use crate::render::runs::Runs;
use crate::request::Request;
use crate::request::negotiate::Encoding;
use crate::request::query::Plus;
use crate::resource::{Resources, Table};
use crate::response::{self, Response};
use crate::served_kinds::ServedKinds;
use crate::stack::{self, Refusal, Stack};
use crate::state::Api;
use crate::strategy::Behaviour;
use crate::subresources::TokenIssuer;

/// Bytes of encodings that caches keep beside the stored form, for a while: clients that list, list again.
pub(crate) const KEPT_ENCODINGS_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of compressed parts of lists that are kept: they stand for some ten times as many.
const KEPT_RUNS_BYTES: usize = 16 * 1024 * 1024;
/// An encoding is kept for once to twice that long.
const KEPT_ENCODINGS_AGE: Duration = Duration::from_secs(15);

/// What a kind does in the write path, by its row and subresource (`""`: the resource itself).
/// `None`: this server does not know the kind, and does not serve it.
pub type BehaviourOf = dyn Fn(&'static Resource, &str) -> Option<Behaviour> + Send + Sync;

/// Who may do what: built on top of the objects that are served.
pub struct Security {
    pub authenticator: Arc<dyn Authenticator>,
    /// Answers TokenReviews.
    pub token_authenticator: Arc<dyn TokenAuthenticator>,
    pub authorizer: Arc<dyn Authorizer>,
    pub admission: admission::Chain,
    /// Indexes to be fed before the first request.
    pub followers: Vec<Arc<dyn auth::Follower>>,
}

/// Limits of the request stack.
#[derive(Clone, Debug)]
pub struct Limits {
    pub request_timeout: Duration,
    pub min_request_timeout: Duration,
    pub max_requests_in_flight: usize,
    pub max_mutating_requests_in_flight: usize,
    /// Whether requests wait for their turn within the sum of both limits, instead of being refused beyond each.
    pub priority_and_fairness: bool,
    /// The fraction of requests after which an HTTP/2 client is sent away.
    pub goaway_chance: f64,
    /// How requests are refused that come when the server ends.
    pub refusal: Refusal,
    /// How long unfinished post-start hooks don't make the server count as dead.
    pub livez_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_timeout: Duration::from_secs(60),
            min_request_timeout: Duration::from_secs(1800),
            max_requests_in_flight: 400,
            max_mutating_requests_in_flight: 200,
            priority_and_fairness: true,
            goaway_chance: 0.0,
            refusal: Refusal::Unavailable,
            livez_grace: Duration::ZERO,
        }
    }
}

/// What a server is made of.
pub struct Config {
    pub store: Stores,
    /// What health depends on beside the server itself.
    pub dependencies: Dependencies,
    pub behaviour_of: Box<BehaviourOf>,
    pub limits: Limits,
    pub clock: Arc<dyn Clock>,
    pub metrics: Registry,
    /// `address:port` where clients reach this server.
    pub server_address: String,
    pub token_keys: TokenKeys,
    /// Of tokens that are meant for this server.
    pub audiences: Vec<String>,
    /// Without it there are no TokenRequests.
    pub token_issuer: Option<TokenIssuer>,
    pub backends: Backends,
    pub lifecycle: Lifecycle,
    /// How the services of extension servers are reached.
    pub reach: Reach,
    /// What extension servers know this one by.
    pub proxy_client: Option<Identity>,
}

/// A server that is ready to answer.
#[derive(Clone)]
pub struct Server {
    pub api: Arc<Api>,
    stack: Arc<Stack>,
}

impl Server {
    /// Opens the caches, builds what decides over requests, and waits until that knows all it needs.
    pub async fn build<F>(mut config: Config, security: F) -> Result<Server, crate::Error>
    where
        F: FnOnce(Arc<dyn auth::Objects>, Arc<dyn Kinds>) -> Result<Security, crate::Error>,
    {
        let store_metrics = StoreMetrics::new(&config.metrics);
        let resources = Arc::new(open_resources(&config, &store_metrics));
        for objects in resources.all() {
            objects.cache.ready().await?;
        }
        let objects: Arc<dyn auth::Objects> = Arc::new(CachedObjects {
            resources: resources.clone(),
        });
        let Security {
            authenticator,
            token_authenticator,
            authorizer,
            admission,
            followers,
        } = security(
            objects.clone(),
            Arc::new(ServedKinds {
                resources: resources.clone(),
            }),
        )?;
        let aggregation = Arc::new(Aggregation::new(
            config.reach.services(objects.clone()),
            config.proxy_client.take(),
        ));
        follow(&resources, aggregation.clone()).await?;
        for follower in followers {
            follow(&resources, follower).await?;
        }
        let webhooks = Arc::new(WebhookClient::new(config.reach.services(objects)));
        let metrics = Metrics::new(&config.metrics);
        let flow_control = flow_control(&config, &resources).await?;
        let health = Health::new(
            &config.dependencies,
            &config.lifecycle,
            &config.clock,
            config.limits.livez_grace,
        );
        for hook in [
            "start-apiserver-admission-initializer",
            "generic-apiserver-start-informers",
            "storage-readiness",
            "apiservice-registration-controller",
        ] {
            health.done(hook);
        }
        let api = Arc::new(Api {
            health,
            groups: discovery::Groups::new(discovery::built_in(|_, _| true)),
            openapi: ArcSwap::from_pointee(openapi::Documents::new(|_, _| true)),
            server_address: config.server_address,
            token_keys: config.token_keys,
            audiences: config.audiences,
            token_issuer: config.token_issuer,
            backends: config.backends,
            store: config.store,
            store_metrics,
            resources,
            admission,
            webhooks,
            aggregation,
            token_authenticator,
            authorizer: authorizer.clone(),
            clock: config.clock,
            kept: EncodingBudget::new(KEPT_ENCODINGS_BYTES),
            runs: Runs::new(KEPT_RUNS_BYTES),
            metrics: metrics.clone(),
            min_request_timeout: config.limits.min_request_timeout,
            flow_control: flow_control.clone(),
            lifecycle: config.lifecycle.clone(),
        });
        tokio::spawn(age_encodings(Arc::downgrade(&api)));
        let stack = stack::Config {
            authenticator,
            authorizer,
            metrics,
            lifecycle: config.lifecycle,
            refusal: config.limits.refusal,
            goaway_chance: config.limits.goaway_chance,
            request_timeout: config.limits.request_timeout,
            max_requests_in_flight: config.limits.max_requests_in_flight,
            max_mutating_requests_in_flight: config.limits.max_mutating_requests_in_flight,
            flow_control: flow_control.map(|flow_control| (flow_control, api.resources.clone())),
        };
        let stack = Arc::new(Stack::new(stack, Arc::new(Dispatch { api: api.clone() })));
        Ok(Server { api, stack })
    }

    /// Answers one request.
    pub async fn answer(&self, request: serving::Request) -> Response {
        let (mut head, body) = request.into_parts();
        let Some(peer) = head.extensions.remove::<serving::Peer>() else {
            return response::failure(
                &apimachinery::status::Status::internal("the connection is unknown"),
                Encoding::Json,
            );
        };
        if crate::request::query::decode(head.uri.path(), Plus::IsItself).is_none() {
            return response::text(StatusCode::BAD_REQUEST, "400 Bad Request");
        }
        let path = head.uri.to_string();
        match Request::new(head, body, peer) {
            Ok(mut request) => self.stack.serve(&mut request).await,
            Err(error) => {
                let message =
                    format!("Internal Server Error: {path:?}: failed to create RequestInfo: {error}\n");
                response::plain_error(StatusCode::INTERNAL_SERVER_ERROR, message)
            }
        }
    }
}

impl serving::Handler for Server {
    fn handle(&self, request: serving::Request) -> BoxFuture<'static, Response> {
        let server = self.clone();
        Box::pin(async move { server.answer(request).await })
    }
}

/// Flow control with the objects that are stored now, unless the fixed limits are wanted.
async fn flow_control(config: &Config, resources: &Resources) -> Result<Option<FlowControl>, crate::Error> {
    let limits = &config.limits;
    if !limits.priority_and_fairness {
        return Ok(None);
    }
    let seats = limits
        .max_requests_in_flight
        .saturating_add(limits.max_mutating_requests_in_flight);
    let seats = u32::try_from(seats).unwrap_or(u32::MAX);
    let flow_control = FlowControl::new(seats, config.clock.clone(), &config.metrics);
    follow(resources, Arc::new(flow_control.clone())).await?;
    flow_control.reconfigure();
    Ok(Some(flow_control))
}

/// Lets encodings go that were kept for long enough, as long as the server is there.
async fn age_encodings(api: Weak<Api>) {
    loop {
        tokio::time::sleep(KEPT_ENCODINGS_AGE).await;
        match api.upgrade() {
            Some(api) => {
                api.kept.age();
                api.runs.age();
            }
            None => return,
        }
    }
}

/// Every stored resource of the catalogue with its cache.
fn open_resources(config: &Config, metrics: &Arc<StoreMetrics>) -> Resources {
    let mut resources = Table::default();
    let mut opened: Vec<Arc<Objects>> = Vec::new();
    for row in RESOURCES {
        let Some((group, version)) = row.storage else {
            continue;
        };
        let same = |objects: &&Arc<Objects>| objects.prefix() == prefix(row);
        // Another version or group may be the same in the store.
        let objects = match opened.iter().find(same).cloned() {
            Some(objects) => objects,
            None => {
                let stored = api::catalogue::resource(group, version, row.plural).unwrap_or(row);
                match open_objects(config, metrics, stored) {
                    Some(objects) => objects,
                    None => continue,
                }
            }
        };
        opened.push(objects.clone());
        resources.insert(row, objects);
    }
    Resources::new(resources)
}

fn open_objects(
    config: &Config,
    metrics: &Arc<StoreMetrics>,
    row: &'static Resource,
) -> Option<Arc<Objects>> {
    let main = (config.behaviour_of)(row, "")?;
    let subresources = row
        .subresources
        .iter()
        .filter_map(|sub| Some((sub.name, (config.behaviour_of)(row, sub.name)?)))
        .collect();
    let extract = Arc::new(Selectable::new(row, main.strategy.clone()));
    let metrics = metrics.of(row.group, row.plural);
    let options = CacheOptions {
        indexed_fields: indexed_fields(row),
        metrics: Some(metrics.clone()),
        ..CacheOptions::default()
    };
    let prefix = Key::from(prefix(row));
    let store: Arc<dyn Store> = Arc::new(Measured::new(config.store.of(&prefix).clone(), metrics));
    let cache = Cache::start(store.clone(), prefix, extract, options);
    Some(Arc::new(Objects::new(
        row,
        Behaviours { main, subresources },
        store,
        cache,
    )))
}
