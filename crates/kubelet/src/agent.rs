//! Ties the kubelet together: build (sockets bound, nothing started), then run until shutdown.
//!
//! - [`parts`] builds what everything else needs: runtime, node facts, settings.
//! - [`dispatch`] takes the sources' changes to admission and workers.
//! - [`resizes`] says which resizes of running pods are accepted.
//! - [`housekeeping`] does what has to be done now and then.

mod dispatch;
mod housekeeping;
mod parts;
mod resizes;
#[cfg(test)]
mod tests;

use crate::{
    bootstrap::{self, Bootstrap},
    config::Config,
    events::Events,
    eviction::{
        machine::Machine as EvictionMachine, manager::Manager as EvictionManager, pressure::Pressure,
        threshold,
    },
    gc::{images::ImageGc, reclaim::Reclaimer},
    image::Images,
    logs::rotate,
    metrics::Metrics,
    mirror::{MirrorTable, Mirrors},
    node::{lease::Heartbeat, registration::Registration, runtime_health::RuntimeHealth, status::NodeFacts},
    objects::{Detached, Objects, watched::Watched},
    options::Options,
    pleg::Pleg,
    pod_table::PodTable,
    probe::manager::Probes,
    resize::{self, Resizes},
    server::{self, Server},
    source::{Change, file::FileSource},
    status::manager::Statuses,
    sync::execute::{Executor, Parts},
    volume::manager::Volumes,
    worker::{Pool, pass::Passes},
};
use api::core::v1::Pod;
use client::Client;
use component_base::{clock::Clock, metrics::Registry, shutdown::Shutdown};
use controller_runtime::{
    Informer,
    informer::{Event, Options as InformerOptions},
};
use cri_api::Runtime;
use std::{
    io,
    sync::{Arc, OnceLock},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false")]
    Swap,
    #[error(
        "kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is in maintenance mode"
    )]
    CgroupV1,
    #[error("cgroup driver {0:?} is not supported: use cgroupfs here and in the runtime")]
    CgroupDriver(String),
    #[error("{0}")]
    Sysctl(String),
    #[error("no address for the node: give one with --node-ip")]
    NoAddress,
    #[error("cannot use the kubeconfig")]
    Client(#[from] client::config::Error),
    #[error("validate CRI v1 runtime API for endpoint {endpoint:?}")]
    Runtime {
        endpoint: String,
        source: cri_api::Error,
    },
    #[error(transparent)]
    Cgroup(#[from] crate::cgroup::hierarchy::Error),
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error("{what}")]
    Io { what: String, source: io::Error },
    #[error(transparent)]
    Server(#[from] server::Error),
    #[error("invalid eviction settings")]
    Eviction(#[from] threshold::Error),
    #[error(transparent)]
    Resizes(#[from] resize::checkpoint::Error),
    #[error(transparent)]
    Bootstrap(#[from] bootstrap::Error),
}

/// Who has to be woken when something about a pod changed; set once the workers exist.
type Wake = Arc<OnceLock<Arc<Pool>>>;

fn waker(wake: &Wake) -> Arc<dyn Fn(&str) + Send + Sync> {
    let wake = wake.clone();
    Arc::new(move |uid| {
        if let Some(pool) = wake.get() {
            pool.poke(uid);
        }
    })
}

/// A kubelet that is ready to run.
pub struct Agent {
    config: Arc<Config>,
    options: Options,
    client: Option<Client>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    runtime: Arc<dyn Runtime>,
    facts: Arc<NodeFacts>,
    prepared: parts::Prepared,
    health: Arc<RuntimeHealth>,
    pleg: Arc<Pleg>,
    resizes: Arc<Resizes>,
    wake: Wake,
    thresholds: Vec<threshold::Threshold>,
    healthz: Option<TcpListener>,
    listener: Option<TcpListener>,
}

impl Agent {
    pub async fn build(options: Options, clock: Arc<dyn Clock>, registry: &Registry) -> Result<Self, Error> {
        let config = Arc::new(options.config.clone());
        let thresholds = threshold::all(&config)?;
        let metrics = Arc::new(Metrics::new(registry));
        metrics.set_node_name(&options.node_name);
        if let (Some(kubeconfig), Some(bootstrap_kubeconfig)) =
            (&options.kubeconfig, &options.bootstrap_kubeconfig)
        {
            let bootstrap = Bootstrap {
                bootstrap_kubeconfig,
                kubeconfig,
                cert_dir: &options.cert_dir,
                node_name: &options.node_name,
                clock: &clock,
            };
            bootstrap.run().await?;
        }
        let client = parts::client(&options)?;
        let (runtime, version) = parts::runtime(&config, &metrics).await?;
        let prepared = parts::prepare(&options, &version, client.is_some()).await?;
        let resizes = Resizes::open(&options.root_dir, clock.clone(), metrics.clone())?;
        let wake = Wake::default();
        let health = RuntimeHealth::new(clock.clone());
        let listener = waker(&wake);
        let pleg = Pleg::new(
            runtime.clone(),
            clock.clone(),
            metrics.clone(),
            Box::new(move |uid| listener(uid)),
        );
        let image_dir = parts::image_dir(&*runtime, &options.root_dir).await;
        let facts = Arc::new(NodeFacts {
            node_name: options.node_name.clone(),
            config: config.clone(),
            machine: prepared.machine.clone(),
            capacity: prepared.capacity.clone(),
            allocatable: prepared.settings.allocatable.clone(),
            node_ips: prepared.settings.node_ips.clone(),
            hostname: options.hostname.clone(),
            root_dir: options.root_dir.clone(),
            image_dir,
            runtime: runtime.clone(),
            runtime_version: format!("{}://{}", version.runtime_name, version.runtime_version),
            health: health.clone(),
            pleg: pleg.clone(),
            pressure: Arc::new(Pressure::default()),
        });
        let healthz = match config.healthz_port {
            0 => None,
            port => Some(parts::listen(&config.healthz_bind_address, port).await?),
        };
        let listener = match config.enable_server {
            true => Some(parts::listen(&config.address, config.port).await?),
            false => None,
        };
        Ok(Self {
            config,
            options,
            client,
            clock,
            metrics,
            runtime,
            facts,
            prepared,
            health,
            pleg,
            resizes: Arc::new(resizes),
            wake,
            thresholds,
            healthz,
            listener,
        })
    }

    /// Runs until shutdown. Containers run on.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Error> {
        let settings = self.prepared.settings.clone();
        let events = parts::events(
            self.client.as_ref(),
            &self.options.node_name,
            &self.clock,
            &shutdown,
        );
        let mirror_table = Arc::new(MirrorTable::default());
        let mirrors = Mirrors::new(self.client.clone(), mirror_table.clone(), &self.options.node_name);
        let statuses = Statuses::new(mirror_table);
        let probes = Probes::new(
            self.runtime.clone(),
            events.clone(),
            self.clock.clone(),
            self.metrics.clone(),
            shutdown.child(),
        );
        let objects: Arc<dyn Objects> = match &self.client {
            Some(client) => Arc::new(Watched::new(
                client.clone(),
                self.clock.clone(),
                shutdown.child(),
                waker(&self.wake),
            )),
            None => Arc::new(Detached),
        };
        let images = Images::new(
            self.runtime.clone(),
            events.clone(),
            self.clock.clone(),
            self.metrics.clone(),
            self.config.parallel_pulls(),
        );
        let passes = Arc::new(Passes {
            runtime: self.runtime.clone(),
            executor: Executor::new(Parts {
                runtime: self.runtime.clone(),
                events: events.clone(),
                objects: objects.clone(),
                images,
                settings: settings.clone(),
                clock: self.clock.clone(),
                metrics: self.metrics.clone(),
                resizes: self.resizes.clone(),
                groups: self.prepared.groups.clone(),
            }),
            resizes: self.resizes.clone(),
            volumes: Volumes::new(
                settings.root.clone(),
                objects.clone(),
                self.clock.clone(),
                settings.node_memory,
            ),
            settings: settings.clone(),
            objects,
            statuses: statuses.clone(),
            probes: probes.clone(),
            groups: self.prepared.groups.clone(),
            health: self.health.clone(),
            mirrors: mirrors.clone(),
            events: events.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        });
        let pool = Pool::new(passes.clone(), shutdown.clone());
        // Set once, here; nobody could have been woken before.
        let _first = self.wake.set(pool.clone());
        probes.listen(waker(&self.wake));
        let pods = Arc::new(PodTable::default());
        let (node, node_seen) = watch::channel(None);

        tokio::spawn(self.health.clone().run(self.runtime.clone(), shutdown.clone()));
        tokio::spawn(self.pleg.clone().run(shutdown.clone()));
        self.start_server(&pods, &statuses, &passes, &shutdown)?;
        let reclaimer = self.reclaimer(&pool, &pods, &events);
        self.start_collectors(&reclaimer, &events, &shutdown);
        self.start_reporting(&statuses, &mirrors, &events, node, &node_seen, &shutdown);
        events.node_normal("Starting", "Starting kubelet.");

        let dispatch = dispatch::Dispatch {
            client: self.client.clone(),
            pool: pool.clone(),
            pods: pods.clone(),
            statuses: statuses.clone(),
            mirrors: mirrors.clone(),
            events,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            settings: settings.clone(),
            node: node_seen,
            labels: self.options.node_labels.clone(),
            pressure: self.facts.pressure.clone(),
            resizes: self.resizes.clone(),
            waiting: resizes::Waiting::default(),
        };
        let housekeeping = housekeeping::Housekeeping {
            reclaimer,
            pool,
            pods,
            pleg: self.pleg.clone(),
            passes,
            statuses,
            mirrors,
            metrics: self.metrics.clone(),
            rounds: 0,
        };
        let (changes, sources) = self.start_sources(&shutdown);
        dispatch.run(changes, sources, housekeeping, &shutdown).await;
        Ok(())
    }

    /// Starts the sources; gives their changes and how many of them there are.
    fn start_sources(&self, shutdown: &Shutdown) -> (mpsc::UnboundedReceiver<Change>, usize) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let mut sources = 0;
        if let Some(path) = &self.config.static_pod_path {
            let source = FileSource {
                path: path.clone(),
                node_name: self.options.node_name.clone(),
                period: self.config.file_check_frequency,
                clock: self.clock.clone(),
                changes: changes.clone(),
            };
            tokio::spawn(source.run(shutdown.clone()));
            sources += 1;
        }
        if let Some(client) = &self.client {
            let options = InformerOptions::fields(format!("spec.nodeName={}", self.options.node_name));
            let informer = Informer::start(client.api::<Pod>(), options, shutdown.clone());
            tokio::spawn(follow_api(informer, changes));
            sources += 1;
        }
        (receiver, sources)
    }

    fn start_reporting(
        &self,
        statuses: &Arc<Statuses>,
        mirrors: &Mirrors,
        events: &Events,
        node: watch::Sender<Option<Arc<api::core::v1::Node>>>,
        node_seen: &watch::Receiver<Option<Arc<api::core::v1::Node>>>,
        shutdown: &Shutdown,
    ) {
        let Some(client) = &self.client else { return };
        tokio::spawn(
            statuses
                .clone()
                .run(client.clone(), self.clock.clone(), shutdown.clone()),
        );
        let registration = Registration {
            client: client.clone(),
            clock: self.clock.clone(),
            events: events.clone(),
            facts: self.facts.clone(),
            mirrors: mirrors.clone(),
            node_name: self.options.node_name.clone(),
            labels: self.options.node_labels.clone(),
            node,
        };
        tokio::spawn(registration.run(shutdown.clone()));
        let heartbeat = Heartbeat {
            client: client.clone(),
            clock: self.clock.clone(),
            node_name: self.options.node_name.clone(),
            duration_seconds: self.config.node_lease_duration_seconds,
            node: node_seen.clone(),
        };
        tokio::spawn(heartbeat.run(shutdown.clone()));
    }

    fn reclaimer(&self, pool: &Arc<Pool>, pods: &Arc<PodTable>, events: &Events) -> Arc<Reclaimer> {
        let images = ImageGc::new(
            self.runtime.clone(),
            self.clock.clone(),
            events.clone(),
            self.config.clone(),
            self.facts.image_dir.clone(),
        );
        Arc::new(Reclaimer {
            runtime: self.runtime.clone(),
            clock: self.clock.clone(),
            pool: pool.clone(),
            pods: pods.clone(),
            settings: self.prepared.settings.clone(),
            images: images.into(),
        })
    }

    fn start_collectors(&mut self, reclaimer: &Arc<Reclaimer>, events: &Events, shutdown: &Shutdown) {
        tokio::spawn(housekeeping::collect_images(
            reclaimer.clone(),
            self.clock.clone(),
            shutdown.clone(),
        ));
        let transition_period = self.config.eviction_pressure_transition_period;
        let eviction = EvictionManager {
            machine: EvictionMachine::new(std::mem::take(&mut self.thresholds), transition_period),
            pressure: self.facts.pressure.clone(),
            facts: self.facts.clone(),
            groups: self.prepared.groups.clone(),
            reclaimer: reclaimer.clone(),
            events: events.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        };
        tokio::spawn(eviction.run(shutdown.clone()));
        let limits = rotate::Limits {
            max_bytes: self.config.container_log_max_size.value().unsigned_abs(),
            max_files: self.config.container_log_max_files,
        };
        let period = self.config.container_log_monitor_interval;
        let rotation = housekeeping::rotate_logs(
            self.runtime.clone(),
            limits,
            period,
            self.clock.clone(),
            shutdown.clone(),
        );
        tokio::spawn(rotation);
    }

    fn start_server(
        &mut self,
        pods: &Arc<PodTable>,
        statuses: &Arc<Statuses>,
        passes: &Arc<Passes>,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let server = Arc::new(Server {
            runtime: self.runtime.clone(),
            pods: pods.clone(),
            statuses: statuses.clone(),
            passes: passes.clone(),
            facts: self.facts.clone(),
            pleg: self.pleg.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            debugging: self.config.enable_debugging_handlers,
        });
        let listeners = server::Listeners {
            healthz: self.healthz.take(),
            secure: self.listener.take(),
        };
        server::start(
            server,
            listeners,
            &self.config,
            &self.options,
            self.client.as_ref(),
            shutdown,
        )?;
        Ok(())
    }
}

/// Turns the API server's pods into changes.
async fn follow_api(informer: Informer<Pod>, changes: mpsc::UnboundedSender<Change>) {
    let mut events = informer.subscribe();
    let mut told = false;
    loop {
        let event = if told {
            events.recv().await
        } else {
            tokio::select! {
                biased;
                event = events.recv() => event,
                () = informer.synced() => {
                    told = true;
                    if changes.send(Change::Synced).is_err() {
                        return;
                    }
                    continue;
                }
            }
        };
        let Some(event) = event else { return };
        let sent = match event {
            Event::Added(pod) => changes.send(Change::Set(pod)),
            // Another pod of the same name is another pod.
            Event::Updated { old, new } if old.metadata.uid != new.metadata.uid => changes
                .send(Change::Removed(old.metadata.uid.clone()))
                .and_then(|()| changes.send(Change::Set(new))),
            Event::Updated { new, .. } => changes.send(Change::Set(new)),
            Event::Deleted(pod) => changes.send(Change::Removed(pod.metadata.uid.clone())),
        };
        if sent.is_err() {
            return;
        }
    }
}
