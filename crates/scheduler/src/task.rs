//! Feeds the watches into the machine and carries out its steps.
//!
//! Watches change the machine under its lock, in the order in which they come, and wake the loop; nothing is
//! queued between them. The loop runs one cycle at a time and hands binds and reports to tasks, a bounded number
//! at once.

mod feed;
mod report;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::core::v1::{Binding, ObjectReference, Pod};
use client::{Client, Config};
use component_base::clock::{Clock, SystemClock};
use component_base::features::FeatureGates;
use component_base::health::{Checks, Latch};
use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;
use component_base::{upstream, version};
use controller_runtime::backoff::Random;
use controller_runtime::event_recorder::{EventType, Recorder, reference};
use controller_runtime::leader_election::{self, Elector};
use delegated_auth::secure_serving::{self, Content, SecureServer};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tracing::{info, warn};

use crate::cycle::Choice;
use crate::machine::{Machine, Step};
use crate::metrics::{Metrics, Outcome};
use crate::options::Options;
use crate::pod_info::PodInfo;

/// Binds, reports and preemptions on their way at once.
const MAX_IN_FLIGHT: usize = 128;
/// How long the loop sleeps at most, so that a clock that was set does not strand a pod.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] client::config::Error),
    #[error(transparent)]
    Serving(#[from] secure_serving::Error),
    #[error("leader election")]
    Election(#[from] leader_election::ConfigError),
    #[error("lost the leader lease")]
    LeaseLost,
}

/// The daemon, bound and not yet started.
pub struct Scheduler {
    client: Client,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    registry: Registry,
    server: Option<SecureServer>,
    elector: Option<Elector>,
    configz: String,
}

/// The machine and what wakes its loop.
pub(crate) struct Shared {
    machine: Mutex<Machine>,
    changed: Notify,
    metrics: Metrics,
}

impl Shared {
    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the machine and wakes the loop.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Machine, Timestamp)) {
        change(&mut self.machine(), Timestamp::now());
        self.changed.notify_one();
    }
}

impl Scheduler {
    pub async fn build(options: Options) -> Result<Self, Error> {
        for name in &options.config.unsupported {
            warn!(%name, "the configuration sets what this scheduler does not have");
        }
        let mut config = match &options.kubeconfig {
            Some(path) => Config::from_kubeconfig(path)?,
            None => Config::in_cluster()?,
        };
        if let Some(server) = options.master {
            config = config.with_server(server);
        }
        config.qps = options.config.qps;
        config.burst = options.config.burst;
        let client = Client::new(config.with_user_agent(version::user_agent("kube-scheduler")))?;
        let clock = SystemClock::shared();
        let registry = Registry::new();
        registry.describe_process(&FeatureGates::new(upstream::GATES));
        let profiles = options
            .config
            .profiles
            .iter()
            .map(|profile| profile.build())
            .collect();
        let server = match options.serving {
            Some(settings) => Some(SecureServer::bind(settings, client.clone(), clock.clone()).await?),
            None => None,
        };
        let elector = match options.config.leader_election {
            Some(mut config) => {
                config.identity = format!("{}_{}", host_name(), uuid::Uuid::new_v4());
                config.release_on_cancel = true;
                Some(Elector::new(&client, config, clock.clone())?)
            }
            None => None,
        };
        let names: Vec<_> = options
            .config
            .profiles
            .iter()
            .map(|profile| profile.scheduler_name.clone())
            .collect();
        Ok(Self {
            shared: Arc::new(Shared {
                machine: Mutex::new(Machine::new(profiles, options.config.timing)),
                changed: Notify::new(),
                metrics: Metrics::new(&registry),
            }),
            client,
            clock,
            registry,
            server,
            elector,
            configz: serde_json::json!({ "componentconfig": { "profiles": names } }).to_string(),
        })
    }

    /// Runs until shutdown, or until the lease is lost: another replica acts then, and this one must not.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self {
            client,
            clock,
            shared,
            registry,
            server,
            elector,
            configz,
        } = self;
        let synced = feed::start(&client, &shared, &shutdown);
        if let Some(server) = server {
            let content = content(&synced, registry, configz);
            let stop = shutdown.clone();
            tokio::spawn(async move {
                if let Err(error) = server.run(content, stop).await {
                    warn!(%error, "the secure port broke off");
                }
            });
        }
        let recorder = Recorder::start(client.clone(), "default-scheduler", "", clock, shutdown.clone());
        let actor = Actor {
            client,
            shared,
            recorder,
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        };
        let Some(mut elector) = elector else {
            actor.schedule(&synced, &shutdown).await;
            return Ok(());
        };
        if !elector.acquire(&shutdown).await {
            return Ok(());
        }
        let acting = shutdown.child();
        let work = async {
            actor.schedule(&synced, &acting).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = elector.hold(&shutdown) => acting.trigger(),
            () = work => {}
        }
        // Only now: two schedulers must not act at once.
        elector.give_up().await;
        if shutdown.is_triggered() {
            Ok(())
        } else {
            Err(Error::LeaseLost)
        }
    }
}

fn content(synced: &Latch, registry: Registry, configz: String) -> Content {
    let mut ready = Checks::new("readyz");
    ready.add_latch("sched-handler-sync", synced);
    Content {
        checks: vec![Checks::new("healthz"), Checks::new("livez"), ready],
        registry,
        configz,
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Carries out steps.
#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) client: Client,
    pub(crate) shared: Arc<Shared>,
    pub(crate) recorder: Recorder,
    permits: Arc<Semaphore>,
}

impl Actor {
    /// Cycle after cycle, from the moment all watches are in sync until shutdown.
    async fn schedule(&self, synced: &Latch, shutdown: &Shutdown) {
        while !synced.is_open() {
            if shutdown.guard(self.shared.changed.notified()).await.is_none() {
                return;
            }
        }
        info!("all caches are in sync: scheduling");
        let mut random = Random::from_entropy();
        while !shutdown.is_triggered() {
            let Ok(permit) = self.permits.clone().acquire_owned().await else {
                return;
            };
            let began = std::time::Instant::now();
            let bits = (random.next_unit() * u32::MAX as f64) as u64;
            let (step, deadline) = {
                let mut machine = self.shared.machine();
                let step = machine.next(Timestamp::now(), bits);
                self.shared.metrics.pending(machine.counts());
                (step, machine.next_deadline())
            };
            let Some(step) = step else {
                drop(permit);
                let sleep = until(deadline);
                let woken = async {
                    tokio::select! {
                        () = self.shared.changed.notified() => {}
                        () = tokio::time::sleep(sleep) => {}
                    }
                };
                shutdown.guard(woken).await;
                continue;
            };
            self.shared
                .metrics
                .algorithm_seconds
                .observe(began.elapsed().as_secs_f64());
            let actor = self.clone();
            tokio::spawn(async move {
                actor.act(step, began).await;
                drop(permit);
            });
            // Watches get their turn between two cycles.
            tokio::task::yield_now().await;
        }
    }

    async fn act(&self, step: Step, began: std::time::Instant) {
        match step {
            Step::Bind {
                pod,
                choice,
                attempts,
                first_attempt,
            } => {
                self.bind(&pod, &choice, attempts, first_attempt, began).await;
            }
            Step::Report(report) => {
                let profile = report.pod.pod.spec.scheduler_name.clone();
                let seconds = began.elapsed().as_secs_f64();
                self.shared
                    .metrics
                    .attempt(Outcome::Unschedulable, &profile, seconds);
                self.report(report).await;
            }
            Step::SkipDeleting { pod } => {
                let message = format!(
                    "skip schedule deleting pod: {}/{}",
                    pod.namespace(),
                    pod.pod.metadata.name
                );
                self.recorder
                    .event(&*pod.pod, EventType::Warning, "FailedScheduling", message);
            }
        }
    }

    async fn bind(
        &self,
        pod: &PodInfo,
        choice: &Choice,
        attempts: u32,
        first_attempt: Timestamp,
        began: std::time::Instant,
    ) {
        let metrics = &self.shared.metrics;
        let profile = &pod.pod.spec.scheduler_name;
        let result = self
            .client
            .api::<Pod>()
            .namespace(pod.namespace())
            .bind(&binding(pod, &choice.node))
            .await;
        let seconds = began.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                self.shared.machine().bound(pod.uid());
                metrics.attempt(Outcome::Scheduled, profile, seconds);
                metrics.attempts_per_pod.observe(attempts.into());
                let label = if attempts >= 16 {
                    "16+".to_owned()
                } else {
                    attempts.to_string()
                };
                let waited = Timestamp::now().duration_since(first_attempt).as_secs_f64();
                metrics.sli_seconds.with_label_values(&[&label]).observe(waited);
                let message = format!("Successfully assigned {} to {}", pod.key(), choice.node);
                self.recorder.event_for(
                    reference(&*pod.pod),
                    EventType::Normal,
                    "Scheduled",
                    "Binding",
                    message,
                );
                info!(pod = %pod.key(), node = %choice.node, evaluated = choice.evaluated, feasible = choice.feasible, "bound");
            }
            Err(error) => {
                metrics.attempt(Outcome::Error, profile, seconds);
                warn!(pod = %pod.key(), node = %choice.node, %error, "cannot bind");
                self.shared
                    .change(|machine, now| machine.bind_failed(pod.uid(), now));
                // A pod that is gone or bound by another needs no word.
                if !error.is_not_found() && !error.is_conflict() {
                    self.failed(pod, &format!("binding rejected: {error}")).await;
                }
            }
        }
    }
}

fn binding(pod: &PodInfo, node: &str) -> Binding {
    let mut binding = Binding::default();
    binding.metadata.namespace = pod.namespace().to_owned();
    binding.metadata.name.clone_from(&pod.pod.metadata.name);
    binding.metadata.uid = pod.uid().to_owned();
    binding.target = ObjectReference {
        kind: "Node".to_owned(),
        name: node.to_owned(),
        ..ObjectReference::default()
    };
    binding
}

fn until(deadline: Option<Timestamp>) -> Duration {
    let span = deadline.map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
    span.map_or(LONGEST_SLEEP, |span| span.min(LONGEST_SLEEP))
}
