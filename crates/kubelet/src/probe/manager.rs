//! A task per probe, and the verdicts that they reach. Upstream: `prober/prober_manager.go`.

use super::{
    Kind, Verdict, Verdicts,
    action::{self, Outcome, Target},
    machine::{Effect, Machine, Step, Subject},
};
use crate::{events::Events, metrics::Metrics, pod, runtime::state::PodState, status::containers::bare_id};
use api::core::v1::{Container, Pod, PodStatus, Probe};
use component_base::{clock::Clock, shutdown::Shutdown};
use cri_api::Runtime;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// A probe that can't be run is tried so often before it is given up for the period.
const ATTEMPTS: usize = 3;

/// Told when a verdict changed: the pod's uid.
pub type Listener = Arc<dyn Fn(&str) + Send + Sync>;

pub struct Probes {
    runtime: Arc<dyn Runtime>,
    events: Events,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    verdicts: Verdicts,
    pods: HashMap<String, Entry>,
    listener: Option<Listener>,
}

struct Entry {
    spec: Arc<Pod>,
    status: PodStatus,
    tasks: HashMap<(String, Kind), Handle>,
}

struct Handle {
    stop: Shutdown,
    wake: Arc<Notify>,
}

impl Entry {
    /// A container that has just started may be ready at once; to be found dead it gets its time.
    fn wake_readiness(&self) {
        let readiness = self
            .tasks
            .iter()
            .filter(|((_, kind), _)| *kind == Kind::Readiness);
        readiness.for_each(|(_, handle)| handle.wake.notify_one());
    }
}

impl Probes {
    pub fn new(
        runtime: Arc<dyn Runtime>,
        events: Events,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            events,
            clock,
            metrics,
            shutdown,
            inner: Mutex::default(),
        })
    }

    /// Verdicts that change from now on are told to `listener`.
    pub fn listen(&self, listener: Listener) {
        self.lock().listener = Some(listener);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the pod's probes, those that don't run yet.
    pub fn add(self: &Arc<Self>, spec: &Arc<Pod>) {
        let mut inner = self.lock();
        let entry = inner
            .pods
            .entry(spec.metadata.uid.clone())
            .or_insert_with(|| Entry {
                spec: spec.clone(),
                status: spec.status.clone(),
                tasks: HashMap::new(),
            });
        entry.spec = spec.clone();
        let sidecars = spec
            .spec
            .init_containers
            .iter()
            .filter(|container| pod::is_sidecar(container));
        for container in sidecars.chain(&spec.spec.containers) {
            for kind in Kind::ALL {
                let Some(probe) = kind.of(container) else { continue };
                entry
                    .tasks
                    .entry((container.name.clone(), kind))
                    .or_insert_with(|| {
                        let handle = Handle {
                            stop: self.shutdown.child(),
                            wake: Arc::new(Notify::new()),
                        };
                        let task = Task {
                            probes: self.clone(),
                            uid: spec.metadata.uid.clone(),
                            container: container.clone(),
                            probe: probe.clone(),
                            kind,
                            stop: handle.stop.clone(),
                            wake: handle.wake.clone(),
                        };
                        tokio::spawn(task.run());
                        handle
                    });
            }
        }
    }

    /// The pod's status as last computed: what the probes go by.
    pub fn observe(&self, spec: &Arc<Pod>, status: &PodStatus) {
        let mut inner = self.lock();
        if let Some(entry) = inner.pods.get_mut(&spec.metadata.uid) {
            let changed = running_ids(&entry.status) != running_ids(status);
            entry.spec = spec.clone();
            entry.status = status.clone();
            if changed {
                entry.wake_readiness();
            }
        }
    }

    /// A pod that shuts down must not be restarted for failing; readiness stays of interest.
    pub fn stop_liveness(&self, uid: &str) {
        if let Some(entry) = self.lock().pods.get_mut(uid) {
            for (_, handle) in entry.tasks.extract_if(|(_, kind), _| *kind != Kind::Readiness) {
                handle.stop.trigger();
            }
        }
    }

    pub fn remove(&self, uid: &str) {
        let mut inner = self.lock();
        let Some(entry) = inner.pods.remove(uid) else {
            return;
        };
        entry.tasks.values().for_each(|handle| handle.stop.trigger());
        let statuses = entry
            .status
            .container_statuses
            .iter()
            .chain(&entry.status.init_container_statuses);
        for status in statuses {
            Kind::ALL
                .into_iter()
                .for_each(|kind| inner.verdicts.remove(bare_id(&status.container_id), kind));
        }
    }

    /// The verdicts on the pod's containers.
    pub fn verdicts(&self, state: &PodState) -> Verdicts {
        self.lock()
            .verdicts
            .of(state.containers.iter().map(|container| container.id.clone()))
    }

    fn subject(&self, uid: &str, name: &str) -> Option<(Arc<Pod>, Subject, String)> {
        let inner = self.lock();
        let entry = inner.pods.get(uid)?;
        let statuses = entry
            .status
            .container_statuses
            .iter()
            .chain(&entry.status.init_container_statuses);
        let status = statuses.into_iter().find(|status| status.name == name);
        let subject = status.map_or_else(Subject::default, |status| {
            let sidecar = entry
                .spec
                .spec
                .init_containers
                .iter()
                .any(|c| c.name == name && pod::is_sidecar(c));
            let ended =
                status.state.terminated.is_some() && entry.spec.spec.restart_policy == "Never" && !sidecar;
            Subject {
                container_id: bare_id(&status.container_id).to_owned(),
                running_since: status
                    .state
                    .running
                    .as_ref()
                    .map(|running| running.started_at.map_or(0, |time| time.timestamp().as_second())),
                ended,
                started: status.started == Some(true),
                deleting: entry.spec.metadata.deletion_timestamp.is_some(),
            }
        });
        Some((entry.spec.clone(), subject, entry.status.pod_ip.clone()))
    }

    fn apply(&self, uid: &str, kind: Kind, effect: Effect) {
        let mut inner = self.lock();
        let changed = match effect {
            Effect::Set {
                container_id,
                verdict,
            } => inner.verdicts.set(&container_id, kind, verdict) != Some(verdict),
            Effect::Forget { container_id } => {
                inner.verdicts.remove(&container_id, kind);
                false
            }
        };
        let listener = inner.listener.clone().filter(|_| changed);
        if changed && kind == Kind::Startup {
            inner.pods.get(uid).into_iter().for_each(Entry::wake_readiness);
        }
        drop(inner);
        if let Some(listener) = listener {
            listener(uid);
        }
    }
}

fn running_ids(status: &PodStatus) -> Vec<&str> {
    let statuses = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses);
    statuses
        .filter(|status| status.state.running.is_some())
        .map(|status| {
            if status.started == Some(true) {
                status.container_id.as_str()
            } else {
                ""
            }
        })
        .collect()
}

struct Task {
    probes: Arc<Probes>,
    uid: String,
    container: Container,
    probe: Probe,
    kind: Kind,
    stop: Shutdown,
    wake: Arc<Notify>,
}

impl Task {
    async fn run(self) {
        let period = Duration::from_secs(u64::try_from(self.probe.period_seconds).unwrap_or(10).max(1));
        let mut machine = Machine::new(self.kind);
        while !self.stop.is_triggered() {
            let Some((spec, subject, pod_ip)) = self.probes.subject(&self.uid, &self.container.name) else {
                break;
            };
            let now = self.probes.clock.now().as_second();
            let (step, effects) = machine.tick(&self.probe, &subject, now);
            effects
                .into_iter()
                .for_each(|effect| self.probes.apply(&self.uid, self.kind, effect));
            match step {
                Step::Stop => break,
                Step::Wait => {}
                Step::Probe => {
                    let outcome = self.stop.guard(self.attempt(&spec, &subject, &pod_ip)).await;
                    let Some(outcome) = outcome else { break };
                    let verdict = outcome.and_then(|outcome| machine.outcome(&self.probe, outcome));
                    verdict
                        .into_iter()
                        .for_each(|effect| self.probes.apply(&self.uid, self.kind, effect));
                }
            }
            tokio::select! {
                () = self.probes.clock.sleep(period) => {}
                () = self.wake.notified() => {}
                () = self.stop.wait() => break,
            }
        }
    }

    /// Runs the handler; nothing when it can't be run, which says nothing about the container.
    async fn attempt(&self, spec: &Arc<Pod>, subject: &Subject, pod_ip: &str) -> Option<Verdict> {
        let target = Target {
            container: &self.container,
            container_id: &subject.container_id,
            pod_ip,
        };
        let mut outcome = Outcome::Success;
        for _ in 0..ATTEMPTS {
            outcome = action::run(&self.probes.runtime, &self.probe, &target).await;
            if !matches!(outcome, Outcome::Error(_)) {
                break;
            }
        }
        let (kind, name, events) = (self.kind.as_str(), &self.container.name, &self.probes.events);
        let (verdict, label) = match outcome {
            Outcome::Success => (Some(Verdict::Success), "successful"),
            Outcome::Warning(text) => {
                events.container_warning(
                    spec,
                    name,
                    "ProbeWarning",
                    format!("{kind} probe warning: {text}"),
                );
                (Some(Verdict::Success), "successful")
            }
            Outcome::Failure(text) => {
                events.container_warning(spec, name, "Unhealthy", format!("{kind} probe failed: {text}"));
                (Some(Verdict::Failure), "failed")
            }
            Outcome::Error(text) => {
                let words = format!("{kind} probe errored and resulted in unknown state: {text}");
                events.container_warning(spec, name, "Unhealthy", words);
                (None, "unknown")
            }
        };
        let meta = &spec.metadata;
        self.probes
            .metrics
            .probed(&[kind, label, name, &meta.name, &meta.namespace, &self.uid]);
        verdict
    }
}
