//! What a worker does for its pod: sync, terminate, clean up. Upstream: `SyncPod`, `SyncTerminatingPod`,
//! `SyncTerminatedPod`.

use crate::{
    cgroup::pods::PodGroups,
    events::Events,
    metrics::Metrics,
    mirror::Mirrors,
    node::runtime_health::RuntimeHealth,
    objects::Objects,
    pod,
    probe::manager::Probes,
    resize::{self, Resizes, message::message},
    runtime::{inspect, state::PodState},
    settings::{Settings, sort_pod_ips},
    status::{
        containers::{Inputs, StartErrors},
        generate::{self, Context, Failure},
        manager::Statuses,
    },
    sync::execute::{Executor, Outcome},
    volume::manager::{ReadyVolumes, Volumes},
};
use api::core::v1::{Pod, PodStatus};
use apimachinery::time::Time;
use component_base::clock::Clock;
use cri_api::Runtime;
use std::{sync::Arc, time::Duration};

/// How soon a pass that the runtime or a volume failed is tried again, at first; doubled up to the limit.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(122);

/// Everything that passes act with; one for all workers.
pub struct Passes {
    pub runtime: Arc<dyn Runtime>,
    pub executor: Executor,
    pub resizes: Arc<Resizes>,
    pub settings: Arc<Settings>,
    pub volumes: Volumes,
    pub objects: Arc<dyn Objects>,
    pub statuses: Arc<Statuses>,
    pub probes: Arc<Probes>,
    pub groups: PodGroups,
    pub health: Arc<RuntimeHealth>,
    pub mirrors: Mirrors,
    pub events: Events,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

/// What a worker remembers between passes.
#[derive(Debug, Default)]
pub struct Memory {
    start_errors: StartErrors,
    failures: u32,
    synced: bool,
    /// The pod's end was seen here, so that its last status is this kubelet's to tell.
    ended_here: bool,
}

#[derive(Debug)]
pub struct SyncResult {
    /// The pod has run its course.
    pub complete: bool,
    /// The pod has to be failed.
    pub failed: Option<Failure>,
    pub again_after: Duration,
}

impl SyncResult {
    fn after(again_after: Duration) -> Self {
        Self {
            complete: false,
            failed: None,
            again_after,
        }
    }
}

impl Memory {
    /// The wait after yet another failure.
    fn failed(&mut self) -> Duration {
        let wait = FIRST_RETRY
            .saturating_mul(1 << self.failures.min(8))
            .min(LAST_RETRY);
        self.failures += 1;
        wait
    }

    fn take(&mut self, outcome: &Outcome) {
        for (name, result) in &outcome.starts {
            match result {
                Ok(()) => drop(self.start_errors.remove(name)),
                Err(error) => {
                    let shown = (error.reason.to_owned(), error.message.clone());
                    self.start_errors.insert(name.clone(), shown);
                }
            }
        }
    }
}

impl Passes {
    pub async fn sync(&self, spec: &Arc<Pod>, memory: &mut Memory) -> SyncResult {
        let begun = self.clock.monotonic();
        let spec = &self.resizes.allocated_pod(spec);
        let result = match self.try_sync(spec, memory).await {
            Ok(result) => {
                memory.failures = 0;
                result
            }
            Err(error) => {
                tracing::warn!(pod = %pod::description(spec), error, "cannot sync pod, trying again");
                SyncResult::after(memory.failed())
            }
        };
        let operation = if memory.synced { "sync" } else { "create" };
        memory.synced = true;
        self.metrics
            .pod_synced(operation, self.clock.monotonic().saturating_sub(begun));
        result
    }

    async fn try_sync(&self, spec: &Arc<Pod>, memory: &mut Memory) -> Result<SyncResult, String> {
        let state = self.observe(&spec.metadata.uid).await?;
        self.follow_resize(spec, &state);
        let status = self.report(spec, &state, &memory.start_errors, false, None);
        if pod::is_terminal(&status.phase) {
            return Ok(SyncResult {
                complete: true,
                failed: None,
                again_after: Duration::ZERO,
            });
        }
        if let Some(failed) = self.deadline_passed(spec, &status) {
            return Ok(SyncResult {
                complete: false,
                failed: Some(failed),
                again_after: Duration::ZERO,
            });
        }
        if let Some(problem) = self.health.network_problem().filter(|_| !spec.spec.host_network) {
            let words = format!("network is not ready: {problem}");
            self.events.warning(spec, "NetworkNotReady", &words);
            return Err(words);
        }
        let volumes = self.prepare(spec, &state).await?;
        let verdicts = self.probes.verdicts(&state);
        let outcome = self.executor.sync(spec, &state, &verdicts, &volumes).await;
        memory.take(&outcome);
        if let Some(Err(error)) = &outcome.resized {
            self.resize_failed(spec, error);
            self.report(spec, &state, &memory.start_errors, false, None);
        }
        if let Some(error) = outcome.error {
            self.report(spec, &state, &memory.start_errors, false, None);
            return Err(error);
        }
        let resized = matches!(outcome.resized, Some(Ok(())));
        if resized || outcome.starts.iter().any(|(_, result)| result.is_ok()) {
            // What was started shows at once.
            return Ok(SyncResult::after(Duration::ZERO));
        }
        if !outcome.starts.is_empty() {
            self.report(spec, &state, &memory.start_errors, false, None);
        }
        if let Some(Err(error)) = outcome.resized {
            return Err(error);
        }
        Ok(SyncResult::after(self.rest(spec, &status, &outcome)))
    }

    async fn observe(&self, uid: &str) -> Result<PodState, String> {
        let mut state = inspect::pod(&*self.runtime, uid)
            .await
            .map_err(|error| error.to_string())?;
        self.resizes.complete(&mut state);
        Ok(state)
    }

    /// Tells whether a resize is under way, and of its end.
    fn follow_resize(&self, spec: &Arc<Pod>, state: &PodState) {
        self.resizes.adopt(spec, state);
        let uid = &spec.metadata.uid;
        let actuated = self.resizes.actuated.get(uid).unwrap_or_default();
        if resize::plan::in_progress(spec, state, &actuated) {
            self.resizes.conditions.set_in_progress(spec, None);
        } else if let Some(generation) = self.resizes.conditions.clear_in_progress(uid) {
            let words = message("completed", spec, generation, "");
            self.events.normal(spec, "ResizeCompleted", words);
        }
    }

    fn resize_failed(&self, spec: &Arc<Pod>, error: &str) {
        let (generation, news) = self.resizes.conditions.set_in_progress(spec, Some(error));
        if news {
            let words = message("error", spec, generation, error);
            self.events.warning(spec, "ResizeError", words);
        }
    }

    /// Makes everything that containers need to be there before they start.
    async fn prepare(&self, spec: &Arc<Pod>, state: &PodState) -> Result<ReadyVolumes, String> {
        let uid = &spec.metadata.uid;
        self.objects.register(spec);
        self.groups.ensure(spec).map_err(|error| {
            let words = format!("error: {}", chain(&error));
            self.events.warning(spec, "FailedCreatePodContainer", &words);
            words
        })?;
        if pod::is_static(spec) {
            self.mirrors.ensure(spec).await;
        }
        self.settings.root.make_pod(uid).map_err(|error| {
            let words = format!("error making pod data directories: {error}");
            self.events.warning(spec, "Failed", &words);
            words
        })?;
        self.probes.add(spec);
        let ips = sort_pod_ips(state.ips(), &self.settings.node_ips);
        let around = self.executor.surroundings(&ips);
        self.volumes
            .set_up(spec, &around)
            .await
            .map_err(|(volume, error)| {
                let words = format!("MountVolume.SetUp failed for volume {volume:?} : {error}");
                self.events.warning(spec, "FailedMount", &words);
                words
            })
    }

    /// Until when a pod is left alone if nothing happens to it.
    fn rest(&self, spec: &Pod, status: &PodStatus, outcome: &Outcome) -> Duration {
        let deadline = self.deadline(spec, status);
        [Some(self.settings.sync_frequency), outcome.retry_after, deadline]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_default()
    }

    /// How long the pod may still be active, if that is limited.
    fn deadline(&self, spec: &Pod, status: &PodStatus) -> Option<Duration> {
        let limit = Duration::from_secs(u64::try_from(spec.spec.active_deadline_seconds?).unwrap_or(0));
        let started = status.start_time?.timestamp();
        let active = self.clock.now().duration_since(started);
        Some(limit.saturating_sub(Duration::try_from(active).unwrap_or_default()))
    }

    fn deadline_passed(&self, spec: &Pod, status: &PodStatus) -> Option<Failure> {
        let left = self.deadline(spec, status)?;
        left.is_zero().then(|| {
            let words = "Pod was active on the node longer than the specified deadline";
            self.events.normal(spec, "DeadlineExceeded", words);
            Failure::new("DeadlineExceeded", words)
        })
    }

    /// Ends whatever runs for the pod. Done only when nothing is left.
    pub async fn terminate(
        &self,
        uid: &str,
        spec: Option<&Arc<Pod>>,
        grace: Option<i64>,
        failed: Option<&Failure>,
        memory: &mut Memory,
    ) -> Result<(), String> {
        let allocated = spec.map(|spec| self.resizes.allocated_pod(spec));
        let spec = allocated.as_ref();
        let state = self.observe(uid).await?;
        // Of a pod that ended long ago the runtime knows nothing: its status is what the API has.
        let reported = spec.filter(|spec| !(state.is_empty() && pod::is_terminal(&spec.status.phase)));
        memory.ended_here = reported.is_some();
        if let Some(spec) = reported {
            self.report(spec, &state, &memory.start_errors, false, failed);
            self.probes.stop_liveness(uid);
        }
        self.executor
            .killer
            .pod(spec.map(AsRef::as_ref), &state, grace)
            .await
            .map_err(|error| {
                let words = format!("error killing pod: {error}");
                if let Some(spec) = spec {
                    self.events.warning(spec, "FailedKillPod", &words);
                }
                words
            })?;
        let state = self.observe(uid).await?;
        if !state.is_stopped() {
            return Err("detected running containers after a successful KillPod".to_owned());
        }
        self.probes.remove(uid);
        if let Some(spec) = reported {
            self.report(spec, &state, &memory.start_errors, true, failed);
        }
        Ok(())
    }

    /// Releases what a stopped pod held on the node.
    pub async fn clean_up(&self, spec: &Arc<Pod>, memory: &mut Memory) -> Result<(), String> {
        let uid = &spec.metadata.uid;
        self.volumes
            .tear_down(uid)
            .await
            .map_err(|error| format!("tear down volumes: {error}"))?;
        self.objects.unregister(spec);
        self.groups.remove(spec).await.map_err(|error| chain(&error))?;
        if memory.ended_here {
            let mut status = self.statuses.current(spec);
            generate::finalize(spec, &mut status);
            self.statuses.set(spec, status);
        }
        memory.start_errors.clear();
        Ok(())
    }

    /// The pod holds nothing on the node any more: its deletion may be completed.
    pub fn finished(&self, spec: &Arc<Pod>) {
        self.statuses.finished(spec);
    }

    /// Computes the pod's status and hands it to the status manager.
    fn report(
        &self,
        spec: &Arc<Pod>,
        state: &PodState,
        start_errors: &StartErrors,
        terminal: bool,
        failed: Option<&Failure>,
    ) -> PodStatus {
        let old = self.statuses.current(spec);
        let verdicts = self.probes.verdicts(state);
        let inputs = Inputs {
            pod: spec,
            state,
            runtime_name: &self.settings.runtime_name,
            start_errors,
        };
        let host_ips: &[String] = if self.settings.attached {
            &self.settings.node_ips
        } else {
            &[]
        };
        let now = Time::from(self.clock.now()).truncated();
        let resize = self.resizes.conditions.of(&spec.metadata.uid);
        let context = Context {
            verdicts: &verdicts,
            old: &old,
            host_ips,
            terminal,
            failed,
            now,
            resize: &resize,
        };
        let status = generate::generate(&inputs, &context);
        self.probes.observe(spec, &status);
        self.statuses.set(spec, status.clone());
        status
    }
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
