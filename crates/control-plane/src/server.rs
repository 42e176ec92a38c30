//! Builds and runs the server: options -> build (bound, nothing served) -> run.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use apiserver::lifecycle::Lifecycle;
use apiserver::local::Local;
use apiserver::outbound::trust::Identity;
use apiserver::outbound::{Reach, Routing};
use apiserver::proxy::{Backends, KubeletAccess, KubeletTls};
use apiserver::server::BehaviourOf;
use apiserver::subresources::TokenIssuer;
use apiserver::{Config, Limits, Server};
use component_base::clock::SystemClock;
use component_base::metrics::Registry;
use component_base::serving;
use component_base::shutdown::Shutdown;
use component_base::tls;
use registry::{Cidr, PortRange};
use rustls::ServerConfig;
use storage::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::bootstrap::{self, Bootstrap, ClusterTrust};
use crate::ending::Ending;
use crate::options::{KubeletOptions, Options};
use crate::security::{self, Parts, TokenAuthority};
use crate::{Error, store};

/// A server that is bound to its port.
pub struct ControlPlane {
    pub server: Server,
    bootstrap: Bootstrap,
    pub address: SocketAddr,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shutdown: Shutdown,
    ready: watch::Sender<bool>,
}

impl ControlPlane {
    /// Opens the store, fills caches and indexes, and binds the port.
    pub async fn build(options: Options, shutdown: Shutdown) -> Result<ControlPlane, Error> {
        let clock = SystemClock::shared();
        let metrics = Registry::new();
        metrics.describe_process(&options.features);
        for gate in options.features.unrecognized() {
            tracing::warn!(gate = %gate, "unrecognized feature gate");
        }
        let lifecycle = Lifecycle::with_watch_grace(options.ending.watch_grace);
        // What requests depend on goes on until the last one is through.
        let background = lifecycle.drained.clone();
        let tls = crate::tls::serve_with(&options, &own_addresses(&options), &clock, &background)?;
        let listener = TcpListener::bind(options.bind_address)
            .await
            .map_err(|source| Error::Listen {
                address: options.bind_address,
                source,
            })?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: options.bind_address,
            source,
        })?;
        let server_address = SocketAddr::new(advertised(&options), address.port()).to_string();
        let tokens = TokenAuthority::load(&options.service_accounts)?;
        let store::Opened { stores, dependencies } = store::open(&options.store, &metrics, &background)?;
        let store = stores.main().clone();
        let reach = reach(&options, address);
        let config = Config {
            behaviour_of: behaviours(&options, &store)?,
            store: stores,
            dependencies,
            limits: limits(&options),
            clock: clock.clone(),
            metrics: metrics.clone(),
            token_keys: tokens.documents(&options.service_accounts, &server_address)?,
            server_address,
            token_issuer: token_issuer(&options, &tokens),
            audiences: tokens.audiences.clone(),
            backends: backends(&options.kubelet)?,
            lifecycle: lifecycle.clone(),
            reach,
            proxy_client: proxy_client(&options)?,
        };
        let parts = Parts {
            options: &options,
            tokens: &tokens,
            loopback: None,
            clock: clock.clone(),
            metrics,
            shutdown: background,
            reach,
        };
        let server = Server::build(config, |objects, kinds| {
            security::build(&parts, objects, kinds).map_err(into_server_error)
        })
        .await?;
        let bootstrap = Bootstrap {
            local: Local::new(server.api.clone()),
            store,
            trust: Arc::new(ClusterTrust::load(&options.authentication)?),
            address: SocketAddr::new(advertised(&options), address.port()),
            options: Arc::new(options),
            clock: clock.clone(),
            shutdown: shutdown.clone(),
        };
        Ok(ControlPlane {
            server,
            bootstrap,
            address,
            listener,
            tls,
            shutdown,
            ready: watch::Sender::new(false),
        })
    }

    /// Turns true once everything that a cluster starts with is there.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Serves until the shutdown.
    pub async fn run(self) -> Result<(), Error> {
        tracing::info!(address = %self.address, "serving");
        let options = self.bootstrap.options.clone();
        let ending = Ending {
            lifecycle: self.server.api.lifecycle.clone(),
            delay: options.ending.delay,
            refusal: options.ending.refusal,
            request_timeout: options.request_timeout,
            clock: self.bootstrap.clock.clone(),
        };
        let serving_options = serving::Options {
            max_concurrent_streams: options.max_streams_per_connection,
            drain_timeout: ending.drain_timeout(),
            ..serving::Options::default()
        };
        let drained = ending.lifecycle.drained.clone();
        crate::flow_control::start(&self.bootstrap.local, &drained);
        crate::aggregation::start(&self.bootstrap.local, &drained);
        let bootstrap::Started { complete, left } = self.bootstrap.start();
        tokio::spawn(async move {
            complete.await;
            self.ready.send_replace(true);
        });
        let close_port = Shutdown::new();
        let ended = tokio::spawn(ending.run(self.shutdown, left, close_port.clone()));
        serving::Server::new(serving_options)
            .serve(self.listener, self.tls, Arc::new(self.server), close_port)
            .await;
        // Whatever is left has no client any more.
        drained.trigger();
        ended.await.map_err(Error::Ending)
    }
}

fn into_server_error(error: Error) -> apiserver::Error {
    match error {
        Error::Server(error) => error,
        other => apiserver::Error::Configuration(Box::new(other)),
    }
}

/// What the registry adds to each kind; a subresource's part is in its kind's.
fn behaviours(options: &Options, store: &Arc<dyn Store>) -> Result<Box<BehaviourOf>, Error> {
    let parse = |range: &String| {
        let why = || format!("{range:?} is no range of addresses");
        Cidr::parse(range).ok_or_else(|| Error::Flag {
            flag: "service-cluster-ip-range",
            why: why(),
        })
    };
    let config = registry::Config {
        store: store.clone(),
        service_cidrs: options
            .service_cluster_ip_ranges
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()?,
        node_ports: node_port_range(options),
    };
    Ok(Box::new(move |row, subresource| {
        if subresource.is_empty() {
            registry::behaviour(row, &config)
        } else {
            None
        }
    }))
}

/// The ports from which nodes forward to services.
pub(crate) fn node_port_range(options: &Options) -> PortRange {
    let (first, last) = options.service_node_ports;
    PortRange {
        first,
        count: last.saturating_sub(first).saturating_add(1),
    }
}

fn token_issuer(options: &Options, tokens: &TokenAuthority) -> Option<TokenIssuer> {
    Some(TokenIssuer {
        signer: tokens.signer.clone()?,
        audiences: tokens.audiences.clone(),
        max_lifetime: options.service_accounts.max_expiration,
        extend: options.service_accounts.extend_expiration,
    })
}

fn backends(options: &KubeletOptions) -> Result<Backends, Error> {
    let client = match &options.client {
        Some(files) => Some((
            tls::certificates(&files.certificate)?,
            tls::private_key(&files.key)?,
        )),
        None => None,
    };
    let authorities = options
        .certificate_authority
        .as_deref()
        .map(tls::certificates)
        .transpose()?
        .unwrap_or_default();
    let access = KubeletAccess {
        address_types: options.address_types.clone(),
    };
    Backends::new(access, KubeletTls { client, authorities }, options.timeout).map_err(Error::KubeletTls)
}

/// How the services of webhooks and of extension servers are reached.
fn reach(options: &Options, address: SocketAddr) -> Reach {
    let mut own = address;
    if own.ip().is_unspecified() {
        own.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Reach {
        routing: if options.aggregator_routing {
            Routing::Endpoints
        } else {
            Routing::ClusterIp
        },
        own: Some(own),
    }
}

/// The certificate that extension servers know this one by.
fn proxy_client(options: &Options) -> Result<Option<Identity>, Error> {
    match &options.proxy_client {
        Some(files) => Ok(Some((
            tls::certificates(&files.certificate)?,
            tls::private_key(&files.key)?,
        ))),
        None => Ok(None),
    }
}

fn limits(options: &Options) -> Limits {
    Limits {
        request_timeout: options.request_timeout,
        min_request_timeout: options.min_request_timeout,
        max_requests_in_flight: options.max_requests_in_flight,
        max_mutating_requests_in_flight: options.max_mutating_requests_in_flight,
        goaway_chance: options.goaway_chance,
        refusal: options.ending.refusal,
        livez_grace: options.livez_grace,
        priority_and_fairness: options.priority_and_fairness,
    }
}

/// The addresses under which a certificate of our own is to be valid.
fn own_addresses(options: &Options) -> Vec<IpAddr> {
    let mut addresses = vec![advertised(options)];
    let range = options.service_cluster_ip_ranges.first();
    addresses.extend(range.and_then(|range| bootstrap::first_address(range)));
    if !options.bind_address.ip().is_unspecified() {
        addresses.push(options.bind_address.ip());
    }
    addresses.dedup();
    addresses
}

/// The address that others reach this server at: as told, else the one we listen on, else that of the default route.
fn advertised(options: &Options) -> IpAddr {
    let listening = options.bind_address.ip();
    options.advertise_address.unwrap_or_else(|| {
        if listening.is_unspecified() {
            default_route_address().unwrap_or(listening)
        } else {
            listening
        }
    })
}

/// The local address that a packet to the outside would have. Nothing is sent.
fn default_route_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // TEST-NET-1 (RFC 5737): routed by default, belongs to nobody.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
