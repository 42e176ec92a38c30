//! The daemon: watches nodes, reconciles, serves health and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::core::v1::Node;
use client::{Client, Config};
use component_base::features::FeatureGates;
use component_base::health::{Checks, Latch};
use component_base::metrics::Registry;
use component_base::serving::{Request, Response, Server, body};
use component_base::shutdown::Shutdown;
use component_base::version;
use controller_runtime::watcher::{self, Change};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::metrics::Metrics;
use crate::node::NodeNetwork;
use crate::options::Options;
use crate::reconciler::{Reconciler, State};

/// How often the kernel is compared even though no node changed: someone may have removed a route.
const RESYNC: Duration = Duration::from_secs(30);
/// After a failure, such as a next hop that isn't reachable yet.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] client::config::Error),
    #[error("cannot listen on {address}")]
    Listen {
        address: std::net::SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Reconcile(#[from] crate::reconciler::Error),
    #[error("the reconciliation broke off")]
    Broken(#[from] tokio::task::JoinError),
}

/// The nodes as last seen.
#[derive(Default)]
struct Nodes {
    known: Mutex<BTreeMap<String, NodeNetwork>>,
    synced: Latch,
    changed: Notify,
}

impl Nodes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, NodeNetwork>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, change: Change<Node>) {
        let mut known = self.lock();
        let before = known.clone();
        match change {
            Change::Replace(nodes) => {
                *known = nodes
                    .iter()
                    .map(|node| (node.metadata.name.clone(), NodeNetwork::new(node)))
                    .collect();
                self.synced.open();
            }
            Change::Apply(node) => {
                known.insert(node.metadata.name.clone(), NodeNetwork::new(&node));
            }
            Change::Delete(node) => {
                known.remove(&node.metadata.name);
            }
        }
        // Heartbeats change nodes every few minutes, but not their addresses.
        if *known != before {
            self.changed.notify_one();
        }
    }
}

/// The daemon, bound and not yet started.
pub struct Daemon {
    client: Client,
    nodes: Arc<Nodes>,
    reconciler: Reconciler,
    metrics: Metrics,
    registry: Registry,
    ready: Latch,
    listener: Option<TcpListener>,
}

impl Daemon {
    pub async fn build(options: Options) -> Result<Self, Error> {
        let registry = Registry::new();
        registry.describe_process(&FeatureGates::new(&[]));
        let mut config = match &options.kubeconfig {
            Some(path) => Config::from_kubeconfig(path)?,
            None => Config::in_cluster()?,
        };
        if let Some(server) = options.server {
            config = config.with_server(server);
        }
        let client = Client::new(config.with_user_agent(version::user_agent("pod-network")))?;
        let listener = match options.bind_address {
            None => None,
            Some(address) => {
                let bound = TcpListener::bind(address).await;
                Some(bound.map_err(|source| Error::Listen { address, source })?)
            }
        };
        Ok(Self {
            client,
            nodes: Arc::default(),
            reconciler: Reconciler::new(options.settings),
            metrics: Metrics::new(&registry),
            registry,
            ready: Latch::default(),
            listener,
        })
    }

    /// Works until the shutdown; what it made stays, so that pods go on talking.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let nodes = Arc::clone(&self.nodes);
        let source = Arc::new(self.client.api::<Node>().all());
        let sink = move |change| nodes.take(change);
        tokio::spawn(watcher::run(
            source,
            watcher::Options::default(),
            sink,
            shutdown.clone(),
        ));
        if let Some(listener) = self.listener {
            tokio::spawn(serve(
                listener,
                self.registry.clone(),
                self.ready.clone(),
                shutdown.clone(),
            ));
        }
        let mut reconciler = self.reconciler;
        loop {
            let (returned, pause) = reconcile(reconciler, &self.nodes, &self.metrics, &self.ready).await?;
            reconciler = returned;
            tokio::select! {
                () = shutdown.wait() => return Ok(()),
                () = self.nodes.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// One comparison, on a thread that may block; gives the reconciler back, and when to compare again.
async fn reconcile(
    mut reconciler: Reconciler,
    nodes: &Nodes,
    metrics: &Metrics,
    ready: &Latch,
) -> Result<(Reconciler, Duration), Error> {
    if !nodes.synced.is_open() {
        return Ok((reconciler, RESYNC));
    }
    let known = nodes.lock().clone();
    let work = move || {
        let result = reconciler.reconcile(&known);
        (reconciler, result)
    };
    let (reconciler, result) = tokio::task::spawn_blocking(work).await?;
    let pause = match result {
        Ok(State::Waiting) => {
            warn!("the node has no pod range yet");
            RESYNC
        }
        Ok(State::Ready { routes }) => {
            if !ready.is_open() {
                info!(routes, "pod network ready");
            }
            ready.open();
            metrics.syncs.with_label_values(&["success"]).inc();
            metrics.routes.set(i64::try_from(routes).unwrap_or(i64::MAX));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            metrics.last_sync.set(now.as_secs_f64());
            RESYNC
        }
        Err(problem) => {
            error!(error = %problem, "pod network is not as planned");
            metrics.syncs.with_label_values(&["error"]).inc();
            RETRY
        }
    };
    Ok((reconciler, pause))
}

async fn serve(listener: TcpListener, registry: Registry, ready: Latch, shutdown: Shutdown) {
    let mut health = Checks::new("healthz");
    health.add_latch("pod-network", &ready);
    let health = Arc::new(health);
    let handler = move |request: Request| {
        let (registry, health) = (registry.clone(), Arc::clone(&health));
        async move { respond(&request, &registry, &health) }
    };
    Server::default()
        .serve(listener, None, Arc::new(handler), shutdown)
        .await;
}

fn respond(request: &Request, registry: &Registry, health: &Checks) -> Response {
    let uri = request.uri();
    match uri.path() {
        "/metrics" => registry.respond(),
        path => health
            .respond(path, uri.query())
            .unwrap_or_else(|| body::text(http::StatusCode::NOT_FOUND, "404 page not found\n")),
    }
}
