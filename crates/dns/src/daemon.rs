//! The daemon: watches, sockets, health.

use std::net::SocketAddr;
use std::sync::Arc;

use api::core::v1::{Namespace, Service};
use api::discovery::v1::EndpointSlice;
use client::{Client, Config};
use component_base::clock::Clock;
use component_base::features::FeatureGates;
use component_base::metrics::Registry;
use component_base::serving::{Request, Response, Server, body};
use component_base::shutdown::Shutdown;
use component_base::version;
use controller_runtime::watcher;
use hickory_proto::op::Message;
use hickory_proto::rr::Name;
use http::StatusCode;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::forward::{Forwarder, name_servers};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::resolver::Resolver;
use crate::server::Sockets;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] client::config::Error),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the name of the loop probe")]
    Name(#[from] hickory_proto::ProtoError),
}

/// The daemon, bound and not yet started.
pub struct Daemon {
    client: Client,
    resolver: Arc<Resolver>,
    registry: Registry,
    sockets: Sockets,
    health: TcpListener,
    ready: TcpListener,
    metrics: TcpListener,
    lame_duck: std::time::Duration,
    clock: Arc<dyn Clock>,
}

impl Daemon {
    pub async fn build(options: Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let registry = Registry::new();
        registry.describe_process(&FeatureGates::new(&[]));
        let mut config = match &options.kubeconfig {
            Some(path) => Config::from_kubeconfig(path)?,
            None => Config::in_cluster()?,
        };
        if let Some(server) = options.server {
            config = config.with_server(server);
        }
        let client = Client::new(config.with_user_agent(version::user_agent("kube-dns")))?;
        let servers = match options.upstream.is_empty() {
            true => resolv_conf(&options.resolv_conf),
            false => options.upstream,
        };
        info!(?servers, domain = %options.domain.name, "starting");
        let forwarder = Forwarder::new(servers);
        let metrics = Metrics::new(&registry);
        let resolver = Resolver::new(
            options.domain,
            forwarder,
            metrics,
            Arc::clone(&clock),
            &loop_name()?,
        );
        let address = options.bind_address;
        let sockets = Sockets::bind(address).map_err(|source| Error::Listen { address, source })?;
        Ok(Self {
            client,
            resolver: Arc::new(resolver),
            registry,
            sockets,
            health: listen(options.health_address).await?,
            ready: listen(options.ready_address).await?,
            metrics: listen(options.metrics_address).await?,
            lame_duck: options.lame_duck,
            clock,
        })
    }

    /// Works until the shutdown, and a while longer: until every client knows, they go on asking here.
    pub async fn run(self, shutdown: Shutdown) {
        let stop = Shutdown::new();
        self.watch(&stop);
        let health = shutdown.clone();
        let healthy = move || !health.is_triggered();
        tokio::spawn(serve(self.health, "/health", healthy, stop.clone()));
        let (resolver, leaving) = (Arc::clone(&self.resolver), shutdown.clone());
        let ready = move || resolver.is_ready() && !leaving.is_triggered();
        tokio::spawn(serve(self.ready, "/ready", ready, stop.clone()));
        tokio::spawn(serve_metrics(self.metrics, self.registry, stop.clone()));
        let resolver = Arc::clone(&self.resolver);
        tokio::spawn(async move { resolver.probe_for_loop().await });
        let (clock, lame_duck, end) = (self.clock, self.lame_duck, stop.clone());
        tokio::spawn(async move {
            shutdown.wait().await;
            clock.sleep(lame_duck).await;
            end.trigger();
        });
        self.sockets.serve(self.resolver, stop).await;
    }

    fn watch(&self, shutdown: &Shutdown) {
        let options = watcher::Options::default;
        let (resolver, source) = (
            Arc::clone(&self.resolver),
            Arc::new(self.client.api::<Namespace>().all()),
        );
        let sink = move |change| resolver.update(|zone| zone.take_namespace(change));
        tokio::spawn(watcher::run(source, options(), sink, shutdown.clone()));
        let (resolver, source) = (
            Arc::clone(&self.resolver),
            Arc::new(self.client.api::<Service>().all()),
        );
        let sink = move |change| resolver.update(|zone| zone.take_service(change));
        tokio::spawn(watcher::run(source, options(), sink, shutdown.clone()));
        let (resolver, source) = (
            Arc::clone(&self.resolver),
            Arc::new(self.client.api::<EndpointSlice>().all()),
        );
        let sink = move |change| resolver.update(|zone| zone.take_slice(change));
        tokio::spawn(watcher::run(source, options(), sink, shutdown.clone()));
    }
}

/// A file that can't be read means that nothing is forwarded; the cluster's own names work all the same.
fn resolv_conf(path: &std::path::Path) -> Vec<SocketAddr> {
    match std::fs::read_to_string(path) {
        Ok(text) => name_servers(&text),
        Err(error) => {
            warn!(path = %path.display(), %error, "name servers can't be read: other names are not forwarded");
            Vec::new()
        }
    }
}

/// A name that nobody else asks for; message identifiers are random numbers.
fn loop_name() -> Result<Name, hickory_proto::ProtoError> {
    let [a, b, c, d] = std::array::from_fn(|_| Message::query().metadata.id);
    Name::from_ascii(format!("{a:04x}{b:04x}{c:04x}{d:04x}.loop-probe.kube-dns."))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

/// Answers one path by a yes-or-no question.
async fn serve(
    listener: TcpListener,
    path: &'static str,
    check: impl Fn() -> bool + Send + Sync + 'static,
    shutdown: Shutdown,
) {
    let handler = move |request: Request| {
        let response = match (request.uri().path() == path, check()) {
            (false, _) => not_found(),
            (true, true) => body::text(StatusCode::OK, "OK"),
            (true, false) => body::text(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        };
        async move { response }
    };
    Server::default()
        .serve(listener, None, Arc::new(handler), shutdown)
        .await;
}

async fn serve_metrics(listener: TcpListener, registry: Registry, shutdown: Shutdown) {
    let handler = move |request: Request| {
        let response = if request.uri().path() == "/metrics" {
            registry.respond()
        } else {
            not_found()
        };
        async move { response }
    };
    Server::default()
        .serve(listener, None, Arc::new(handler), shutdown)
        .await;
}

fn not_found() -> Response {
    body::text(StatusCode::NOT_FOUND, "404 page not found\n")
}
