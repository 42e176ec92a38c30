//! The daemon: built, then run until shutdown or until the lease is lost.

use std::path::PathBuf;
use std::sync::Arc;

use client::transport::http::HttpTransport;
use client::{Client, Config};
use component_base::clock::{Clock, SystemClock};
use component_base::features::FeatureGates;
use component_base::health::Checks;
use component_base::metrics::Registry;
use component_base::shutdown::{self, Shutdown};
use component_base::upstream;
use controller_runtime::leader_election::{self, Elector};
use controller_runtime::{Context, Informers, Recorder};
use delegated_auth::secure_serving::{Content, SecureServer};
use pki::PrivateKey;
use pki::token::Signer;
use pki::token::claims::LEGACY_ISSUER;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::catalogue::{self, Inputs, Row};
use crate::identity::Identities;
use crate::options::{self, Options};

const COMPONENT: &str = "kube-controller-manager";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Options(#[from] options::Error),
    #[error(transparent)]
    Client(#[from] client::config::Error),
    #[error(transparent)]
    Serving(#[from] delegated_auth::secure_serving::Error),
    #[error(transparent)]
    LeaderElection(#[from] leader_election::ConfigError),
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use --service-account-private-key-file")]
    TokenKey(#[source] pki::Error),
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    /// The process must end: another may act already.
    #[error("leaderelection lost")]
    LeadershipLost,
}

/// Runs the daemon until a signal comes or leadership is lost.
pub async fn run(options: Options) -> Result<(), Error> {
    let shutdown = shutdown::signal().map_err(Error::Signals)?;
    run_until(options, shutdown).await
}

/// Runs the daemon until the shutdown, or until leadership is lost.
pub async fn run_until(options: Options, shutdown: Shutdown) -> Result<(), Error> {
    Daemon::build(options, SystemClock::shared(), shutdown)
        .await?
        .run()
        .await
}

/// Everything read and bound, nothing started.
struct Daemon {
    inputs: Arc<Inputs>,
    config: Config,
    root: Client,
    clock: Arc<dyn Clock>,
    metrics: Registry,
    server: Option<SecureServer>,
    shutdown: Shutdown,
}

impl Daemon {
    async fn build(options: Options, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Result<Self, Error> {
        if let Some(unknown) = options.controllers.unknown(&catalogue::known_names()).next() {
            return Err(options::Error::UnknownController(unknown.to_owned()).into());
        }
        for missing in catalogue::UPSTREAM_ONLY
            .iter()
            .filter(|name| options.controllers.names(name))
        {
            warn!(
                controller = missing,
                "this controller is asked for and not available yet"
            );
        }
        // Nobody should have to find out by what does not happen.
        info!(controllers = ?catalogue::UPSTREAM_ONLY, "upstream's controllers that are not available yet");
        let config = client_config(&options)?;
        let root = Client::new(config.clone().with_user_agent(COMPONENT))?;
        let server = match options.serving.clone() {
            Some(settings) => Some(SecureServer::bind(settings, root.clone(), clock.clone()).await?),
            None => None,
        };
        let metrics = Registry::new();
        metrics.describe_process(&FeatureGates::new(upstream::GATES));
        let root_ca = options.root_ca_file.as_ref().map(read).transpose()?;
        let token_signer = token_signer(&options)?;
        let inputs = Arc::new(Inputs {
            options,
            root_ca,
            token_signer,
        });
        Ok(Daemon {
            inputs,
            config,
            root,
            clock,
            metrics,
            server,
            shutdown,
        })
    }

    async fn run(mut self) -> Result<(), Error> {
        let serving = self.server.take().map(|server| self.serve(server));
        let outcome = self.lead().await;
        self.shutdown.trigger();
        if let Some(serving) = serving
            && let Err(error) = serving.await
        {
            error!(%error, "the secure server panicked");
        }
        outcome
    }

    fn serve(&self, server: SecureServer) -> tokio::task::JoinHandle<()> {
        let content = Content {
            checks: ["healthz", "livez", "readyz"]
                .into_iter()
                .map(Checks::new)
                .collect(),
            registry: self.metrics.clone(),
            configz: "{}".to_owned(),
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            if let Err(error) = server.run(content, shutdown.clone()).await {
                error!(%error, "the secure server failed");
                shutdown.trigger();
            }
        })
    }

    async fn lead(&self) -> Result<(), Error> {
        let Some(config) = &self.inputs.options.leader_election else {
            self.control(self.shutdown.clone()).await;
            return Ok(());
        };
        let config = leader_election::Config {
            identity: identity(),
            release_on_cancel: true,
            ..config.clone()
        };
        let mut elector = Elector::new(&self.root, config, self.clock.clone())?;
        if !elector.acquire(&self.shutdown).await {
            return Ok(());
        }
        // Controllers stop when leadership ends, whatever ends it.
        let leading = self.shutdown.child();
        let holding = async {
            elector.hold(&self.shutdown).await;
            leading.trigger();
            elector
        };
        let (elector, ()) = tokio::join!(holding, self.control(leading.clone()));
        // Only now: two managers must not act at once.
        elector.give_up().await;
        if self.shutdown.is_triggered() {
            Ok(())
        } else {
            Err(Error::LeadershipLost)
        }
    }

    /// Starts every selected controller and waits for all to end.
    async fn control(&self, shutdown: Shutdown) {
        let informers = Informers::new(self.root.clone(), shutdown.clone());
        let recorder = Recorder::start(
            self.root.clone(),
            COMPONENT,
            "",
            self.clock.clone(),
            shutdown.clone(),
        );
        let identities = self.identities(&shutdown);
        let mut tasks = JoinSet::new();
        for row in catalogue::ROWS {
            if !self.inputs.options.controllers.enables(&row.names) {
                info!(controller = row.names.name, "controller is disabled");
                continue;
            }
            let context = Context {
                client: self.root.clone(),
                informers: informers.clone(),
                recorder: recorder.for_component(row.account),
                clock: self.clock.clone(),
                metrics: self.metrics.clone(),
                shutdown: shutdown.clone(),
            };
            tasks.spawn(start(row, context, identities.clone(), self.inputs.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a controller panicked");
            }
        }
    }

    fn identities(&self, shutdown: &Shutdown) -> Identities {
        let config = self.config.clone().with_user_agent(COMPONENT);
        let (root, clock) = (self.root.clone(), self.clock.clone());
        if self.inputs.options.use_service_account_credentials {
            let tls = client::transport::tls::Options {
                identity: None,
                ..config.tls.clone()
            };
            match HttpTransport::new(tls) {
                Ok(plain) => {
                    return Identities::separate(root, config, Arc::new(plain), clock, shutdown.clone());
                }
                Err(error) => warn!(%error, "controllers share this process's identity"),
            }
        }
        Identities::shared(root, config, clock, shutdown.clone())
    }
}

async fn start(row: &'static Row, mut context: Context, identities: Identities, inputs: Arc<Inputs>) {
    // What makes tokens can't wait for one.
    if !row.account.is_empty() {
        let Some(client) = identities.client(row.account, row.rate).await else {
            return;
        };
        context.client = client;
    }
    match (row.start)(context, &inputs) {
        Some(controller) => {
            info!(controller = row.names.name, "controller started");
            controller.await;
        }
        None => info!(
            controller = row.names.name,
            "controller has nothing to do by the options given"
        ),
    }
}

/// Issuer and key of tokens in secrets, whose issuer is always the same.
fn token_signer(options: &Options) -> Result<Option<Arc<Signer>>, Error> {
    let Some(path) = &options.service_account_private_key_file else {
        return Ok(None);
    };
    let key = PrivateKey::load(path).map_err(Error::TokenKey)?;
    Ok(Some(Arc::new(Signer::new(key, LEGACY_ISSUER))))
}

fn client_config(options: &Options) -> Result<Config, Error> {
    let config = match &options.kubeconfig {
        Some(path) => Config::from_kubeconfig(path)?,
        None => Config::in_cluster()?,
    };
    let config = config.with_rate(options.qps, options.burst);
    Ok(match &options.master {
        Some(master) => config.with_server(master.clone()),
        None => config,
    })
}

/// Unique to this process: the host's name for readers, the rest against a restart being taken for the same.
fn identity() -> String {
    let host = nix::unistd::gethostname()
        .ok()
        .and_then(|host| host.into_string().ok());
    format!(
        "{}_{}",
        host.unwrap_or_else(|| "unknown".into()),
        uuid::Uuid::new_v4()
    )
}

fn read(path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.clone(),
        source,
    })
}
