//! Carries out what a plan says. Upstream: `SyncPod`.

use super::{
    back_off::BackOff,
    kill::Killer,
    plan::{self, Plan, Start},
    start::{Place, StartError, named},
};
use crate::{
    cgroup::pods::PodGroups,
    container_hash, dns,
    events::Events,
    image::Images,
    metrics::Metrics,
    objects::Objects,
    pod,
    probe::Verdicts,
    resize::Resizes,
    runtime::{
        inspect,
        state::{ContainerState, PodState},
    },
    sandbox_config,
    settings::{Settings, sort_pod_ips},
    volume::manager::ReadyVolumes,
};
use api::core::v1::{Container, Pod, Secret};
use component_base::clock::Clock;
use cri_api::{Runtime, v1};
use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const INITIAL_BACK_OFF: Duration = Duration::from_secs(10);

/// What a pass came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each start that was tried: the container's name, and why it failed if it did.
    pub starts: Vec<(String, Result<(), StartError>)>,
    /// What came of changing running containers, if any had to be.
    pub resized: Option<Result<(), String>>,
    /// The pass broke off.
    pub error: Option<String>,
    /// A container waits this long to be started again.
    pub retry_after: Option<Duration>,
}

/// Acts on the runtime for pods.
pub struct Executor {
    pub(super) runtime: Arc<dyn Runtime>,
    pub killer: Killer,
    pub(super) events: Events,
    pub(super) objects: Arc<dyn Objects>,
    pub(super) images: Images,
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) resizes: Arc<Resizes>,
    pub(super) groups: PodGroups,
    back_off: Mutex<BackOff>,
}

/// What an executor acts with.
pub struct Parts {
    pub runtime: Arc<dyn Runtime>,
    pub events: Events,
    pub objects: Arc<dyn Objects>,
    pub images: Images,
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub resizes: Arc<Resizes>,
    pub groups: PodGroups,
}

impl Executor {
    pub fn new(parts: Parts) -> Self {
        let max = parts.settings.max_crash_back_off;
        Self {
            killer: Killer {
                runtime: parts.runtime.clone(),
                events: parts.events.clone(),
            },
            runtime: parts.runtime,
            events: parts.events,
            objects: parts.objects,
            images: parts.images,
            settings: parts.settings,
            clock: parts.clock,
            metrics: parts.metrics,
            resizes: parts.resizes,
            groups: parts.groups,
            back_off: Mutex::new(BackOff::new(INITIAL_BACK_OFF.min(max), max)),
        }
    }

    /// One pass: brings the pod's sandbox and containers closer to its specification.
    pub async fn sync(
        &self,
        spec: &Pod,
        state: &PodState,
        verdicts: &Verdicts,
        volumes: &ReadyVolumes,
    ) -> Outcome {
        let actuated = self.resizes.actuated.get(&spec.metadata.uid).unwrap_or_default();
        let plan = plan::plan(spec, state, verdicts, &actuated);
        let mut outcome = Outcome::default();
        if let Err(error) = self.run(spec, state, volumes, plan, &mut outcome).await {
            outcome.error = Some(error);
        }
        outcome
    }

    async fn run(
        &self,
        spec: &Pod,
        state: &PodState,
        volumes: &ReadyVolumes,
        plan: Plan,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        self.end_what_must_end(spec, state, &plan).await?;
        if !plan.resize.is_empty() {
            outcome.resized = Some(self.resize(spec, &plan.resize).await);
        }
        if plan.start.is_empty() && !plan.sandbox.create {
            return Ok(());
        }
        self.prune_init_containers(spec, state).await;
        let resolved = self.dns(spec, plan.sandbox.create);
        let mut sandbox = sandbox_config::build(spec, plan.sandbox.attempt, resolved, &self.settings)
            .map_err(|error| {
                format!(
                    "GeneratePodSandboxConfig for pod {:?} failed: {error}",
                    pod::description(spec)
                )
            })?;
        let (sandbox_id, mut ips) = if plan.sandbox.create {
            self.create_sandbox(spec, &sandbox).await?
        } else {
            (plan.sandbox.id.clone().unwrap_or_default(), state.ips().to_vec())
        };
        if spec.spec.host_network {
            ips.clone_from(&self.settings.node_ips);
        }
        let pod_ips = sort_pod_ips(&ips, &self.settings.node_ips);
        if let Some(metadata) = &mut sandbox.metadata {
            metadata.attempt = plan.sandbox.attempt;
        }
        let pull_secrets = self.pull_secrets(spec).await;
        let place = Place {
            pod: spec,
            state,
            sandbox_id: &sandbox_id,
            sandbox: &sandbox,
            pod_ips: &pod_ips,
            volumes,
            pull_secrets: &pull_secrets,
        };
        self.start_all(&place, &plan.start, outcome).await;
        Ok(())
    }

    async fn end_what_must_end(&self, spec: &Pod, state: &PodState, plan: &Plan) -> Result<(), String> {
        let pod_ip = state.ips().first().map_or("", String::as_str);
        if plan.kill_pod {
            if plan.sandbox.create && plan.sandbox.id.is_some() {
                let words = "Pod sandbox changed, it will be killed and re-created.";
                self.events.normal(spec, "SandboxChanged", words);
            }
            self.killer
                .pod(Some(spec), state, None)
                .await
                .map_err(|error| error.to_string())?;
            if plan.sandbox.create {
                // A new sandbox begins from the first init container: those of the old one must not be taken for its own.
                self.remove_init_containers(spec, state, 0).await;
            }
            return Ok(());
        }
        for kill in &plan.kill {
            let Some(status) = state.find_id(&kill.id) else {
                continue;
            };
            self.killer
                .container(Some(spec), pod_ip, status, &kill.message, kill.reason, None)
                .await
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn start_all(&self, place: &Place<'_>, starts: &[Start], outcome: &mut Outcome) {
        for &start in starts {
            let Some((container, target)) = named(place.pod, start) else {
                continue;
            };
            let result = self
                .start_unless_waiting(place, start, &container, target.as_deref(), outcome)
                .await;
            let failed = result.is_err();
            outcome.starts.push((container.name.clone(), result));
            if failed && matches!(start, Start::Init(_)) && !pod::is_sidecar(&container) {
                return;
            }
        }
    }

    async fn start_unless_waiting(
        &self,
        place: &Place<'_>,
        start: Start,
        container: &Container,
        target: Option<&str>,
        outcome: &mut Outcome,
    ) -> Result<(), StartError> {
        if let Some((left, error)) = self.must_wait(place, container) {
            outcome.retry_after = Some(outcome.retry_after.map_or(left, |other| other.min(left)));
            return Err(error);
        }
        let kind = match start {
            Start::Ephemeral(_) => "ephemeral_container",
            Start::Init(_) => "init_container",
            Start::Regular(_) => "container",
        };
        self.metrics.container_started(kind);
        let result = self.start(place, container, target).await;
        if let Err(error) = &result {
            self.metrics.container_start_failed(kind, error.reason);
            let retry = self.images.retry_after(&place.pod.metadata.uid, &container.image);
            outcome.retry_after = match (outcome.retry_after, retry) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        result
    }

    /// A container that ended is not started again before its time. Upstream: `doBackOff`.
    fn must_wait(&self, place: &Place<'_>, container: &Container) -> Option<(Duration, StartError)> {
        let ended = place
            .state
            .containers
            .iter()
            .find(|status| status.name == container.name && status.state == ContainerState::Exited)?;
        let description = pod::description(place.pod);
        let hash = container_hash::hash(container);
        let key = format!("{description}_{}_{hash:x}", container.name);
        let finished = Duration::from_nanos(u64::try_from(ended.finished_at).unwrap_or(0));
        let now = Duration::from_nanos(u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0));
        let mut back_off = self.back_off.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = back_off.remaining(&key, finished, now) else {
            back_off.next(&key, finished);
            back_off.collect(now);
            return None;
        };
        let words = format!(
            "Back-off restarting failed container {} in pod {description}",
            container.name
        );
        self.events
            .container_warning(place.pod, &container.name, "BackOff", words);
        let delay = back_off.delay(&key);
        let message = format!(
            "back-off {} restarting failed container={} pod={description}",
            go_seconds(delay),
            container.name
        );
        Some((
            left,
            StartError {
                reason: "CrashLoopBackOff",
                message,
            },
        ))
    }

    async fn create_sandbox(
        &self,
        spec: &Pod,
        config: &v1::PodSandboxConfig,
    ) -> Result<(String, Vec<String>), String> {
        self.metrics.pod_started();
        let result = self.try_create_sandbox(spec, config).await;
        if let Err(error) = &result {
            self.metrics.pod_start_failed();
            self.events.warning(
                spec,
                "FailedCreatePodSandBox",
                format!("Failed to create pod sandbox: {error}"),
            );
        }
        result.map_err(|error| format!("CreatePodSandboxError: {error}"))
    }

    async fn try_create_sandbox(
        &self,
        spec: &Pod,
        config: &v1::PodSandboxConfig,
    ) -> Result<(String, Vec<String>), String> {
        fs::create_dir_all(&config.log_directory)
            .map_err(|error| format!("create {}: {error}", config.log_directory))?;
        let runtime_handler = match spec.spec.runtime_class_name.as_deref() {
            None | Some("") => String::new(),
            Some(class) => self.objects.runtime_handler(class).await?,
        };
        let request = v1::RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler,
        };
        let id = self
            .runtime
            .run_pod_sandbox(request)
            .await
            .map_err(|error| error.to_string())?
            .pod_sandbox_id;
        let request = v1::PodSandboxStatusRequest {
            pod_sandbox_id: id.clone(),
            verbose: false,
        };
        let status = self
            .runtime
            .pod_sandbox_status(request)
            .await
            .map_err(|error| error.to_string())?;
        let network = status.status.and_then(|status| status.network);
        Ok((id, inspect::addresses(network.as_ref())))
    }

    /// The pod's resolver configuration. What is wrong with it is told once, with the pod's sandbox.
    fn dns(&self, spec: &Pod, tell: bool) -> v1::DnsConfig {
        let host = match self.settings.resolv_conf.as_str() {
            "" => v1::DnsConfig::default(),
            path => match fs::read_to_string(path) {
                Ok(text) => dns::parse_resolv_conf(&text),
                Err(error) => {
                    self.events
                        .warning(spec, "DNSConfigForming", format!("open {path}: {error}"));
                    v1::DnsConfig::default()
                }
            },
        };
        let resolved = dns::resolve(spec, &host, &self.settings.dns);
        for (reason, message) in resolved.warnings.into_iter().filter(|_| tell) {
            self.events.warning(spec, reason, message);
        }
        resolved.config
    }

    async fn pull_secrets(&self, spec: &Pod) -> Vec<Arc<Secret>> {
        let mut secrets = Vec::new();
        for reference in &spec.spec.image_pull_secrets {
            match self
                .objects
                .secret(&spec.metadata.namespace, &reference.name)
                .await
            {
                Ok(secret) => secrets.push(secret),
                Err(missing) => {
                    tracing::warn!(secret = %reference.name, ?missing, "cannot get pull secret");
                    let words = format!(
                        "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                        reference.name
                    );
                    self.events
                        .warning(spec, "FailedToRetrieveImagePullSecret", words);
                }
            }
        }
        secrets
    }

    /// Keeps the last run of each init container alone.
    async fn prune_init_containers(&self, spec: &Pod, state: &PodState) {
        self.remove_init_containers(spec, state, 1).await;
    }

    /// Removes ended init containers beyond the newest `keep` of each name.
    async fn remove_init_containers(&self, spec: &Pod, state: &PodState, keep: usize) {
        for container in &spec.spec.init_containers {
            let ended = state.containers.iter().filter(|status| {
                let over =
                    keep == 0 || matches!(status.state, ContainerState::Exited | ContainerState::Unknown);
                status.name == container.name && over
            });
            for status in ended.skip(keep) {
                let request = v1::RemoveContainerRequest {
                    container_id: status.id.clone(),
                };
                if let Err(error) = self.runtime.remove_container(request).await {
                    tracing::warn!(container = %status.name, id = %status.id, %error, "cannot remove init container");
                }
            }
        }
    }
}

/// A delay as Go prints it, in whole seconds.
fn go_seconds(delay: Duration) -> String {
    let seconds = delay.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
