//! The daemon: watches, one proxier a family, health and metrics.

mod serving;

use std::net::SocketAddr;
use std::sync::Arc;

use api::core::v1::{Node, ObjectReference, Service};
use api::discovery::v1::EndpointSlice;
use api::networking::v1::ServiceCIDR;
use client::Client;
use component_base::clock::Clock;
use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;
use component_base::version;
use controller_runtime::Recorder;
use controller_runtime::event_recorder::EventType;
use controller_runtime::watcher::{self, Scope};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::command::Runner;
use crate::config::{Config, Mode};
use crate::dataplane::Dataplane;
use crate::health::Health;
use crate::iptables;
use crate::metrics::Metrics;
use crate::model::Family;
use crate::proxier::{Parts, Proxier};
use crate::service_health::ServiceHealth;
use crate::services::ExternalIps;
use crate::settings::{Machine, wants_localhost_node_ports};
use crate::state::Shared;
use crate::sysctl;
use crate::tracker::Tracker;

/// Services that name another proxy are none of ours.
const NO_OTHER_PROXY: &str = "!service.kubernetes.io/service-proxy-name";
const NOT_HEADLESS: &str = "!service.kubernetes.io/headless";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] client::config::Error),
    #[error("the host name can't be read")]
    HostName(#[source] std::io::Error),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the packet filter's tool doesn't run")]
    Tool(#[from] crate::command::Error),
}

/// The daemon, bound and not yet started.
pub struct Daemon {
    config: Arc<Config>,
    client: Client,
    clock: Arc<dyn Clock>,
    registry: Registry,
    metrics: Metrics,
    health: Health,
    shared: Arc<Shared>,
    machine: Machine,
    families: Vec<Family>,
    healthz: Option<TcpListener>,
    metrics_listener: Option<TcpListener>,
}

/// Makes the settings that need full privileges; a proxier without them only lacks localhost node ports.
pub fn initialize(config: &Config) -> Machine {
    config.conntrack.apply();
    let localhost_routed = wants_localhost_node_ports(config)
        && match sysctl::allow_localhost_node_ports() {
            Ok(()) => true,
            Err(error) => {
                warn!(%error, "route_localnet can't be set: no node ports on localhost");
                false
            }
        };
    Machine {
        conntrack_tcp_liberal: sysctl::conntrack_tcp_is_liberal(),
        localhost_routed,
        random_fully: false,
    }
}

/// Removes the rules of all modes and families.
pub async fn cleanup(runner: &Runner) -> Result<(), crate::command::Error> {
    let mut result = Ok(());
    for mode in [Mode::IpTables, Mode::NfTables] {
        result = result.and(remove_mode(mode, runner).await);
    }
    result
}

/// Removes one mode's rules. A tool that isn't installed has no rules.
async fn remove_mode(mode: Mode, runner: &Runner) -> Result<(), crate::command::Error> {
    let mut result = Ok(());
    for family in [Family::V4, Family::V6] {
        match Dataplane::new(mode, family, runner.clone()).cleanup().await {
            Err(crate::command::Error::Start { .. }) | Ok(()) => {}
            Err(error) => result = Err(error),
        }
    }
    result
}

impl Daemon {
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let config = Arc::new(config);
        let registry = Registry::new();
        registry.describe_process(&config.gates);
        let metrics = Metrics::new(&registry, config.mode);
        let health = Health::new(Arc::clone(&clock), 2 * config.sync_period);
        let mut machine = initialize(&config);
        let families = supported_families(config.mode, &mut machine).await?;
        let node_name = node_name(&config)?;
        let external_ips = match config.gates.enabled("AllowServiceExternalIPs") {
            true => ExternalIps::Allowed,
            false => ExternalIps::Ignored,
        };
        let tracker = |family: &Family| Tracker::new(*family, node_name.clone(), external_ips, clock.now());
        let trackers = families.iter().map(tracker).collect();
        let shared = Shared::new(trackers, node_name, health.clone(), metrics.clone());
        Ok(Self {
            client: connect(&config)?,
            healthz: listen(config.healthz_bind_address, config.bind_address_hard_fail).await?,
            metrics_listener: listen(config.metrics_bind_address, config.bind_address_hard_fail).await?,
            config,
            clock,
            registry,
            metrics,
            health,
            shared: Arc::new(shared),
            machine,
            families,
        })
    }

    /// Works until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let other = match self.config.mode {
            Mode::IpTables => Mode::NfTables,
            Mode::NfTables => Mode::IpTables,
        };
        if let Err(error) = remove_mode(other, &Runner::default()).await {
            warn!(%error, mode = other.as_str(), "rules of the other mode can't be removed");
        }
        info!(mode = self.config.mode.as_str(), families = ?self.families, node = self.shared.node_name(), "starting");
        let host = self.shared.node_name();
        let recorder = Recorder::start(
            self.client.clone(),
            "kube-proxy",
            host,
            Arc::clone(&self.clock),
            shutdown.clone(),
        );
        recorder.event_for(
            node_reference(host),
            EventType::Normal,
            "Starting",
            "StartKubeProxy",
            "",
        );
        self.watch(&shutdown);
        let mut proxiers = tokio::task::JoinSet::new();
        for family in &self.families {
            let proxier = Proxier::new(self.parts(*family, recorder.clone(), &shutdown));
            proxiers.spawn(proxier.run(shutdown.clone()));
        }
        if let Some(listener) = self.healthz {
            tokio::spawn(serving::serve_health(
                listener,
                self.health,
                self.metrics,
                shutdown.clone(),
            ));
        }
        if let Some(listener) = self.metrics_listener {
            tokio::spawn(serving::serve_metrics(
                listener,
                self.registry,
                self.config.mode,
                shutdown.clone(),
            ));
        }
        while proxiers.join_next().await.is_some() {}
    }

    fn parts(&self, family: Family, recorder: Recorder, shutdown: &Shutdown) -> Parts {
        Parts {
            family,
            config: Arc::clone(&self.config),
            machine: self.machine,
            shared: Arc::clone(&self.shared),
            dataplane: Dataplane::new(self.config.mode, family, Runner::default()),
            service_health: ServiceHealth::new(family, self.health.clone(), shutdown.clone()),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            recorder,
            clock: Arc::clone(&self.clock),
        }
    }

    fn watch(&self, shutdown: &Shutdown) {
        let fields = |selector: String| Scope {
            field_selector: Some(selector),
            label_selector: None,
        };
        let labels = |selector: &str| Scope {
            field_selector: None,
            label_selector: Some(selector.to_owned()),
        };
        let options = |scope| watcher::Options { scope };

        let scope = Scope {
            field_selector: Some("spec.clusterIP!=None".to_owned()),
            ..labels(NO_OTHER_PROXY)
        };
        let (shared, source) = (
            Arc::clone(&self.shared),
            Arc::new(self.client.api::<Service>().all()),
        );
        let sink = move |change| shared.take_service(change);
        tokio::spawn(watcher::run(source, options(scope), sink, shutdown.clone()));

        let (shared, source) = (
            Arc::clone(&self.shared),
            Arc::new(self.client.api::<EndpointSlice>().all()),
        );
        let sink = move |change| shared.take_slice(change);
        tokio::spawn(watcher::run(
            source,
            options(labels(NOT_HEADLESS)),
            sink,
            shutdown.clone(),
        ));

        let scope = fields(format!("metadata.name={}", self.shared.node_name()));
        let (shared, source) = (
            Arc::clone(&self.shared),
            Arc::new(self.client.api::<Node>().all()),
        );
        let sink = move |change| shared.take_node(change);
        tokio::spawn(watcher::run(source, options(scope), sink, shutdown.clone()));

        if self.config.mode == Mode::NfTables {
            let (shared, source) = (
                Arc::clone(&self.shared),
                Arc::new(self.client.api::<ServiceCIDR>().all()),
            );
            let sink = move |change| shared.take_service_cidr(change);
            tokio::spawn(watcher::run(
                source,
                watcher::Options::default(),
                sink,
                shutdown.clone(),
            ));
        }
    }
}

/// The families that the machine can serve; with iptables, its tools have a say. IPv4 must work, IPv6 may.
async fn supported_families(mode: Mode, machine: &mut Machine) -> Result<Vec<Family>, crate::command::Error> {
    let mut families = vec![Family::V4];
    let probe = |family| iptables::backend::Backend::new(Runner::default(), family);
    if mode == Mode::IpTables {
        probe(Family::V4).check_present().await?;
        machine.random_fully = probe(Family::V4).has_random_fully().await?;
    }
    if !sysctl::has_ipv6() {
        return Ok(families);
    }
    match mode {
        Mode::NfTables => families.push(Family::V6),
        Mode::IpTables => match probe(Family::V6).check_present().await {
            Ok(()) => families.push(Family::V6),
            Err(error) => warn!(%error, "no iptables support for IPv6"),
        },
    }
    Ok(families)
}

fn connect(config: &Config) -> Result<Client, client::config::Error> {
    let connection = &config.client;
    let mut client = match (&connection.kubeconfig, &connection.server) {
        (Some(path), _) => client::Config::from_kubeconfig(path)?,
        (None, Some(_)) => client::Config::default(),
        (None, None) => client::Config::in_cluster()?,
    };
    if let Some(server) = &connection.server {
        client = client.with_server(server.clone());
    }
    let agent = version::user_agent("kube-proxy");
    Client::new(
        client
            .with_rate(connection.qps, connection.burst)
            .with_user_agent(agent),
    )
}

/// A port that is taken only stops the daemon if it was told so: serving matters more than being asked about it.
async fn listen(address: Option<SocketAddr>, hard_fail: bool) -> Result<Option<TcpListener>, Error> {
    let Some(address) = address else { return Ok(None) };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) if hard_fail => Err(Error::Listen { address, source }),
        Err(error) => {
            warn!(%address, %error, "cannot listen; going on without");
            Ok(None)
        }
    }
}

fn node_name(config: &Config) -> Result<String, Error> {
    if !config.hostname_override.is_empty() {
        return Ok(config.hostname_override.clone());
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").map_err(Error::HostName)?;
    Ok(name.trim().to_lowercase())
}

fn node_reference(name: &str) -> ObjectReference {
    ObjectReference {
        kind: "Node".to_owned(),
        api_version: "v1".to_owned(),
        name: name.to_owned(),
        uid: name.to_owned(),
        ..ObjectReference::default()
    }
}
